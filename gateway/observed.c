/* See observed.h. */
#include "gateway/observed.h"

#include <math.h>
#include <string.h>

#include "gateway/ledger.h"

static const double REQUESTS_PRICED = 1000.0; /* SCORE_PRICE is in USD for so many */
static const double NANO_PER_USD = 1e9;

struct reading {
    const struct placement *p;
    struct observed *o;
};

static void count_request(const struct reading *r, struct str category)
{
    for (size_t c = 0; c < r->p->categories; c++) {
        if (str_eq(score_table_category(r->p->table, c), category)) {
            r->o->requests[c] += 1.0;
            r->o->inside += 1.0;
            return;
        }
    }
    r->o->elsewhere += 1.0;
}

static void count_answer(struct observed_expert *e, const struct ledger_row *row)
{
    bool is_priced = row->cost_nano_usd != LEDGER_COST_UNKNOWN;
    e->answers += 1.0;
    e->prompt_tokens += (double)row->prompt_tokens;
    e->completion_tokens += (double)row->completion_tokens;
    e->ms += (double)(row->ended_ms - row->started_ms);
    e->priced += is_priced ? 1.0 : 0.0;
    e->nano_usd += is_priced ? (double)row->cost_nano_usd : 0.0;
}

static enum status see(void *ctx, const struct ledger_row *row)
{
    const struct reading *r = ctx;
    if (str_eq(row->outcome, STR("cached"))) {
        return ST_OK; /* it costs nothing, whoever would have answered */
    }
    if (row->attempt == 1) {
        count_request(r, row->category);
    }
    if (!str_eq(row->outcome, STR("ok"))) {
        return ST_OK;
    }
    count_answer(&r->o->all, row);
    for (size_t e = 0; e < r->p->experts; e++) {
        if (str_eq(r->p->expert[e].name, row->expert)) {
            count_answer(&r->o->experts[e], row);
        }
    }
    return ST_OK;
}

enum status observed_read(struct db *db, int64_t since_ms, const struct placement *p,
                          struct observed *ret)
{
    const struct ledger_filter filter = {.since_ms = since_ms};
    struct reading r = {p, ret};
    memset(ret, 0, sizeof *ret);
    return ledger_each(db, &filter, see, &r);
}

enum status observed_share(const struct observed *o, struct placement *p)
{
    if (!(o->inside > 0.0)) {
        return ST_NOT_FOUND;
    }
    for (size_t c = 0; c < p->categories; c++) {
        p->shares[c] = o->requests[c] / o->inside;
    }
    return ST_OK;
}

/* Of a request, as the table says it: USD for 1,000; NaN: too few answers. */
static double price_of(const struct observed_expert *e)
{
    return e->priced >= OBSERVED_LEAST_ANSWERS
               ? e->nano_usd / e->priced * REQUESTS_PRICED / NANO_PER_USD
               : (double)NAN;
}

static double latency_of(const struct observed_expert *e)
{
    return e->answers >= OBSERVED_LEAST_ANSWERS ? e->ms / e->answers : (double)NAN;
}

void observed_fill(const struct observed *o, struct placement *p)
{
    for (size_t e = 0; e < p->experts; e++) {
        double *traits = p->expert[e].traits;
        const struct observed_expert *seen = &o->experts[e];
        traits[SCORE_PRICE] = isnan(traits[SCORE_PRICE]) ? price_of(seen) : traits[SCORE_PRICE];
        traits[SCORE_LATENCY] =
            isnan(traits[SCORE_LATENCY]) ? latency_of(seen) : traits[SCORE_LATENCY];
    }
}

/* NaN: nothing is known. */
static enum status write_number(struct buf *out, double value)
{
    return isnan(value) ? buf_append(out, STR("         -")) : buf_printf(out, " %9.5g", value);
}

static enum status write_row(struct buf *out, struct str name, const struct observed_expert *e)
{
    double n = e->answers > 0.0 ? e->answers : (double)NAN;
    const double columns[] = {e->prompt_tokens / n, e->completion_tokens / n, price_of(e),
                              latency_of(e)};
    enum status st = buf_printf(out, "%-22.*s %8.0f", STR_ARG(name), e->answers);
    for (size_t i = 0; st == ST_OK && i < sizeof columns / sizeof columns[0]; i++) {
        st = write_number(out, columns[i]);
    }
    return st == ST_OK ? buf_append_char(out, '\n') : st;
}

enum status observed_write(const struct observed *o, const struct placement *p, struct buf *out)
{
    enum status st = buf_printf(
        out,
        "ledger: %.0f requests in these categories, %.0f elsewhere\n%-22s %8s %9s %9s %9s %9s\n",
        o->inside, o->elsewhere, "expert", "answers", "tokens in", "out", "USD/1k", "ms");
    for (size_t e = 0; st == ST_OK && e < p->experts; e++) {
        st = write_row(out, p->expert[e].name, &o->experts[e]);
    }
    return st == ST_OK ? buf_append_char(out, '\n') : st;
}
