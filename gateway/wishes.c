/* See wishes.h. */
#include "gateway/wishes.h"

enum {
    DECIMALS = 9, /* a nano-USD */
    WHOLE_MAX = 9,
    SHOWN_BYTES = 128,
};

enum status wishes_read_usd(struct str text, int64_t *ret_nano_usd)
{
    size_t point = str_find_char(text, '.');
    size_t decimals = point < text.len ? text.len - point - 1 : 0;
    int64_t nano = 0;
    bool has_point_only = point < text.len && decimals == 0;
    if (point == 0 || point > WHOLE_MAX || decimals > DECIMALS || has_point_only) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (i != point && (c < '0' || c > '9')) {
            return ST_INVALID;
        }
        nano = i == point ? nano : nano * 10 + (c - '0');
    }
    for (size_t i = decimals; i < DECIMALS; i++) {
        nano *= 10;
    }
    *ret_nano_usd = nano;
    return ST_OK;
}

static enum status refuse(struct chat_error *ret_error, enum problem problem, struct str message,
                          const char *header)
{
    *ret_error = (struct chat_error){problem, message, str_from(header)};
    return message.ptr == NULL ? ST_NO_MEMORY : ST_INVALID;
}

static enum status pin(const struct wishes *w, const struct routes *routes, struct arena *arena,
                       struct prompt *prompt, struct chat_error *ret_error)
{
    struct str name = str_trim(w->expert);
    if (routes_expert(routes, name) == NULL || !permit_allows(&prompt->permit, name)) {
        return refuse(ret_error, PROBLEM_MODEL_NOT_FOUND,
                      arena_printf(arena,
                                   "There is no expert \"%.*s\" here, or this key may not "
                                   "use it.",
                                   STR_ARG(str_slice(name, 0, SHOWN_BYTES))),
                      "x-expertd-expert");
    }
    prompt->model = name;
    return ST_OK;
}

static size_t count_commas(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        count += s.ptr[i] == ',';
    }
    return count;
}

static enum status ban(const struct wishes *w, const struct routes *routes, struct arena *arena,
                       struct prompt *prompt, struct chat_error *ret_error)
{
    size_t most = count_commas(w->ban) + 1;
    struct str *names = arena_alloc(arena, most * sizeof *names);
    if (names == NULL) {
        return ST_NO_MEMORY;
    }
    struct str rest = w->ban;
    struct str item = STR("");
    size_t count = 0;
    while (str_split(rest, ',', &item, &rest)) {
        struct str name = str_trim(item);
        if (routes_expert(routes, name) == NULL) {
            return refuse(ret_error, PROBLEM_BAD_PARAM,
                          arena_printf(arena, "There is no expert \"%.*s\" that could be banned.",
                                       STR_ARG(str_slice(name, 0, SHOWN_BYTES))),
                          "x-expertd-ban");
        }
        names[count++] = name;
    }
    prompt->permit.bans = names;
    prompt->permit.ban_count = count;
    return ST_OK;
}

static enum status limit_price(const struct wishes *w, const struct routes *routes,
                               struct arena *arena, struct prompt *prompt,
                               struct chat_error *ret_error)
{
    (void)routes;
    (void)arena;
    prompt->permit.has_max_price = true;
    if (wishes_read_usd(str_trim(w->max_price), &prompt->permit.max_price_nano_usd) != ST_OK) {
        return refuse(ret_error, PROBLEM_BAD_PARAM,
                      STR("The highest price is an amount in USD, as 0.002, with at most nine "
                          "decimals."),
                      "x-expertd-max-price");
    }
    return ST_OK;
}

enum status wishes_apply(const struct wishes *wishes, unsigned allowed, const struct routes *routes,
                         struct arena *arena, struct prompt *prompt, struct chat_error *ret_error)
{
    const struct {
        const char *header;
        struct str value;
        unsigned bit;
        enum status (*apply)(const struct wishes *w, const struct routes *routes,
                             struct arena *arena, struct prompt *prompt,
                             struct chat_error *ret_error);
    } rows[] = {
        {"x-expertd-expert", wishes->expert, TENANT_EXPERT, pin},
        {"x-expertd-ban", wishes->ban, TENANT_BAN, ban},
        {"x-expertd-max-price", wishes->max_price, TENANT_MAX_PRICE, limit_price},
    };

    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value.len == 0) {
            continue;
        }
        if ((allowed & rows[i].bit) == 0) {
            return refuse(
                ret_error, PROBLEM_HEADER_FORBIDDEN,
                arena_printf(arena, "This key may not send the header %s.", rows[i].header),
                rows[i].header);
        }
        st = rows[i].apply(wishes, routes, arena, prompt, ret_error);
    }
    return st;
}
