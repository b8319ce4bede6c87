/* See redact_vault.h. */
#include "policies/redact_vault.h"

#include "base/assert.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/table.h"
#include "policies/redact_char.h"

enum {
    DIGITS_MAX = 9, /* longer numbers are nobody's placeholders */
    NUMBER_MAX = 999999999,
};

struct entry {
    struct str value;
    struct str placeholder;
};

struct label {
    struct str text;
    uint64_t last;        /* number given out last, or seen in the request */
    size_t count;         /* values put, repeated ones too */
    struct table *values; /* value -> struct entry; NULL: none yet */
};

struct redact_vault {
    struct arena *arena;
    struct table *placeholders; /* -> struct entry */
    size_t label_count;
    struct label labels[REDACT_LABELS_MAX];
};

struct redact_vault *redact_vault_create(const struct str *labels, size_t count,
                                         struct arena *arena)
{
    ASSERT(count <= REDACT_LABELS_MAX);
    struct redact_vault *v = mem_zalloc(1, sizeof *v);
    if (v == NULL) {
        return NULL;
    }
    v->arena = arena;
    v->label_count = count;
    v->placeholders = table_create();
    if (v->placeholders == NULL) {
        mem_free(v);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        ASSERT(labels[i].len <= REDACT_LABEL_MAX);
        v->labels[i].text = labels[i];
    }
    return v;
}

void redact_vault_destroy(struct redact_vault *v)
{
    if (v == NULL) {
        return;
    }
    for (size_t i = 0; i < v->label_count; i++) {
        table_destroy(v->labels[i].values);
    }
    table_destroy(v->placeholders);
    mem_free(v);
}

/* The number in `LABEL_n]` at the start of the text; 0: there is none. */
static uint64_t number_of(struct str text, struct str label)
{
    uint64_t number = 0;
    size_t at = label.len + 1;
    if (!str_starts_with(text, label) || redact_char_at(text, label.len) != '_') {
        return 0;
    }
    while (redact_char_is_digit(redact_char_at(text, at)) && at - label.len <= DIGITS_MAX) {
        number = number * 10 + (uint64_t)(text.ptr[at++] - '0');
    }
    return redact_char_at(text, at) == ']' ? number : 0;
}

void redact_vault_avoid(struct redact_vault *v, struct str text)
{
    for (size_t at = str_find_char(text, '['); at < text.len;) {
        text = str_slice(text, at + 1, text.len);
        for (size_t i = 0; i < v->label_count; i++) {
            uint64_t number = number_of(text, v->labels[i].text);
            v->labels[i].last = number > v->labels[i].last ? number : v->labels[i].last;
        }
        at = str_find_char(text, '[');
    }
}

static enum status add_entry(struct redact_vault *v, struct label *label, struct str value,
                             struct entry **ret_entry)
{
    struct entry *e = arena_alloc(v->arena, sizeof *e);
    if (e == NULL) {
        return ST_NO_MEMORY;
    }
    if (label->last >= NUMBER_MAX) {
        return ST_TOO_BIG; /* the request has the highest itself, and may have any longer one */
    }
    e->value = arena_copy(v->arena, value);
    e->placeholder = arena_printf(v->arena, "[%.*s_%llu]", STR_ARG(label->text),
                                  (unsigned long long)label->last + 1);
    if (e->value.ptr == NULL || e->placeholder.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = table_put(label->values, e->value, e, NULL);
    if (st == ST_OK) {
        st = table_put(v->placeholders, e->placeholder, e, NULL);
    }
    label->last += st == ST_OK;
    *ret_entry = e;
    return st;
}

enum status redact_vault_put(struct redact_vault *v, unsigned number, struct str value,
                             struct str *ret_placeholder)
{
    ASSERT(number < v->label_count);
    struct label *label = &v->labels[number];
    if (label->values == NULL) {
        label->values = table_create();
    }
    if (label->values == NULL) {
        return ST_NO_MEMORY;
    }
    struct entry *e = table_get(label->values, value);
    if (e == NULL) {
        if (table_count(v->placeholders) >= REDACT_VALUES_MAX) {
            return ST_TOO_BIG;
        }
        enum status st = add_entry(v, label, value, &e);
        if (st != ST_OK) {
            return st;
        }
    }
    label->count++;
    *ret_placeholder = e->placeholder;
    return ST_OK;
}

size_t redact_vault_count(const struct redact_vault *v, unsigned label)
{
    return label < v->label_count ? v->labels[label].count : 0;
}

bool redact_vault_is_empty(const struct redact_vault *v)
{
    return table_count(v->placeholders) == 0;
}

/* Whether the text, which begins with "[", could go on as a placeholder of this vault. */
static bool may_begin(const struct redact_vault *v, struct str text)
{
    struct str rest = str_slice(text, 1, text.len);
    if (text.len >= REDACT_PLACEHOLDER_MAX) {
        return false;
    }
    for (size_t i = 0; i < v->label_count; i++) {
        const struct label *label = &v->labels[i];
        if (label->count == 0) {
            continue;
        }
        if (str_starts_with(label->text, rest)) {
            return true;
        }
        size_t at = label->text.len;
        if (!str_starts_with(rest, label->text) || redact_char_at(rest, at) != '_') {
            continue;
        }
        for (at++; redact_char_is_digit(redact_char_at(rest, at));) {
            at++;
        }
        if (at >= rest.len) {
            return true;
        }
    }
    return false;
}

enum status redact_vault_restore(const struct redact_vault *v, struct str text,
                                 enum redact_restore how, bool is_nested, struct buf *out,
                                 size_t *ret_left)
{
    *ret_left = 0;
    while (text.len > 0) {
        size_t open = str_find_char(text, '[');
        enum status st = buf_append(out, str_slice(text, 0, open));
        text = str_slice(text, open, text.len);
        if (st != ST_OK || text.len == 0) {
            return st;
        }
        struct str near = str_slice(text, 0, REDACT_PLACEHOLDER_MAX);
        size_t close = str_find_char(near, ']');
        struct entry *e =
            close < near.len ? table_get(v->placeholders, str_slice(near, 0, close + 1)) : NULL;
        if (e == NULL && how == REDACT_GOES_ON && close == near.len && may_begin(v, text)) {
            *ret_left = text.len;
            return ST_OK;
        }
        struct str put = e == NULL ? str_slice(text, 0, 1) : e->value;
        st = e != NULL && is_nested ? json_write_escaped(out, put) : buf_append(out, put);
        if (st != ST_OK) {
            return st;
        }
        text = str_slice(text, e == NULL ? 1 : close + 1, text.len);
    }
    return ST_OK;
}
