/* The passes of routes_build, where they do not all stand in one file. Private to routes*.c. Each says
 * what is wrong as a diagnostic and goes on; ST_NO_MEMORY ends the building. */
#pragma once

#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"
#include "router/routes.h"

struct routes_build { /* what the passes share */
    struct routes *routes;
    struct key_reader *reader;
    struct str file;
};

/* Tables of languages, and whether they tell those that experts name. */
MUST_CHECK enum status routes_load_languages(const struct routes_build *b);

/* Weights, and which category each of their labels stands for. */
MUST_CHECK enum status routes_load_classifier(const struct routes_build *b);

/* The heads that rules name. After the weights. */
void routes_resolve_heads(const struct routes_build *b);

/* Fits the categories that have examples. After the weights, which there are. */
MUST_CHECK enum status routes_fit_examples(const struct routes_build *b);

/* Demonstrations of experts and categories, as vectors. After the weights. */
MUST_CHECK enum status routes_read_demos(const struct routes_build *b);
