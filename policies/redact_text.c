/* See redact_text.h. */
#include "policies/redact_text.h"

enum {
    SOURCES_MAX = REDACT_LABELS_MAX - REDACT_KINDS + 1
};

struct source { /* of spans in order: the detector is the first, patterns follow */
    struct redact_span span;
    bool has_span;
};

struct merge {
    const struct redact_set *set;
    struct redact_matcher *matcher;
    struct str text;
    struct redact_scan scan;
    struct source sources[SOURCES_MAX];
    size_t count;
};

/* The source's next span that ends behind `from`. */
static enum status advance(struct merge *m, size_t i, size_t from)
{
    struct source *s = &m->sources[i];
    if (i == 0) {
        s->has_span = redact_next(&m->scan, &s->span);
        return ST_OK;
    }
    s->has_span = false;
    if (m->set->patterns[i - 1] == NULL) {
        return ST_OK;
    }
    enum status st =
        redact_matcher_find(m->matcher, m->set->patterns[i - 1], m->text, from, &s->span);
    s->span.kind = (unsigned)(REDACT_KINDS + i - 1);
    s->has_span = st == ST_OK;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The first span, joined with all that overlap it; of the longest one's kind. ST_NOT_FOUND. */
static enum status next_span(struct merge *m, struct redact_span *ret_span)
{
    struct redact_span all = {m->text.len, 0, 0};
    for (size_t i = 0; i < m->count; i++) {
        if (m->sources[i].has_span && m->sources[i].span.start < all.start) {
            all = m->sources[i].span;
        }
    }
    size_t longest = all.len;
    bool grows = all.len > 0;
    while (grows) {
        grows = false;
        for (size_t i = 0; i < m->count; i++) {
            const struct redact_span span = m->sources[i].span;
            if (!m->sources[i].has_span || span.start >= all.start + all.len) {
                continue;
            }
            size_t end = span.start + span.len;
            all.len = end > all.start + all.len ? end - all.start : all.len;
            all.kind = span.len > longest ? span.kind : all.kind;
            longest = span.len > longest ? span.len : longest;
            enum status st = advance(m, i, end);
            if (st != ST_OK) {
                return st;
            }
            grows = true;
        }
    }
    *ret_span = all;
    return all.len > 0 ? ST_OK : ST_NOT_FOUND;
}

enum status redact_text(const struct redact_set *set, struct redact_matcher *matcher,
                        struct redact_vault *vault, struct str text, struct buf *out)
{
    struct merge m = {.set = set, .matcher = matcher, .text = text};
    m.count = set->pattern_count + 1;
    redact_scan_init(&m.scan, text, set->kinds);
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < m.count; i++) {
        st = advance(&m, i, 0);
    }
    size_t done = 0;
    struct redact_span span = {0, 0, 0};
    while (st == ST_OK) {
        struct str placeholder;
        st = next_span(&m, &span);
        if (st != ST_OK) {
            break;
        }
        st =
            redact_vault_put(vault, span.kind, str_slice(text, span.start, span.len), &placeholder);
        if (st == ST_OK) {
            st = buf_append(out, str_slice(text, done, span.start - done));
        }
        if (st == ST_OK) {
            st = buf_append(out, placeholder);
        }
        done = span.start + span.len;
    }
    return st == ST_NOT_FOUND ? buf_append(out, str_slice(text, done, text.len)) : st;
}
