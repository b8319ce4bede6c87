/* Text -> distinct hashed features: words, pairs of neighbouring words, and runs of 4 and 5 letters
 * inside blank-separated pieces. Lower-cased by code point (Latin, Greek, Cyrillic, full-width),
 * every digit reads as 0, a CJK character or kana is a word of its own. Deterministic: the same
 * bytes give the same features on every machine; weights files name FEATURES_SCHEME, so a change
 * here must change that number.
 *
 * Not for exact text search: hashes are 32 bits, and two features whose hashes agree in their top
 * bits (FEATURES_SEEN_BITS) count as one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    FEATURES_SCHEME = 1,
    /* The question often stands last: what a text over HEAD + TAIL bytes shows of itself. */
    FEATURES_HEAD_BYTES = 800,
    FEATURES_TAIL_BYTES = 400,
    FEATURES_WINDOW_BYTES = FEATURES_HEAD_BYTES + FEATURES_TAIL_BYTES,
    /* Over all texts added since the last reset; what does not fit is left out. */
    FEATURES_BYTES_MAX = 8 * FEATURES_WINDOW_BYTES,
    FEATURES_TEXTS_MAX = 64,
    FEATURES_POINTS_MAX = FEATURES_BYTES_MAX + 3 * FEATURES_TEXTS_MAX,
    /* a point starts at most one word, one pair and two runs of letters */
    FEATURES_MAX = 4 * FEATURES_POINTS_MAX,
    FEATURES_SEEN_BITS = 18,
};

enum feature_kind {
    FEATURE_WORD,
    FEATURE_PAIR,
    FEATURE_LETTERS,
};

struct feature {
    uint32_t hash;
    uint16_t start; /* where it stands in points */
    uint8_t length; /* in points */
    uint8_t kind;   /* enum feature_kind */
};

struct features { /* about 350 kB, of which a short text touches a few; members are read-only */
    uint32_t points[FEATURES_POINTS_MAX]; /* folded code points, class in the top byte */
    size_t point_count;
    struct feature items[FEATURES_MAX]; /* distinct, in order of appearance */
    size_t count;
    size_t text_bytes; /* of the windows added so far */
    size_t text_count;
    uint64_t seen[1 << (FEATURES_SEEN_BITS - 6)];
};

/* Zeroed. NULL: no memory. */
struct features *features_create(void);
void features_destroy(struct features *f); /* NULL allowed */

/* Forgets all texts; costs time by what was added, not by the size of the struct. */
void features_reset(struct features *f);

/* Adds the features of a text (any bytes) that are not there yet. Returns how many came; they
 * follow those of earlier texts. A text that no longer fits (FEATURES_BYTES_MAX,
 * FEATURES_TEXTS_MAX) adds nothing. */
size_t features_add(struct features *f, struct str text);

/* Writes the feature as a reader knows it: `word "amoxicillin"`, `letters "icil"`, cut to fit.
 * Returns the length; out is not terminated. */
size_t features_name(const struct features *f, const struct feature *feature, char *out,
                     size_t size);
