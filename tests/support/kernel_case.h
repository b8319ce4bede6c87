/* One kernel made from YAML, asked on the test's own thread: its text, its pauses, its result. In a
 * header because test_support does not link backends. */
#pragma once

#include "backends/kernel.h"
#include "base/buf.h"
#include "tests/support/test.h"

enum {
    KERNEL_CASE_PAUSES = 16
};

struct kernel_case {
    struct arena *arena;
    struct diags diags;
    struct kernel *kernel; /* NULL when create failed */
    enum status st;        /* of create */
    struct buf text;       /* pieces of the last answer, each followed by a | */
    int64_t pauses[KERNEL_CASE_PAUSES];
    size_t pause_count;
    size_t pieces_max; /* the sink says ST_CLOSED after this many; 0: never */
    size_t pieces;
    struct kernel_result result;
};

static inline enum status kernel_case_on_text(void *ctx, struct str piece)
{
    struct kernel_case *c = ctx;
    if (c->pieces_max > 0 && c->pieces == c->pieces_max) {
        return ST_CLOSED;
    }
    c->pieces++;
    enum status st = buf_append(&c->text, piece);
    return st == ST_OK ? buf_append_char(&c->text, '|') : st;
}

static inline enum status kernel_case_on_pause(void *ctx, int64_t ms)
{
    struct kernel_case *c = ctx;
    assert_true(c->pause_count < KERNEL_CASE_PAUSES);
    c->pauses[c->pause_count++] = ms;
    return ST_OK;
}

/* options: YAML of the block under the kernel's name. root: where relative paths start. */
static inline void kernel_case_open(struct kernel_case *c, const struct kernel_type *type,
                                    const char *options, const char *root)
{
    *c = (struct kernel_case){.arena = arena_create(4096, 16 << 20)};
    assert_non_null(c->arena);
    buf_init(&c->text, 1 << 20);
    diags_init(&c->diags, c->arena);
    struct key_reader reader = {.arena = c->arena, .diags = &c->diags, .root = str_from(root)};
    struct yaml_node *node = NULL;
    assert_int_equal(yaml_parse(str_from(options), STR("k.yaml"), c->arena, &c->diags, &node),
                     ST_OK);
    c->st = type->create(&reader, node, &c->kernel);
    /* a kernel must own what it keeps: the configuration goes away first */
    if (c->st == ST_OK) {
        arena_reset(c->arena);
    }
}

static inline void kernel_case_close(struct kernel_case *c)
{
    kernel_unref(c->kernel);
    buf_fini(&c->text);
    arena_destroy(c->arena);
}

static inline void kernel_case_ask_all(struct kernel_case *c, const struct kernel_message *messages,
                                       size_t count)
{
    struct kernel_prompt prompt = {messages, count, 0};
    struct kernel_sink sink = {c, kernel_case_on_text, kernel_case_on_pause};
    buf_reset(&c->text);
    c->pause_count = 0;
    c->pieces = 0;
    c->kernel->type->generate(c->kernel, &prompt, &sink, &c->result);
}

static inline void kernel_case_ask(struct kernel_case *c, const char *question)
{
    struct kernel_message message = {STR("user"), str_from(question)};
    kernel_case_ask_all(c, &message, 1);
}

/* "line:column: message" of the first diagnostic. */
static inline struct str kernel_case_diag(struct kernel_case *c)
{
    assert_true(c->diags.count > 0);
    const struct diag *d = &c->diags.items[0];
    return arena_printf(c->arena, "%d:%d: %.*s", d->pos.line, d->pos.column, STR_ARG(d->message));
}
