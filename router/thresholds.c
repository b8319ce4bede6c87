/* See thresholds.h. */
#include "router/thresholds.h"

#include "router/curves.h"
#include "router/routes.h"

/* A precision that fewer prompts reach than this share is no use, and chance as well. */
static const double USEFUL_SHARE = 0.01;

struct choosing {
    struct routes *routes;
    struct key_reader *reader;
    struct str file;
    const struct curves *curves; /* NULL: the weights have none */
};

static bool has_target(const struct routes *r)
{
    return r->router.target.precision > 0.0 || r->router.target.coverage > 0.0;
}

static enum curves_of curve_of(const struct thresholds *t)
{
    return t->method == UNCERTAINTY_ENTROPY ? CURVES_ENTROPY : CURVES_PROBABILITY;
}

/* Goes to experts, when it is believed. */
static bool is_for_experts(const struct routes *r, size_t label)
{
    return r->label_categories[label] != NULL && r->label_categories[label] != r->general;
}

/* NULL, or why the settings cannot be followed. */
static const char *contradiction(const struct choosing *c)
{
    const struct router_settings *s = &c->routes->router;
    bool is_conformal = s->uncertainty.method == UNCERTAINTY_CONFORMAL;
    if (!has_target(c->routes) && !is_conformal) {
        return NULL;
    }
    if (s->target.precision > 0.0 && s->target.coverage > 0.0) {
        return "router.target has both a precision and a coverage: give one, the other follows";
    }
    if (has_target(c->routes) && is_conformal) {
        return "router.target chooses thresholds, and router.uncertainty conformal has none: its "
               "alpha takes the place of a target";
    }
    if (c->routes->classifier == NULL) {
        return "router.target and router.uncertainty conformal need router.model";
    }
    return c->curves == NULL ? "the weights of router.model do not say what their confidence is "
                               "worth, which router.target and router.uncertainty conformal need: "
                               "train them with data of two groups of sources or more"
                             : NULL;
}

static void choose_for_target(const struct choosing *c)
{
    struct thresholds *t = &c->routes->thresholds;
    const struct target_settings *target = &c->routes->router.target;
    struct curves_cut cut;
    uint64_t wanted = 0;
    for (size_t i = 0; i < c->curves->label_count; i++) {
        wanted |= is_for_experts(c->routes, i) ? (uint64_t)1 << i : 0;
    }
    bool is_precision = target->precision > 0.0;
    bool is_met = is_precision ? curves_choose(c->curves, curve_of(t), wanted, CURVES_PRECISION,
                                               target->precision, &cut)
                               : curves_choose(c->curves, curve_of(t), wanted, CURVES_COVERAGE,
                                               target->coverage, &cut);
    if (is_precision && (double)cut.share < USEFUL_SHARE) {
        (void)curves_choose(c->curves, curve_of(t), wanted, CURVES_COVERAGE, USEFUL_SHARE, &cut);
        diags_add(c->reader->diags, DIAG_ERROR, c->file, (struct pos){0, 0},
                  "router.target: a precision of %.3f is out of reach, %.3f can be had",
                  target->precision, (double)cut.precision);
    } else if (!is_met) {
        diags_add(c->reader->diags, DIAG_ERROR, c->file, (struct pos){0, 0},
                  "router.target: a coverage of %.3f is out of reach, %.3f can be had: the rest is "
                  "taken for general or has no category",
                  target->coverage, (double)cut.share);
    }
    for (size_t i = 0; i < c->curves->label_count; i++) {
        t->of[i] = (wanted >> i & 1) != 0 ? cut.threshold[i] : t->of[i];
    }
}

void thresholds_build(struct routes *routes, struct key_reader *reader, struct str file)
{
    const struct router_settings *s = &routes->router;
    struct thresholds *t = &routes->thresholds;
    size_t labels = routes->classifier == NULL ? 0 : classifier_label_count(routes->classifier);
    struct choosing c = {routes, reader, file,
                         labels > 0 ? classifier_curves(routes->classifier) : NULL};
    *t = (struct thresholds){.method = (enum uncertainty_method)s->uncertainty.method,
                             .general = labels,
                             .set_max = (size_t)s->uncertainty.set_max};
    for (size_t i = 0; i < labels; i++) {
        t->of[i] = (float)s->threshold;
        t->general = str_eq(classifier_label(routes->classifier, i), s->general) ? i : t->general;
    }
    const char *why = contradiction(&c);
    if (why != NULL) {
        diags_add(reader->diags, DIAG_ERROR, file, (struct pos){0, 0}, "%s", why);
        return;
    }
    if (has_target(routes)) {
        choose_for_target(&c);
    }
    if (t->method == UNCERTAINTY_CONFORMAL) {
        t->set_least = curves_set_threshold(c.curves, s->uncertainty.alpha);
    }
    for (size_t i = 0; i < labels; i++) {
        const struct category *category = routes->label_categories[i];
        if (category != NULL && category->threshold > 0.0) {
            t->of[i] = (float)category->threshold;
        }
    }
}

bool thresholds_judge(const struct thresholds *t, const struct classifier_result *r,
                      float *ret_certainty, uint64_t *ret_set)
{
    *ret_certainty = uncertainty_confidence(t->method, r, t->general);
    *ret_set = 0;
    if (t->method != UNCERTAINTY_CONFORMAL) {
        return *ret_certainty >= t->of[r->best];
    }
    *ret_set = uncertainty_set(r, t->set_least);
    size_t size = (size_t)__builtin_popcountll(*ret_set);
    return size >= 1 && size <= t->set_max;
}

bool thresholds_expect(const struct routes *routes, size_t label, float *ret_precision,
                       float *ret_share)
{
    const struct thresholds *t = &routes->thresholds;
    const struct curves *curves = classifier_curves(routes->classifier);
    if (curves == NULL || t->method == UNCERTAINTY_CONFORMAL || !is_for_experts(routes, label)) {
        return false;
    }
    curves_expect(curves, curve_of(t), label, t->of[label], ret_precision, ret_share);
    return true;
}
