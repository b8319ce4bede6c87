/* The finders behind redact.h, one small file each. A finder looks at one place and says whether a
 * thing of its kind stands there; it may begin before the place, not before `floor`. Private to
 * policies/redact*.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policies/redact.h"

struct redact_place {
    struct str text;
    size_t floor; /* what is before belongs to another span */
    size_t at;    /* a digit, "@", ":" or capital letter, by the kind's trigger */
    size_t token; /* of digits: start of the letters and digits that it stands in */
    unsigned kinds;
};

/* Writes start, len and kind. */
typedef bool (*redact_find_fn)(const struct redact_place *place, struct redact_span *ret_span);

bool redact_net_email(const struct redact_place *place, struct redact_span *ret_span);
bool redact_net_ip(const struct redact_place *place, struct redact_span *ret_span);
bool redact_shapes_card(const struct redact_place *place, struct redact_span *ret_span);
bool redact_shapes_iban(const struct redact_place *place, struct redact_span *ret_span);
bool redact_shapes_number(const struct redact_place *place, struct redact_span *ret_span);
bool redact_context_number(const struct redact_place *place, struct redact_span *ret_span);
bool redact_phone_find(const struct redact_place *place, struct redact_span *ret_span);
bool redact_dates_find(const struct redact_place *place, struct redact_span *ret_span);
bool redact_address_find(const struct redact_place *place, struct redact_span *ret_span);
bool redact_names_find(const struct redact_place *place, struct redact_span *ret_span);

/* Whether the words right before `at` announce a thing of this kind: "date of birth:", "Tel.". */
bool redact_context_before(struct str text, size_t at, enum redact_kind kind);
