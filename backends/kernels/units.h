/* Units of measure with exact factors. A unit is a product of powers of base quantities times a
 * rational factor; temperatures have an offset as well. */
#pragma once

#include <stdint.h>

#include "backends/kernels/rational.h"
#include "base/str.h"

enum unit_quantity { /* base quantities: metre, kilogram, second, kelvin, bit */
    UNIT_LENGTH,
    UNIT_MASS,
    UNIT_TIME,
    UNIT_TEMPERATURE,
    UNIT_DATA,
};

enum {
    UNIT_QUANTITIES = UNIT_DATA + 1,
    UNIT_WORDS_MAX = 3, /* words in the longest name */
};

struct unit_dims {
    int8_t powers[UNIT_QUANTITIES];
};

struct unit {
    const char *symbols; /* spelled exactly so, separated by |; NULL: none */
    const char *words;   /* in any case, singular and plural, separated by | */
    const char *label;   /* how it is shown: a symbol, or "singular|plural" */
    const char *factor;  /* decimal number of base units, or NUMBER/NUMBER */
    const char *offset;  /* base units at its zero, NULL: 0 */
    struct unit_dims dims;
};

/* The unit of this name, NULL for none. Several words are separated by one space. */
const struct unit *units_find(struct str name);

/* Fill *ret (initialised) from the table's text. */
void units_factor(const struct unit *unit, struct rational *ret);
void units_offset(const struct unit *unit, struct rational *ret);

bool units_same_dims(const struct unit_dims *a, const struct unit_dims *b);
bool units_no_dims(const struct unit_dims *dims);

/* The label for an amount: singular where it is 1. */
struct str units_label(const struct unit *unit, bool is_one);

/* All units, for tests; *ret_count. */
const struct unit *units_all(size_t *ret_count);
