/* See explain.h. */
#include "gateway/explain.h"

#include <math.h>

#include "base/json_write.h"

enum {
    HEAD_SHARES_SHOWN = 4,
};

static const double NANO = 1e-9;

/* Appends "name": before a value; first decides on the comma. */
static enum status name(struct buf *out, const char *text, bool is_first)
{
    return buf_printf(out, "%s\"%s\":", is_first ? "" : ",", text);
}

static enum status text_member(struct buf *out, const char *key, struct str value, bool is_first)
{
    enum status st = name(out, key, is_first);
    return st == ST_OK ? json_write_text(out, value) : st;
}

static enum status real_member(struct buf *out, const char *key, double value, bool is_first)
{
    enum status st = name(out, key, is_first);
    return st == ST_OK ? json_write_real(out, value) : st;
}

/* Numbers for people: four decimals are more than the calibration is good for. */
static double rounded(float value)
{
    return (double)(int64_t)((double)value * 10000.0 + (value < 0 ? -0.5 : 0.5)) / 10000.0;
}

static enum status write_scores(struct buf *out, const struct routes *routes,
                                const struct decision *d)
{
    enum status st = buf_append(out, STR(",\"scores\":["));
    for (size_t i = 0; st == ST_OK && d->is_classified && i < d->scores.count; i++) {
        st = buf_append(out, i == 0 ? STR("{") : STR(",{"));
        if (st == ST_OK) {
            st = text_member(out, "label", classifier_label(routes->classifier, i), true);
        }
        if (st == ST_OK) {
            st = real_member(out, "probability", rounded(d->scores.p[i]), false);
        }
        if (st == ST_OK) {
            st = buf_append_char(out, '}');
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

static enum status write_evidence(struct buf *out, const struct routes *routes,
                                  struct decide_scratch *scratch, const struct decision *d)
{
    struct classifier_evidence evidence[EXPLAIN_EVIDENCE];
    size_t count = 0;
    if (d->source == DECIDE_EXAMPLES) {
        count = decide_explain_examples(routes, scratch, d, evidence, EXPLAIN_EVIDENCE);
    } else if (d->is_classified) {
        count =
            classifier_explain(routes->classifier, scratch->classifier, d->notes.segments,
                               d->notes.segment_count, d->scores.best, evidence, EXPLAIN_EVIDENCE);
    }
    enum status st = buf_append(out, STR(",\"evidence\":["));
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        st = buf_append(out, i == 0 ? STR("{") : STR(",{"));
        if (st == ST_OK) {
            st = text_member(out, "feature", evidence[i].feature, true);
        }
        if (st == ST_OK) {
            st = real_member(out, "weight", rounded(evidence[i].weight), false);
        }
        if (st == ST_OK) {
            st = buf_append_char(out, '}');
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* What the categories with examples say; of the surest, the line of the example most alike. */
static enum status write_examples(struct buf *out, const struct routes *routes,
                                  struct decide_scratch *scratch, const struct decision *d)
{
    if (!d->is_classified || routes->custom == NULL) {
        return ST_OK;
    }
    enum status st = buf_append(out, STR(",\"examples\":["));
    for (size_t i = 0; st == ST_OK && i < routes->custom_count; i++) {
        st = buf_append(out, i == 0 ? STR("{") : STR(",{"));
        if (st == ST_OK) {
            st = text_member(out, "category", routes->custom_categories[i]->id.name, true);
        }
        if (st == ST_OK) {
            st = real_member(out, "probability", rounded(d->custom_p[i]), false);
        }
        if (st == ST_OK) {
            st = real_member(out, "takes_from", rounded(CUSTOM_TAKES), false);
        }
        if (st == ST_OK && i == d->custom) {
            st =
                buf_printf(out, ",\"nearest_line\":%d", decide_nearest_example(routes, scratch, d));
        }
        if (st == ST_OK) {
            st = buf_append_char(out, '}');
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* "name":LABEL,"name_probability":P */
static enum status label_member(struct buf *out, const char *key, struct str label, float p)
{
    enum status st = text_member(out, key, label, false);
    if (st == ST_OK) {
        st = buf_printf(out, ",\"%s_probability\":", key);
    }
    return st == ST_OK ? json_write_real(out, rounded(p)) : st;
}

/* What the turns before the last one said to it. */
static enum status write_conversation(struct buf *out, const struct routes *routes,
                                      const struct decision *d)
{
    const struct conversation_notes *notes = &d->notes;
    if (!d->is_classified) {
        return ST_OK;
    }
    enum status st =
        buf_printf(out, ",\"conversation\":{\"turns\":%zu,\"changed\":%s,\"change\":", notes->turns,
                   notes->is_changed ? "true" : "false");
    if (st == ST_OK) {
        st = json_write_real(out, rounded(notes->change));
    }
    if (st == ST_OK) {
        st = text_member(out, "why", str_from(conversation_why(notes)), false);
    }
    if (st == ST_OK) {
        st = label_member(out, "topic", classifier_label(routes->classifier, notes->topic),
                          notes->topic_p);
    }
    if (st == ST_OK) {
        st = label_member(out, "alone", classifier_label(routes->classifier, notes->alone),
                          notes->alone_p);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

/* The inputs that moved a head most, up or down. */
static enum status write_shares(struct buf *out, const struct routes *routes, size_t head,
                                const float *x)
{
    struct heads_share shares[HEADS_SHARES_MAX];
    size_t count =
        heads_explain(classifier_heads(routes->classifier), head, x, routes->classifier, shares);
    size_t shown = count < HEAD_SHARES_SHOWN ? count : HEAD_SHARES_SHOWN;
    enum status st = buf_append_char(out, '[');
    for (size_t i = 0; st == ST_OK && i < shown; i++) {
        size_t top = i;
        for (size_t j = i + 1; j < count; j++) {
            top = fabsf(shares[j].weight) > fabsf(shares[top].weight) ? j : top;
        }
        struct heads_share share = shares[top];
        shares[top] = shares[i];
        shares[i] = share;
        st = buf_append(out, i == 0 ? STR("{") : STR(",{"));
        if (st == ST_OK) {
            st = text_member(out, "input", share.input, true);
        }
        if (st == ST_OK) {
            st = real_member(out, "weight", rounded(share.weight), false);
        }
        if (st == ST_OK) {
            st = buf_append_char(out, '}');
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* "name": */
static enum status head_name(struct buf *out, const struct heads *heads, size_t head)
{
    return buf_printf(out, "%s\"%.*s\":", head == 0 ? "" : ",", STR_ARG(heads->items[head].name));
}

/* What the heads say, and the inputs that moved each of them most. */
static enum status write_heads(struct buf *out, const struct routes *routes,
                               const struct prompt *prompt, const struct decision *d)
{
    if (d->head_count == 0) {
        return ST_OK;
    }
    const struct heads *heads = classifier_heads(routes->classifier);
    float x[HEADS_INPUTS_MAX];
    heads_inputs(heads, &d->scores, prompt_last_text(prompt), x);
    enum status st = buf_append(out, STR(",\"heads\":{"));
    for (size_t i = 0; st == ST_OK && i < d->head_count; i++) {
        st = head_name(out, heads, i);
        if (st == ST_OK) {
            st = json_write_real(out, rounded(d->heads[i]));
        }
    }
    if (st == ST_OK) {
        st = buf_append(out, STR("},\"heads_evidence\":{"));
    }
    for (size_t i = 0; st == ST_OK && i < d->head_count; i++) {
        st = head_name(out, heads, i);
        if (st == ST_OK) {
            st = write_shares(out, routes, i, x);
        }
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_candidate(struct buf *out, const struct policy_candidate *c, bool is_first)
{
    bool is_in = c->dropped_by == NULL;
    enum status st = buf_append(out, is_first ? STR("{") : STR(",{"));
    if (st == ST_OK) {
        st = text_member(out, "expert", c->name, true);
    }
    if (st == ST_OK) {
        st = text_member(out, "verdict", is_in ? STR("keep") : STR("drop"), false);
    }
    if (st == ST_OK && !is_in) {
        st = text_member(out, "policy", str_from(c->dropped_by), false);
    }
    if (st == ST_OK) {
        st = text_member(out, "reason", str_from(c->reason), false);
    }
    if (st == ST_OK) {
        st = real_member(out, "score", c->score, false);
    }
    if (st == ST_OK) {
        st = real_member(out, "rank", c->rank, false);
    }
    if (st == ST_OK) {
        st = real_member(out, "cost_usd", (double)c->cost_nano_usd * NANO, false);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_list(struct buf *out, const struct policy_candidate *candidates,
                              size_t count)
{
    enum status st = buf_append(out, STR(",\"candidates\":["));
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        st = write_candidate(out, &candidates[i], i == 0);
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* Where a guarantee took the prompt away from, and whom it left there. */
static enum status write_left(struct buf *out, const struct decision *d)
{
    if (d->left.category == NULL) {
        return ST_OK;
    }
    enum status st = buf_append(out, STR(",\"left\":{"));
    if (st == ST_OK) {
        st = text_member(out, "category", d->left.category->id.name, true);
    }
    if (st == ST_OK) {
        st = write_list(out, d->left.candidates, d->left.count);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_candidates(struct buf *out, const struct decision *d)
{
    enum status st = write_left(out, d);
    if (st == ST_OK) {
        st = write_list(out, d->candidates, d->candidate_count);
    }
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"plan\":["));
    }
    for (size_t i = 0; st == ST_OK && i < d->plan.count && i < d->plan.attempts_max; i++) {
        st = i == 0 ? ST_OK : buf_append_char(out, ',');
        if (st == ST_OK) {
            st = json_write_text(out, d->plan.experts[i]->id.name);
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

static enum status write_kind(struct buf *out, const struct routes *routes,
                              const struct prompt *prompt, const struct decision *d)
{
    struct guard guard = decide_guard(routes, prompt, d);
    enum status st = text_member(out, "kind", str_from(guards_kind_text(guard.kind)), false);
    if (st == ST_OK && guard.kind != GUARD_PROSE) {
        st = real_member(out, "kind_score", rounded(guard.score), false);
    }
    if (st == ST_OK && guard.kind != GUARD_PROSE) {
        st = text_member(out, "kind_reason", str_from(guard.reason), false);
    }
    if (st == ST_OK && d->language.code.len > 0) {
        st = text_member(out, "language", d->language.code, false);
    }
    if (st == ST_OK && d->language.code.len > 0) {
        st = real_member(out, "language_confidence", rounded(d->language.confidence), false);
    }
    if (st == ST_OK && d->language.code.len > 0) {
        st = real_member(out, "is_english", rounded(d->language.english), false);
    }
    return st;
}

/* What was compared with what. */
static enum status write_certainty(struct buf *out, const struct routes *routes,
                                   const struct decision *d)
{
    const struct thresholds *t = &routes->thresholds;
    enum status st = text_member(out, "uncertainty", routes_uncertainty_text(routes), false);
    if (st != ST_OK) {
        return st;
    }
    if (t->method != UNCERTAINTY_CONFORMAL) {
        st = real_member(out, "certainty", rounded(d->certainty), false);
        return st == ST_OK ? real_member(out, "threshold", rounded(t->of[d->scores.best]), false)
                           : st;
    }
    st = buf_append(out, STR(",\"set\":["));
    for (uint64_t rest = d->set; st == ST_OK && rest != 0; rest &= rest - 1) {
        size_t label = (size_t)__builtin_ctzll(rest);
        st = rest == d->set ? ST_OK : buf_append_char(out, ',');
        if (st == ST_OK) {
            st = json_write_text(out, classifier_label(routes->classifier, label));
        }
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

static enum status write_head(struct buf *out, const struct routes *routes,
                              const struct prompt *prompt, const struct decision *d)
{
    int64_t tokens = prompt_tokens_estimate(prompt);
    struct str expert = d->plan.count > 0 ? d->plan.experts[0]->id.name : STR("");
    enum status st = buf_append_char(out, '{');
    if (st == ST_OK) {
        st = text_member(out, "category", d->category_name, true);
    }
    if (st == ST_OK) {
        st = real_member(out, "confidence", rounded(d->confidence), false);
    }
    if (st == ST_OK) {
        st = text_member(out, "expert", expert, false);
    }
    if (st == ST_OK) {
        st = text_member(out, "source", str_from(decide_source_text(d->source)), false);
    }
    if (st == ST_OK && d->session != DECIDE_SESSION_NONE) {
        st = text_member(out, "session", str_from(decide_session_text(d->session)), false);
    }
    if (st == ST_OK && d->rule != NULL) {
        st = text_member(out, "rule", d->rule->name, false);
    }
    if (st == ST_OK) {
        st = write_kind(out, routes, prompt, d);
    }
    if (st == ST_OK && d->is_classified) {
        st = text_member(out, "label", classifier_label(routes->classifier, d->scores.best), false);
    }
    if (st == ST_OK && d->is_classified) {
        st = write_certainty(out, routes, d);
    }
    if (st == ST_OK && d->is_classified) {
        st = real_member(out, "entropy", rounded(d->scores.entropy), false);
    }
    if (st == ST_OK && d->is_taught) {
        st = real_member(out, "taught", rounded(d->taught), false);
    }
    if (st == ST_OK) {
        st = real_member(out, "prompt_tokens_estimate", (double)tokens, false);
    }
    return st;
}

enum status explain_write(struct buf *out, const struct routes *routes,
                          struct decide_scratch *scratch, const struct prompt *prompt,
                          const struct decision *decision)
{
    enum status st = write_head(out, routes, prompt, decision);
    if (st == ST_OK) {
        st = write_conversation(out, routes, decision);
    }
    if (st == ST_OK) {
        st = write_scores(out, routes, decision);
    }
    if (st == ST_OK) {
        st = write_evidence(out, routes, scratch, decision);
    }
    if (st == ST_OK) {
        st = write_examples(out, routes, scratch, decision);
    }
    if (st == ST_OK) {
        st = write_heads(out, routes, prompt, decision);
    }
    if (st == ST_OK) {
        st = write_candidates(out, decision);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

enum status explain_write_decision(struct buf *out, const struct decision *d)
{
    enum status st = buf_append_char(out, '{');
    if (st == ST_OK) {
        st = text_member(out, "category", d->category_name, true);
    }
    if (st == ST_OK) {
        st = real_member(out, "confidence", rounded(d->confidence), false);
    }
    if (st == ST_OK) {
        st = text_member(out, "source", str_from(decide_source_text(d->source)), false);
    }
    if (st == ST_OK) {
        st = text_member(out, "rule", d->rule == NULL ? STR("") : d->rule->name, false);
    }
    if (st == ST_OK) {
        st = write_candidates(out, d);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}
