/* Guards: what kind of text a prompt is before anybody asks what it is about. Counting only, one pass
 * over a window; no dictionary but the letter pairs of the language tables. Errs towards prose:
 * formulas, short questions, names and abbreviations are prose.
 *
 * Does not see noise in scripts other than Latin, nor prose about code: "consists of" is meant. */
#pragma once

#include "base/str.h"
#include "router/language.h"

/* X(NAME, text, sentence) */
#define GUARDS(X)                                                                                  \
    X(PROSE, "prose", "a text like others")                                                        \
    X(CODE, "code", "consists of source code")                                                     \
    X(LOG, "log", "consists of log lines, error messages or a stack trace")                        \
    X(NOISE, "noise", "no text: data, keyboard runs, repetition, bytes")                           \
    X(EMPTY, "empty", "no letter and no digit, or a single one")

enum guard_kind {
#define GUARDS_MEMBER(name, text, sentence) GUARD_##name,
    GUARDS(GUARDS_MEMBER)
#undef GUARDS_MEMBER
};

struct guard {
    enum guard_kind kind;
    float score;        /* share of the text that says so, 0..1; 1 for empty */
    const char *reason; /* for people; "" for prose */
};

/* Any bytes. `model` may be NULL: then runs of implausible letters are not seen. */
void guards_judge(const struct language_model *model, struct str text, struct guard *ret_guard);

const char *guards_kind_text(enum guard_kind kind);
