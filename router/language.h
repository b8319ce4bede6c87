/* The language of a text: its main script first (scripts.h), then, where languages share the script,
 * hashed runs of characters in a multinomial logistic regression of int8 weights, one table per
 * script. Sums are integers, so that every machine gives the same answer. tools/train/languages.py
 * makes the tables.
 *
 * For routing, not for linguistics: Bosnian, Croatian and Serbian in Latin letters are one (hr), so
 * are both Norwegians (no), and a text in several languages gets the one with most letters.
 *
 * The file, little-endian on every machine; sections end at multiples of 64 with zeros:
 *     0   magic "EXPERTDL" | u32 version | u32 feature scheme | u64 file bytes | u64 checksum:
 *         str_hash of all from 32 on
 *     32  u32 tables | u32 bytes of the card | zeros up to 64
 *     ..  per table: {script, 16 bytes, NUL-padded | u32 languages | u32 width | u32 rows | f32 step}
 *         | codes, 8 bytes each, NUL-padded | f32 bias per language | rows of `width` int8
 *     ..  letter pairs: 27 x 27 int8 (guards.c)
 *     ..  card, JSON: data, options and figures of the training
 * A model is immutable and may be read from any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    LANGUAGE_VERSION = 1,
    LANGUAGE_SCHEME = 1, /* of the features; a change in how they are cut or hashed changes it */
    LANGUAGE_HEAD_BYTES = 384,
    LANGUAGE_TAIL_BYTES = 192, /* of longer texts, head and tail are looked at */
    LANGUAGE_WIDTH_MAX = 64,   /* languages of one script */
    LANGUAGE_ROWS_MAX = 1 << 20,
    LANGUAGE_CARD_MAX = 65536,
    LANGUAGE_CODES_MAX = 120,
    LANGUAGE_PAIR_LETTERS = 27, /* anything else, then a..z */
};

struct language_model;

struct language_guess {
    struct str code;  /* ISO 639-1, or "und": nothing to tell from. Lives as long as the model */
    size_t index;     /* of the code among language_code's; 0: und */
    float confidence; /* calibrated probability times the share of the letters in that script */
    float english;    /* the same for English */
};

/* A file. ST_INVALID, ST_IO (with a diagnostic), ST_NO_MEMORY. */
MUST_CHECK enum status language_model_load(const char *path, struct diags *diags,
                                           struct language_model **ret_model);

/* The same over bytes that must outlive the model; `file` is for the messages. Strict: what does not
 * match the format exactly is refused. ST_INVALID (with a diagnostic), ST_NO_MEMORY. */
MUST_CHECK enum status language_model_read(struct str bytes, struct str file, struct diags *diags,
                                           struct language_model **ret_model);
void language_model_destroy(struct language_model *m); /* NULL allowed */

/* All codes that a guess can have: 0 is "und". */
size_t language_count(const struct language_model *m);
struct str language_code(const struct language_model *m, size_t index);

/* ln P(letter | letter before) * 16 over all Latin languages: pairs[before * 27 + letter]. */
const int8_t *language_pairs(const struct language_model *m);

/* Any bytes; invalid UTF-8 separates words. */
void language_detect(const struct language_model *m, struct str text,
                     struct language_guess *ret_guess);
