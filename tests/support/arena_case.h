/* Tests whose fixture is an arena and what is read into it. */
#pragma once

#include <string.h>

#include "base/arena.h"

/* Set-up: zeroes the fixture, whose first member is a struct arena *, and opens that. The arena is as
 * roomy as a request's may be. */
static inline int arena_case_open(void *fixture, size_t bytes, void **state)
{
    struct arena *arena = arena_create(16 * 1024, 64 * 1024 * 1024);
    memset(fixture, 0, bytes);
    memcpy(fixture, &arena, sizeof arena);
    *state = fixture;
    return arena == NULL;
}

/* Tear-down, for cmocka. */
static inline int arena_case_close(void **state)
{
    struct arena *arena = NULL;
    memcpy(&arena, *state, sizeof arena);
    arena_destroy(arena);
    return 0;
}
