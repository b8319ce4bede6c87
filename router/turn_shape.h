/* The shape of a user's turn, apart from its topic: how many words it has, whether it announces
 * another topic ("by the way", "neue Frage"), whether it starts as a continuation ("and", "what
 * about"). In about a dozen languages; see the table in turn_shape.c. Pure; bounded by the first
 * TURN_SHAPE_BYTES of the text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum {
    TURN_SHAPE_BYTES = 240 /* what is said about a turn stands at its start */
};

struct turn_shape {
    size_t words;         /* runs of letters and digits; two CJK characters count as one */
    struct str announces; /* the phrase that announces another topic; "" when there is none */
    struct str continues; /* the phrase at its start that goes on from what was said; or "" */
};

struct turn_shape turn_shape_of(struct str text);
