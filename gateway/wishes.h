/* What a request asks of its routing by headers: x-expertd-expert pins it to an expert, x-expertd-ban
 * names experts that must not answer, x-expertd-max-price is the most it may cost, in USD. A wish is
 * obeyed or refused, never ignored. Pure. */
#pragma once

#include "gateway/chat_request.h"
#include "gateway/tenants.h"

struct wishes { /* values of the headers; "": not there */
    struct str expert;
    struct str ban;
    struct str max_price;
};

enum {
    WISHES_ALL = TENANT_EXPERT | TENANT_BAN | TENANT_MAX_PRICE
};

/* Writes them into the prompt: model and permit. `allowed`: bits of enum tenant_header. ST_INVALID with
 * ret_error; ST_NO_MEMORY. The prompt borrows from the texts and the arena. */
MUST_CHECK enum status wishes_apply(const struct wishes *wishes, unsigned allowed,
                                    const struct routes *routes, struct arena *arena,
                                    struct prompt *prompt, struct chat_error *ret_error);

/* An amount in USD, decimal, at most nine decimals, less than 10^9: in nano-USD. ST_INVALID. */
MUST_CHECK enum status wishes_read_usd(struct str text, int64_t *ret_nano_usd);
