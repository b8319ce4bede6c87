/* Files of demonstrations: whatever they are, they are read or refused with a reason. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "router/demos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 256 * 1024 * 1024,
    PATH_BYTES = 64,
};

/* Loaded once: it takes longer than all else. NULL: there are no weights here. */
static struct classifier *weights(void)
{
    static struct classifier *loaded;
    static bool is_tried;
    if (!is_tried) {
        struct diags diags;
        struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
        is_tried = true;
        ASSERT(arena != NULL);
        diags_init(&diags, arena);
        if (classifier_load("conf/models/domains.edm", &diags, &loaded) != ST_OK) {
            (void)fputs("fuzz_demos: run it in the project's folder\n", stderr);
            loaded = NULL;
        }
        arena_destroy(arena);
    }
    return loaded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_BYTES];
    struct diags diags;
    const struct demos *demos = NULL;
    struct classifier *classifier = weights();
    if (classifier == NULL) {
        return 0;
    }
    int fd = memfd_create("demos", MFD_CLOEXEC);
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    ASSERT(fd >= 0 && arena != NULL && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    diags_init(&diags, arena);
    struct key_reader reader = {.arena = arena, .diags = &diags, .root = STR(".")};
    enum status st = demos_read(&reader, str_from(path), classifier, &demos);
    ASSERT(st == ST_NO_MEMORY || demos != NULL || diags_has_errors(&diags));
    ASSERT(demos == NULL || !diags_has_errors(&diags));
    arena_destroy(arena);
    (void)close(fd);
    return 0;
}
