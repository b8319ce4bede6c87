/* A configuration file that lives as long as its loading takes, and what is said of it. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/snapshot.h"

struct snapshot_sample {
    char path[64];
    struct snapshot *snapshot; /* NULL: it did not load */
    char *messages;            /* the path replaced by nothing; freed by snapshot_sample_fini */
};

/* Loads the text as a file; fini is due whatever comes back. */
static inline enum status snapshot_sample_load(struct snapshot_sample *s, struct str yaml)
{
    size_t len = 0;
    memset(s, 0, sizeof *s);
    (void)snprintf(s->path, sizeof s->path, "/tmp/expertd-conf-XXXXXX");
    int fd = mkstemp(s->path);
    FILE *out = open_memstream(&s->messages, &len);
    if (fd < 0 || out == NULL || write(fd, yaml.ptr, yaml.len) != (ssize_t)yaml.len) {
        abort();
    }
    (void)close(fd);
    enum status st = snapshot_load(s->path, out, &s->snapshot);
    (void)fclose(out);
    (void)unlink(s->path);
    return st;
}

static inline void snapshot_sample_fini(struct snapshot_sample *s)
{
    snapshot_unref(s->snapshot);
    free(s->messages); /* allow free: open_memstream took it from the C library */
}
