/* Cuts text into the words within which byte-level BPE may join: each model was trained with one of
 * a few patterns, which files name in tokenizer.ggml.pre. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

struct pretoken;

/* ST_NOT_FOUND: a pattern that is not known here. ST_NO_MEMORY. */
MUST_CHECK enum status pretoken_create(struct str name, struct pretoken **ret_pretoken);
void pretoken_destroy(struct pretoken *p); /* NULL allowed */

/* "gpt-2, smollm, …": the names that pretoken_create knows. */
struct str pretoken_names(void);

/* A word that is a token as a whole is taken as it is, without joining. */
bool pretoken_takes_whole_words(const struct pretoken *p);

/* Calls on_word for each word in order; they cover the text. Stops at the first status that is not
 * ST_OK and returns it. ST_NO_MEMORY. */
typedef enum status (*pretoken_word_fn)(void *ctx, struct str word);
MUST_CHECK enum status pretoken_cut(const struct pretoken *p, struct str text,
                                    pretoken_word_fn on_word, void *ctx);
