/* The English of the calculator: words and phrases that mean an operator, a function, a number. */
#pragma once

#include "backends/kernels/calc_token.h"

struct calc_phrase {
    const char *text; /* lower case, words separated by one space */
    enum calc_kind kind;
    enum calc_op op;
};

/* The longest phrase at the start of text, which starts a word; *ret_len gets the bytes that it takes
 * there. Case and the width of blanks do not matter. NULL: none. */
const struct calc_phrase *calc_words_phrase(struct str text, size_t *ret_len);

/* Length of text's prefix that is `phrase` in the same sense, 0 if it is not. */
size_t calc_words_match(struct str text, const char *phrase);

/* A number in words at the start of text ("three hundred and five", "twenty-one"). Returns the bytes
 * that it takes, 0 if there is none. */
size_t calc_words_number(struct str text, int64_t *ret_value);

/* "million" after a number in digits: the power of ten, and bytes; 0 if there is none. */
size_t calc_words_scale(struct str text, int *ret_power_of_ten);

/* True for words that prompts are made of besides arithmetic: what, is, please, convert ... */
bool calc_words_is_filler(struct str word);
