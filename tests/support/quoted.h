/* JSON in C, readable: single quotes stand for double ones. */
#pragma once

#include "base/arena.h"

/* text with every ' turned into ". In the arena; fails loudly through ptr NULL. */
static inline struct str quoted(struct arena *arena, const char *text)
{
    char *copy = arena_copy_z(arena, str_from(text));
    if (copy == NULL) {
        return (struct str){NULL, 0};
    }
    for (char *p = copy; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_from(copy);
}
