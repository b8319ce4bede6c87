/* Words of English text, cut down so that "burns", "burning" and "burned" are one term. Light: plural,
 * -ing, -ed, a final e; it knows no irregular forms and leaves other languages' words alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    STEM_WORD_MAX = 40, /* longer words are cut; bytes */
};

struct stem_words { /* a walk over a text */
    struct str rest;
    char word[STEM_WORD_MAX]; /* the current term, lower case, stemmed */
    size_t len;
};

void stem_start(struct stem_words *w, struct str text);

/* The next word that is no stop word, in w->word. False at the end. Letters and digits make words,
 * and all bytes beyond ASCII, so that other scripts keep theirs. */
bool stem_next(struct stem_words *w);

/* Shortens a lower-case word in place; returns its new length. */
size_t stem_word(char *word, size_t len);
