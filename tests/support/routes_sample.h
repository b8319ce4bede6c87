/* Routing tables from a few lines of YAML, as a configuration file would make them. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/yaml.h"
#include "router/routes.h"

struct routes_sample {
    struct arena *arena;
    struct diags diags;
    struct routes routes;
    char *messages; /* what diags_print writes; freed by routes_sample_fini */
};

static inline enum status routes_sample_build(struct routes_sample *s, struct str yaml)
{
    static const struct keys root_keys = {"configuration", sizeof(struct routes), routes_rows,
                                          ROUTES_ROW_COUNT, "Routing tables."};
    struct key_reader reader = {.arena = s->arena, .diags = &s->diags, .root = STR(".")};
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(yaml, STR("c.yaml"), s->arena, &s->diags, &root);
    if (st == ST_OK) {
        st = keys_decode(&root_keys, &reader, root, &s->routes);
    }
    if (st == ST_OK) {
        st = routes_build(&s->routes, &reader, root->file);
    }
    if (st == ST_OK) {
        st = routes_prove(&s->routes, &reader, root->file);
    }
    return st == ST_OK ? routes_run_tests(&s->routes, &reader, root->file) : st;
}

/* Loads; fini is due whatever comes back. */
static inline enum status routes_sample_load(struct routes_sample *s, const char *yaml)
{
    size_t len = 0;
    memset(s, 0, sizeof *s);
    s->arena = arena_create(16384, (size_t)64 << 20);
    FILE *out = open_memstream(&s->messages, &len);
    if (s->arena == NULL || out == NULL) {
        abort();
    }
    diags_init(&s->diags, s->arena);
    enum status st = routes_sample_build(s, str_from(yaml));
    diags_print(&s->diags, out);
    (void)fclose(out);
    return st;
}

static inline void routes_sample_fini(struct routes_sample *s)
{
    routes_fini(&s->routes);
    arena_destroy(s->arena);
    free(s->messages); /* allow free: open_memstream took it from the C library */
}
