/* Previews for programs and for people, see preview.h. */
#include <inttypes.h>

#include "base/json_write.h"
#include "gateway/preview.h"

static const double NANO = 1e-9;

static double total_usd(const struct preview_list *experts, bool is_after)
{
    double sum = 0.0;
    for (size_t i = 0; i < experts->count; i++) {
        const struct preview_name *n = &experts->items[i];
        sum += (double)(is_after ? n->after_nano_usd : n->before_nano_usd);
    }
    return sum * NANO;
}

/* Those that were refused. */
static struct preview_name refused(const struct preview *p)
{
    for (size_t i = 0; i < p->experts.count; i++) {
        if (p->experts.items[i].name.len == 0) {
            return p->experts.items[i];
        }
    }
    return (struct preview_name){.before = 0};
}

static bool is_lost(const struct preview_name *n)
{
    return n->name.len > 0 && n->before > 0 && n->after == 0;
}

/* ---------------------------------------------------------------- JSON */

static enum status write_list(struct buf *out, const char *name, const struct preview_list *list,
                              bool has_cost)
{
    enum status st = buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; st == ST_OK && i < list->count; i++) {
        const struct preview_name *n = &list->items[i];
        st = buf_append(out, i == 0 ? STR("{\"name\":") : STR(",{\"name\":"));
        if (st == ST_OK) {
            st = json_write_text(out, n->name);
        }
        if (st == ST_OK) {
            st = buf_printf(out, ",\"before\":%" PRId64 ",\"after\":%" PRId64, n->before, n->after);
        }
        if (st == ST_OK && has_cost) {
            st = buf_printf(out, ",\"cost_usd_before\":%.9f,\"cost_usd_after\":%.9f",
                            (double)n->before_nano_usd * NANO, (double)n->after_nano_usd * NANO);
        }
        st = st == ST_OK ? buf_append_char(out, '}') : st;
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

static enum status write_spending(struct buf *out, const char *name,
                                  const struct preview_spending *s)
{
    if (!s->is_there) {
        return buf_printf(out, ",\"%s\":null", name);
    }
    return buf_printf(out,
                      ",\"%s\":{\"limit_usd\":%.9f,\"already_usd\":%.9f,\"cost_usd\":%.9f,"
                      "\"hits\":%" PRId64 ",\"refused\":%" PRId64 "}",
                      name, (double)s->limit_nano_usd * NANO, (double)s->already_nano_usd * NANO,
                      (double)s->nano_usd * NANO, s->hits, s->refused);
}

static enum status write_budgets(struct buf *out, const struct preview *p)
{
    enum status st = buf_append(out, STR(",\"budgets\":["));
    for (size_t i = 0; st == ST_OK && i < p->budget_count; i++) {
        st = buf_append(out, i == 0 ? STR("{\"name\":") : STR(",{\"name\":"));
        st = st == ST_OK ? json_write_text(out, p->budgets[i].name) : st;
        st = st == ST_OK ? write_spending(out, "before", &p->budgets[i].sides[0]) : st;
        st = st == ST_OK ? write_spending(out, "after", &p->budgets[i].sides[1]) : st;
        st = st == ST_OK ? buf_append_char(out, '}') : st;
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* The facts that guesses miss. */
static enum status write_gaps(struct buf *out, const struct preview *p)
{
    bool is_first = true;
    enum status st = buf_append(out, STR(",\"missing\":{"));
    for (size_t i = 0; st == ST_OK && i < GAP_KINDS_COUNT; i++) {
        if (p->gaps[i] > 0) {
            st = buf_printf(out, "%s\"%s\":%" PRId64, is_first ? "" : ",",
                            gap_word((enum gap_kind)i), p->gaps[i]);
            is_first = false;
        }
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_moves(struct buf *out, const struct preview *p)
{
    enum status st = buf_append(out, STR(",\"moves\":["));
    for (size_t i = 0; st == ST_OK && i < p->move_count; i++) {
        st = buf_append(out, i == 0 ? STR("{\"from\":") : STR(",{\"from\":"));
        if (st == ST_OK) {
            st = json_write_text(out, p->moves[i].from);
        }
        if (st == ST_OK) {
            st = buf_append(out, STR(",\"to\":"));
        }
        if (st == ST_OK) {
            st = json_write_text(out, p->moves[i].to);
        }
        if (st == ST_OK) {
            st = buf_printf(out, ",\"requests\":%" PRId64 "}", p->moves[i].requests);
        }
    }
    return st == ST_OK ? buf_printf(out, "],\"moves_unlisted\":%" PRId64, p->moves_unlisted) : st;
}

static enum status write_names(struct buf *out, const struct preview *p)
{
    bool is_first = true;
    enum status st = buf_append(out, STR(",\"no_longer_chosen\":["));
    for (size_t i = 0; st == ST_OK && i < p->experts.count; i++) {
        if (!is_lost(&p->experts.items[i])) {
            continue;
        }
        st = is_first ? ST_OK : buf_append_char(out, ',');
        st = st == ST_OK ? json_write_text(out, p->experts.items[i].name) : st;
        is_first = false;
    }
    if (st == ST_OK) {
        st = buf_append(out, STR("],\"untried_rules\":["));
    }
    for (size_t i = 0; st == ST_OK && i < p->rule_count; i++) {
        st = i == 0 ? ST_OK : buf_append_char(out, ',');
        st = st == ST_OK ? json_write_text(out, p->rules[i]) : st;
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

enum status preview_write(const struct preview *p, struct buf *out)
{
    char before[DIGEST_TEXT_BYTES];
    char after[DIGEST_TEXT_BYTES];
    struct preview_name none = refused(p);
    digest_write(&p->before->digest, before);
    digest_write(&p->after->digest, after);
    enum status st = buf_printf(
        out,
        "{\"object\":\"preview\",\"before\":\"%s\",\"after\":\"%s\",\"requests\":%" PRId64
        ",\"guesses\":%" PRId64 ",\"changed\":{\"category\":%" PRId64 ",\"expert\":%" PRId64
        "},\"refused\":{\"before\":%" PRId64 ",\"after\":%" PRId64
        "},\"cost_usd\":{\"before\":%.9f,\"after\":%.9f}",
        before, after, p->requests, p->guesses, p->new_categories, p->new_experts, none.before,
        none.after, total_usd(&p->experts, false), total_usd(&p->experts, true));
    if (st == ST_OK) {
        st = write_list(out, "categories", &p->categories, false);
    }
    if (st == ST_OK) {
        st = write_list(out, "experts", &p->experts, true);
    }
    if (st == ST_OK) {
        st = write_budgets(out, p);
    }
    if (st == ST_OK) {
        st = write_gaps(out, p);
    }
    if (st == ST_OK) {
        st = write_moves(out, p);
    }
    if (st == ST_OK) {
        st = write_names(out, p);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

/* ---------------------------------------------------------------- text */

static enum status write_table(struct buf *out, const char *what, const struct preview_list *list,
                               const char *nameless)
{
    enum status st = buf_printf(out, "\n%-28s %9s %9s %14s %14s\n", what, "before", "after",
                                "USD before", "USD after");
    for (size_t i = 0; st == ST_OK && i < list->count; i++) {
        const struct preview_name *n = &list->items[i];
        struct str name = n->name.len > 0 ? n->name : str_from(nameless);
        if (n->before == 0 && n->after == 0) {
            continue;
        }
        st = buf_printf(out, "%-28.*s %9" PRId64 " %9" PRId64 " %14.6f %14.6f%s\n", STR_ARG(name),
                        n->before, n->after, (double)n->before_nano_usd * NANO,
                        (double)n->after_nano_usd * NANO, is_lost(n) ? "  no longer chosen" : "");
    }
    return st;
}

static enum status write_budget_table(struct buf *out, const struct preview *p)
{
    enum status st = p->budget_count == 0 ? ST_OK
                                          : buf_printf(out, "\n%-28s %9s %9s %14s %14s %14s\n",
                                                       "budget", "hit before", "hit after",
                                                       "USD already", "USD before", "USD after");
    for (size_t i = 0; st == ST_OK && i < p->budget_count; i++) {
        const struct preview_spending *s = p->budgets[i].sides;
        int64_t already = s[s[1].is_there ? 1 : 0].already_nano_usd;
        st = buf_printf(out, "%-28.*s %9" PRId64 " %9" PRId64 " %14.6f %14.6f %14.6f%s\n",
                        STR_ARG(p->budgets[i].name), s[0].hits, s[1].hits, (double)already * NANO,
                        (double)s[0].nano_usd * NANO, (double)s[1].nano_usd * NANO,
                        !s[0].is_there   ? "  new"
                        : !s[1].is_there ? "  gone"
                                         : "");
    }
    return st;
}

enum status preview_write_text(const struct preview *p, struct buf *out)
{
    struct preview_name none = refused(p);
    enum status st =
        buf_printf(out,
                   "%" PRId64 " requests: %" PRId64 " get another category, %" PRId64
                   " another first expert; refused %" PRId64 " before, %" PRId64
                   " after; estimated cost %.6f USD before, %.6f after\n",
                   p->requests, p->new_categories, p->new_experts, none.before, none.after,
                   total_usd(&p->experts, false), total_usd(&p->experts, true));
    if (st == ST_OK && p->guesses > 0) {
        st = buf_printf(out,
                        "%" PRId64 " of them are guesses: what was noted of them does not tell "
                        "all that is asked\n",
                        p->guesses);
    }
    for (size_t i = 0; st == ST_OK && i < GAP_KINDS_COUNT; i++) {
        st = p->gaps[i] == 0 ? ST_OK
                             : buf_printf(out, "%9" PRId64 "  %s\n", p->gaps[i],
                                          gap_sentence((enum gap_kind)i));
    }
    for (size_t i = 0; st == ST_OK && i < p->rule_count; i++) {
        st = buf_printf(out, "not tried: rule \"%.*s\" asks for texts or headers\n",
                        STR_ARG(p->rules[i]));
    }
    st = st == ST_OK ? write_table(out, "expert", &p->experts, "(refused)") : st;
    st = st == ST_OK ? write_table(out, "category", &p->categories, "(named expert)") : st;
    st = st == ST_OK ? write_budget_table(out, p) : st;
    for (size_t i = 0; st == ST_OK && i < p->move_count; i++) {
        const struct preview_move *m = &p->moves[i];
        st = buf_printf(out, "%s%9" PRId64 "  %.*s -> %.*s\n", i == 0 ? "\n" : "", m->requests,
                        STR_ARG(m->from), STR_ARG(m->to));
    }
    return st;
}
