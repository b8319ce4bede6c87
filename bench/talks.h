/* Labelled conversations, one a line:
 *     {"id", "turns": [{"role", "text", "label"?, "accept"?: [...], "change"?: bool}]}
 * Other members are skipped. User turns carry the label; an assistant's turn is the reply to the
 * user turn before it. For programs that measure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/status.h"
#include "router/conversation.h"

enum {
    TALK_TURNS_MAX = 64,
    TALK_ACCEPT_MAX = 8,
};

struct talk_turn {
    struct conversation_turn texts;
    struct str good[1 + TALK_ACCEPT_MAX]; /* the label, then others that are fine too */
    size_t good_count;                    /* 0: not labelled */
    bool is_change;
};

struct talk {
    struct talk_turn turns[TALK_TURNS_MAX];
    size_t count;
    struct talk *next;
};

/* Reads a file; conversations live in the arena, in the file's order. ST_IO or ST_INVALID with a
 * diagnostic, ST_NO_MEMORY. */
MUST_CHECK enum status talks_read(const char *path, struct arena *arena, struct diags *diags,
                                  struct talk **ret_first);

/* The conversation as it stood when turn `at` was asked: the opening turn and the last ones. */
void talk_until(const struct talk *t, size_t at, struct conversation *ret_talk);
