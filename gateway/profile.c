/* See profile.h. */
#include "gateway/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"

struct count {
    struct profile *profile;
    struct arena *arena;
};

static struct profile_expert *find(struct profile *p, struct str name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (str_eq(p->experts[i].name, name)) {
            return &p->experts[i];
        }
    }
    return NULL;
}

static enum status on_row(void *ctx, const struct ledger_row *row)
{
    const struct count *c = ctx;
    struct profile *p = c->profile;
    if (row->expert.len == 0 || str_eq(row->outcome, STR("cached"))) {
        return ST_OK;
    }
    struct profile_expert *e = find(p, row->expert);
    if (e == NULL) {
        if (p->count == PROFILE_EXPERTS_MAX) {
            return ST_TOO_BIG;
        }
        e = &p->experts[p->count];
        *e = (struct profile_expert){.name = arena_copy(c->arena, row->expert),
                                     .bytes = PROFILE_NO_BYTES};
        if (e->name.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        p->count++;
    }
    e->requests++;
    e->tokens += row->prompt_tokens + row->completion_tokens;
    p->requests++;
    return ST_OK;
}

enum status profile_read(struct db *db, const struct ledger_filter *filter, struct arena *arena,
                         struct profile *ret)
{
    struct count c = {ret, arena};
    *ret =
        (struct profile){.experts = arena_alloc(arena, PROFILE_EXPERTS_MAX * sizeof *ret->experts)};
    return ret->experts == NULL ? ST_NO_MEMORY : ledger_each(db, filter, on_row, &c);
}

/* The most used first; of equals by name, so that the same ledger gives the same set. */
static int by_use(const void *a, const void *b)
{
    const struct profile_expert *x = a;
    const struct profile_expert *y = b;
    if (x->requests != y->requests) {
        return x->requests > y->requests ? -1 : 1;
    }
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.ptr, y->name.ptr, len);
    return order != 0 ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

void profile_cover(struct profile *p, double share)
{
    if (p->count > 0) {
        qsort(p->experts, p->count, sizeof *p->experts, by_use);
    }
    p->share = share;
    p->chosen = 0;
    p->covered = 0;
    while (p->chosen < p->count && (double)p->covered < share * (double)p->requests) {
        p->covered += p->experts[p->chosen++].requests;
    }
}

static double percent(const struct profile *p, int64_t requests)
{
    return p->requests == 0 ? 0.0 : 100.0 * (double)requests / (double)p->requests;
}

struct need { /* of the chosen */
    int64_t bytes;
    size_t unknown; /* experts whose memory is not known: kernels, and what runs elsewhere */
};

static struct need need_of(const struct profile *p)
{
    struct need need = {0, 0};
    for (size_t i = 0; i < p->chosen; i++) {
        bool is_known = p->experts[i].bytes != PROFILE_NO_BYTES;
        need.bytes += is_known ? p->experts[i].bytes : 0;
        need.unknown += is_known ? 0 : 1;
    }
    return need;
}

static double mib(int64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

enum status profile_write(const struct profile *p, struct buf *out)
{
    int64_t sum = 0;
    struct need need = need_of(p);
    enum status st = buf_printf(out, "%-24s %10s %12s %8s %8s %12s\n", "expert", "requests",
                                "tokens", "%", "sum %", "memory MiB");
    for (size_t i = 0; st == ST_OK && i < p->count; i++) {
        const struct profile_expert *e = &p->experts[i];
        sum += e->requests;
        if (i == p->chosen) {
            st = buf_printf(out, "-- the rest\n");
        }
        if (st == ST_OK) {
            st = buf_printf(out, "%-24.*s %10" PRId64 " %12" PRId64 " %8.2f %8.2f ",
                            STR_ARG(e->name), e->requests, e->tokens, percent(p, e->requests),
                            percent(p, sum));
        }
        if (st == ST_OK) {
            st = e->bytes == PROFILE_NO_BYTES ? buf_printf(out, "%12s\n", "-")
                                              : buf_printf(out, "%12.0f\n", mib(e->bytes));
        }
    }
    if (st == ST_OK) {
        st = buf_printf(out,
                        "\n%zu of %zu experts cover %.2f %% of %" PRId64
                        " requests (asked: %.2f %%) and take %.0f MiB",
                        p->chosen, p->count, percent(p, p->covered), p->requests, 100.0 * p->share,
                        mib(need.bytes));
    }
    if (st == ST_OK && need.unknown > 0) {
        st = buf_printf(out, ", and what the %zu without a figure take", need.unknown);
    }
    return st == ST_OK ? buf_append_char(out, '\n') : st;
}

enum status profile_write_json(const struct profile *p, struct buf *out)
{
    struct need need = need_of(p);
    enum status st =
        buf_printf(out,
                   "{\"requests\":%" PRId64 ",\"asked\":%.6f,\"covered\":%" PRId64
                   ",\"memory_bytes\":%" PRId64 ",\"memory_unknown\":%zu,\"experts\":[",
                   p->requests, p->share, p->covered, need.bytes, need.unknown);
    for (size_t i = 0; st == ST_OK && i < p->count; i++) {
        const struct profile_expert *e = &p->experts[i];
        st = buf_printf(out, "%s{\"expert\":", i == 0 ? "" : ",");
        if (st == ST_OK) {
            st = json_write_text(out, e->name);
        }
        if (st == ST_OK) {
            st = buf_printf(out, ",\"requests\":%" PRId64 ",\"tokens\":%" PRId64 ",\"chosen\":%s,",
                            e->requests, e->tokens, i < p->chosen ? "true" : "false");
        }
        if (st == ST_OK) {
            st = e->bytes == PROFILE_NO_BYTES
                     ? buf_append(out, STR("\"memory_bytes\":null}"))
                     : buf_printf(out, "\"memory_bytes\":%" PRId64 "}", e->bytes);
        }
    }
    return st == ST_OK ? buf_append(out, STR("]}\n")) : st;
}
