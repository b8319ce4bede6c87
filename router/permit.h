/* What one request may use and what it asks for itself: the allow-list of the tenant, banned experts, a
 * price. All zero: everything. Borrows its texts. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct permit {
    const struct str *allow; /* patterns of model names, see base/glob.h; NULL: everything */
    size_t allow_count;
    const struct str *bans; /* names of experts */
    size_t ban_count;
    bool has_max_price;
    int64_t max_price_nano_usd; /* of the whole request, as estimated */
};

/* Whether a model may be named: "auto", "category/NAME", an alias, an expert. */
bool permit_allows(const struct permit *permit, struct str model);
