/* See tenants.h. */
#include "gateway/tenants.h"

#include <string.h>
#include <time.h>

#include "base/glob.h"
#include "gateway/priority.h"
#include "policies/budget.h"

enum {
    NAME_MAX_BYTES = 64,
    ID_DIGITS = 12, /* of a digest: enough to tell the keys of one file apart */
    RATE_MAX = 1000000000,
};

static enum status decode_day(struct key_reader *reader, const struct yaml_node *node, void *field);
static enum status decode_keys(struct key_reader *reader, const struct yaml_node *node,
                               void *field);

static enum status decode_budget(struct key_reader *reader, const struct yaml_node *node,
                                 void *field);

static const struct key key_rows[] = {
    {.name = "sha256",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct tenant_key, digest),
     .is_required = true,
     .sentence = "digest of the key, as `expertd keys new` prints it",
     .decode = api_key_decode,
     .custom_type = "string"},
    {.name = "expires",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct tenant_key, expires_s),
     .sentence = "first day, in UTC, on which the key no longer works; absent: it does not expire",
     .example = "2027-01-01",
     .decode = decode_day,
     .custom_type = "string"},
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct tenant_key, name),
     .sentence = "what the key is called, for people",
     .example = "laptop"},
};

static const struct keys key_keys = {"key", sizeof(struct tenant_key), key_rows,
                                     sizeof key_rows / sizeof key_rows[0],
                                     "One key of a tenant. A text alone is its digest."};

static const struct key rate_rows[] = {
    {.name = "requests_per_minute",
     .type = KEY_INT,
     .offset = offsetof(struct quota_rate, requests_per_minute),
     .min = 1,
     .max = RATE_MAX,
     .sentence = "requests; a minute's worth may come at once; absent: no limit",
     .example = "600"},
    {.name = "tokens_per_minute",
     .type = KEY_INT,
     .offset = offsetof(struct quota_rate, tokens_per_minute),
     .min = 1,
     .max = RATE_MAX,
     .sentence = "tokens of prompts and answers, estimated when a request comes and corrected when "
                 "it ends; absent: no limit",
     .example = "200000"},
    {.name = "concurrency",
     .type = KEY_INT,
     .offset = offsetof(struct quota_rate, concurrency),
     .min = 1,
     .max = RATE_MAX,
     .sentence = "requests at the same time; absent: no limit",
     .example = "32"},
};

static const struct keys rate_keys = {"rate", sizeof(struct quota_rate), rate_rows,
                                      sizeof rate_rows / sizeof rate_rows[0],
                                      "How much a tenant may ask."};

static const struct key tenant_budget_rows[] = {
    {.name = "usd",
     .type = KEY_PRICE,
     .offset = offsetof(struct tenant_budget, usd),
     .max = 1000000000,
     .unit = "USD",
     .is_required = true,
     .sentence = "how much; 0 refuses every call that costs",
     .example = "25"},
    {.name = "per",
     .type = KEY_CHOICE,
     .offset = offsetof(struct tenant_budget, per),
     .choices = budget_pers,
     .fallback = "month",
     .sentence = "in which time, as in \"budgets\""},
};

static const struct keys tenant_budget_keys = {"tenant budget", sizeof(struct tenant_budget),
                                               tenant_budget_rows, 2, "What a tenant may spend."};

static const struct key rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct tenant, name),
     .is_required = true,
     .sentence = "who it is: letters, digits, \".\", \"_\" and \"-\"; stands in logs and metrics",
     .example = "alice"},
    {.name = "keys",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct tenant, keys),
     .sentence = "the keys, as digests; any of them works",
     .example = "[\"sha256:...\"]",
     .decode = decode_keys,
     .block = &key_keys,
     .custom_type = "array"},
    {.name = "rate",
     .type = KEY_BLOCK,
     .offset = offsetof(struct tenant, rate),
     .sentence = "how much the tenant may ask",
     .block = &rate_keys},
    {.name = "budget",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct tenant, budget),
     .sentence = "how much the tenant may spend: the same as one of \"budgets\" with its name, "
                 "for this tenant",
     .example = "{usd: 25, per: month}",
     .decode = decode_budget,
     .block = &tenant_budget_keys,
     .custom_type = "object"},
    {.name = "allow",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct tenant, allow),
     .sentence = "models that may be used, as patterns in which * stands for anything: auto, "
                 "category/NAME, aliases, experts; auto goes to categories that are allowed; "
                 "absent: everything",
     .example = "[auto, \"category/*\"]"},
    {.name = "priority",
     .type = KEY_CHOICE,
     .offset = offsetof(struct tenant, priority),
     .fallback = "normal",
     .choices = priority_words,
     .sentence = "how important the tenant's requests are: those of high get four times as many "
                 "turns in the queue of an expert as those of normal, and those four times as many "
                 "as low; low is refused first when the gateway has too much to do"},
    {.name = "allow_headers",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct tenant, header_names),
     .sentence =
         "of expert, ban, max_price, priority: which x-expertd- headers may steer requests; "
         "x-expertd-priority may lower it in any case",
     .example = "[ban, max_price]"},
};

const struct keys tenant_keys = {"tenant", sizeof(struct tenant), rows,
                                 sizeof rows / sizeof rows[0],
                                 "Who may use the gateway. Without tenants it is open to everybody "
                                 "on this machine."};

/* ---------------------------------------------------------------- decoding */

enum status tenants_read_day(struct str text, int64_t *ret_seconds)
{
    static const struct str shape = STR_INIT("dddd-dd-dd");

    int digits[8] = {0};
    size_t count = 0;
    if (text.len != shape.len) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < shape.len; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (shape.ptr[i] == 'd' ? !is_digit : c != shape.ptr[i]) {
            return ST_INVALID;
        }
        if (is_digit) {
            digits[count++] = c - '0';
        }
    }
    int year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    int month = digits[4] * 10 + digits[5];
    int day = digits[6] * 10 + digits[7];
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    time_t seconds = timegm(&tm);
    bool is_day = tm.tm_mon == month - 1 && tm.tm_mday == day; /* else timegm has moved it */
    if (!is_day || year < 1970) {
        return ST_INVALID;
    }
    *ret_seconds = seconds;
    return ST_OK;
}

static enum status decode_day(struct key_reader *reader, const struct yaml_node *node, void *field)
{
    if (node->kind != YAML_SCALAR || tenants_read_day(node->text, field) != ST_OK) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"expires\" must be a day, as in 2027-01-01");
    }
    return ST_OK;
}

static enum status decode_budget(struct key_reader *reader, const struct yaml_node *node,
                                 void *field)
{
    struct tenant_budget *budget = field;
    enum status st = keys_decode(&tenant_budget_keys, reader, node, budget);
    budget->is_set = true;
    return st == ST_NO_MEMORY ? st : ST_OK; /* mistakes are counted in the diagnostics */
}

static enum status decode_key(struct key_reader *reader, const struct yaml_node *node,
                              struct tenant_key *key)
{
    if (node->kind == YAML_SCALAR) {
        key->pos = node->pos;
        return api_key_decode(reader, node, &key->digest);
    }
    enum status st = keys_decode(&key_keys, reader, node, key);
    const struct yaml_node *expires = yaml_get(node, STR("expires"));
    key->expires = expires == NULL ? STR("") : expires->text;
    key->pos = node->pos;
    return st == ST_NO_MEMORY ? st : ST_OK; /* mistakes are counted in the diagnostics */
}

static enum status decode_keys(struct key_reader *reader, const struct yaml_node *node, void *field)
{
    struct tenant_keys *keys = field;
    if (node->kind != YAML_SEQUENCE) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"keys\" must be a list of digests");
        return ST_OK;
    }
    keys->items = arena_alloc(reader->arena, (node->count + 1) * sizeof *keys->items);
    if (keys->items == NULL) {
        return ST_NO_MEMORY;
    }
    keys->count = node->count;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < node->count; i++) {
        st = decode_key(reader, node->items[i], &keys->items[i]);
    }
    return st;
}

/* ---------------------------------------------------------------- checks */

struct checker {
    struct key_reader *reader;
    struct str file;
    const struct routes *routes;
    struct table *names; /* of tenants -> tenant */
};

static bool is_name(struct str name)
{
    bool is_good = name.len > 0 && name.len <= NAME_MAX_BYTES;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        is_good = is_good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-');
    }
    return is_good;
}

static enum status check_name(struct checker *c, struct tenant *t)
{
    if (!is_name(t->name)) {
        diags_add(c->reader->diags, DIAG_ERROR, c->file, t->id.pos,
                  "a tenant's \"name\" has 1 to %d letters, digits, \".\", \"_\" and \"-\"",
                  (int)NAME_MAX_BYTES);
        return ST_OK;
    }
    if (table_get(c->names, t->name) != NULL) {
        diags_add(c->reader->diags, DIAG_ERROR, c->file, t->id.pos,
                  "there are two tenants \"%.*s\"", STR_ARG(t->name));
    }
    return table_put(c->names, t->name, t, NULL);
}

static bool any_category_fits(const struct routes *routes, struct str pattern)
{
    const struct category *categories = routes->categories.items;
    for (size_t i = 0; i < routes->categories.count; i++) {
        if (glob_matches(pattern, categories[i].model)) {
            return true;
        }
    }
    return false;
}

static bool anything_fits(const struct routes *routes, struct str pattern)
{
    const struct expert *experts = routes->experts.items;
    bool is_found = (routes_has_auto(routes) && glob_matches(pattern, STR("auto"))) ||
                    any_category_fits(routes, pattern);
    for (size_t i = 0; !is_found && i < routes->aliases.count; i++) {
        is_found = glob_matches(pattern, routes->aliases.items[i].name);
    }
    for (size_t i = 0; !is_found && i < routes->experts.count; i++) {
        is_found = glob_matches(pattern, experts[i].id.name);
    }
    const struct rule *rules = routes->rules.items;
    for (size_t i = 0; !is_found && i < routes->rules.count; i++) {
        is_found = rules[i].when.model.len > 0 && glob_matches(pattern, rules[i].when.model);
    }
    return is_found;
}

static void check_allow(struct checker *c, struct tenant *t)
{
    bool has_auto = false;
    bool has_category = false;
    t->permit = (struct permit){.allow = t->allow.items, .allow_count = t->allow.count};
    for (size_t i = 0; i < t->allow.count; i++) {
        struct str pattern = t->allow.items[i];
        has_auto = has_auto || glob_matches(pattern, STR("auto"));
        has_category = has_category || any_category_fits(c->routes, pattern);
        if (!anything_fits(c->routes, pattern)) {
            diags_add(c->reader->diags, DIAG_ERROR, c->file, t->id.pos,
                      "tenant \"%.*s\" may use \"%s\", which fits no model", STR_ARG(t->name),
                      yaml_shown(pattern).text);
        }
    }
    if (has_auto && !has_category && c->routes->general != NULL) {
        diags_add(c->reader->diags, DIAG_ERROR, c->file, t->id.pos,
                  "tenant \"%.*s\" may use \"auto\" but no category that it could lead to: allow "
                  "\"category/*\", or some",
                  STR_ARG(t->name));
    }
}

static void check_headers(struct checker *c, struct tenant *t)
{
    static const struct {
        struct str name;
        unsigned bit;
    } table[] = {{STR_INIT("expert"), TENANT_EXPERT},
                 {STR_INIT("ban"), TENANT_BAN},
                 {STR_INIT("max_price"), TENANT_MAX_PRICE},
                 {STR_INIT("priority"), TENANT_PRIORITY}};

    for (size_t i = 0; i < t->header_names.count; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
            bit = str_eq(t->header_names.items[i], table[k].name) ? table[k].bit : bit;
        }
        t->headers |= bit;
        if (bit == 0) {
            diags_add(
                c->reader->diags, DIAG_ERROR, c->file, t->id.pos,
                "tenant \"%.*s\": \"allow_headers\" knows expert, ban, max_price and priority, "
                "not "
                "\"%s\"",
                STR_ARG(t->name), yaml_shown(t->header_names.items[i]).text);
        }
    }
}

static struct str text_of(const struct tenant_key *key)
{
    return (struct str){(const char *)key->digest.digest.bytes, sizeof key->digest.digest.bytes};
}

static struct str id_of(const struct checker *c, const struct tenant_key *key)
{
    char text[DIGEST_TEXT_BYTES];
    digest_write(&key->digest.digest, text);
    return key->name.len > 0 ? key->name
                             : arena_copy(c->reader->arena,
                                          str_slice(str_from(text), STR("sha256:").len, ID_DIGITS));
}

static enum status add_keys(struct checker *c, struct tenants *tenants, const struct tenant *t)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < t->keys.count; i++) {
        struct tenant_key *key = &t->keys.items[i];
        struct tenant_key *other = table_get(tenants->digests, text_of(key));
        key->tenant = t;
        key->id = id_of(c, key);
        if (key->id.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        if (other != NULL) {
            diags_add(c->reader->diags, DIAG_ERROR, c->file, key->pos,
                      "this key stands here twice, first in line %d", other->pos.line);
        }
        st = table_put(tenants->digests, text_of(key), key, NULL);
    }
    return st;
}

static enum status check_all(struct checker *c, struct tenants *tenants)
{
    struct tenant *list = tenants->list.items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < tenants->list.count; i++) {
        st = check_name(c, &list[i]);
        check_allow(c, &list[i]);
        check_headers(c, &list[i]);
        if (st == ST_OK) {
            st = add_keys(c, tenants, &list[i]);
        }
    }
    return st;
}

bool tenants_have(const struct tenants *tenants, struct str name)
{
    const struct tenant *list = tenants->list.items;
    for (size_t i = 0; i < tenants->list.count; i++) {
        if (str_eq(list[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Tenants that guarantees name exist. */
static void check_guarantees(const struct tenants *tenants, const struct routes *routes,
                             struct key_reader *reader, struct str file)
{
    const struct guarantee *list = routes->guarantees.items;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        const struct key_texts *names = &list[i].when.tenant;
        for (size_t k = 0; k < names->count; k++) {
            if (!tenants_have(tenants, names->items[k])) {
                diags_add(reader->diags, DIAG_ERROR, file, list[i].id.pos,
                          "guarantee \"%.*s\": unknown tenant \"%.*s\"", STR_ARG(list[i].name),
                          STR_ARG(names->items[k]));
            }
        }
    }
}

enum status tenants_build(struct tenants *tenants, const struct routes *routes,
                          struct key_reader *reader, struct str file)
{
    size_t errors = reader->diags->errors;
    check_guarantees(tenants, routes, reader, file);
    if (tenants->list.count == 0) {
        return reader->diags->errors != errors ? ST_INVALID : ST_OK;
    }
    tenants->digests = table_create();
    struct checker c = {reader, file, routes, table_create()};
    enum status st = tenants->digests == NULL || c.names == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = check_all(&c, tenants);
    }
    table_destroy(c.names);
    return st == ST_OK && reader->diags->errors != errors ? ST_INVALID : st;
}

void tenants_fini(struct tenants *tenants)
{
    table_destroy(tenants->digests);
    tenants->digests = NULL;
}

/* ---------------------------------------------------------------- questions */

struct tenant_key *tenants_key(const struct tenants *tenants, struct str digest)
{
    return tenants->digests == NULL ? NULL : table_get(tenants->digests, digest);
}

enum status tenants_find(const struct tenants *tenants, struct str key, int64_t now_s,
                         const struct tenant_key **ret_key)
{
    struct digest digest;
    if (tenants->digests == NULL || key.len == 0) {
        return ST_NOT_FOUND;
    }
    digest_of(key, &digest);
    struct str text = {(const char *)digest.bytes, sizeof digest.bytes};
    const struct tenant_key *found = tenants_key(tenants, text);
    if (found == NULL || !digest_eq(&digest, &found->digest.digest) || found->is_revoked) {
        return ST_NOT_FOUND;
    }
    if (found->expires_s != 0 && now_s >= found->expires_s) {
        return ST_TIMEOUT;
    }
    *ret_key = found;
    return ST_OK;
}
