/* See routes.h. */
#include "router/routes.h"

#include <stddef.h>

#include "base/file.h"
#include "policies/warm.h"
#include "router/advice.h"
#include "router/decide.h"
#include "router/demos.h"
#include "router/examples.h"
#include "router/heads.h"
#include "router/prove.h"

/* ------------------------------------------------------------------ keys */

static const struct key online_rows[] = {
    {.name = "enabled",
     .type = KEY_BOOL,
     .offset = offsetof(struct router_online, enabled),
     .fallback = "false",
     .sentence = "feedback that names a category corrects the router; needs a state block"},
    {.name = "rate",
     .type = KEY_REAL,
     .offset = offsetof(struct router_online, rate),
     .min = 0,
     .max = 10,
     .fallback = "1.0",
     .sentence = "how far one correction moves the logits of its prompt"},
    {.name = "cap",
     .type = KEY_REAL,
     .offset = offsetof(struct router_online, cap),
     .min = 0,
     .max = 1000,
     .fallback = "20.0",
     .sentence = "largest L2 norm of all corrections together"},
    {.name = "reservoir",
     .type = KEY_INT,
     .offset = offsetof(struct router_online, reservoir),
     .min = 16,
     .max = 65536,
     .fallback = "2048",
     .sentence = "past decisions (hashes of features, no text) that corrections must leave alone"},
};

static const struct keys online_keys = {"online", sizeof(struct router_online), online_rows, 4,
                                        "Learning from feedback while serving."};

static const struct key session_rows[] = {
    {.name = "affinity",
     .type = KEY_BOOL,
     .offset = offsetof(struct session_settings, affinity),
     .fallback = "true",
     .sentence =
         "whether a conversation prefers the expert that answered it last; conversations are "
         "known by their system prompt and first user message"},
    {.name = "switch_cost",
     .type = KEY_REAL,
     .offset = offsetof(struct session_settings, switch_cost),
     .min = 0,
     .max = 1,
     .fallback = "0.1",
     .sentence = "score by which another expert of the category must be better to take over"},
    {.name = "ttl_s",
     .type = KEY_INT,
     .offset = offsetof(struct session_settings, ttl_s),
     .min = 1,
     .max = 86400,
     .fallback = "600",
     .sentence = "seconds after its last answer for which a conversation is remembered"},
};

static const struct keys session_keys = {"session", sizeof(struct session_settings), session_rows,
                                         3, "How conversations keep their expert."};

static const struct key target_rows[] = {
    {.name = "precision",
     .type = KEY_REAL,
     .offset = offsetof(struct target_settings, precision),
     .min = 0.01,
     .max = 1,
     .sentence =
         "share of the prompts sent to experts that shall belong there; as many are sent as "
         "that allows",
     .example = "0.9"},
    {.name = "coverage",
     .type = KEY_REAL,
     .offset = offsetof(struct target_settings, coverage),
     .min = 0.01,
     .max = 1,
     .sentence =
         "share of all prompts that shall be sent to experts: the surest; not together with "
         "precision",
     .example = "0.6"},
};

static const struct keys target_keys = {"target", sizeof(struct target_settings), target_rows, 2,
                                        "What the thresholds are to achieve."};

static const char *const uncertainty_methods[] = {"probability", "entropy", "conformal", NULL};

static const struct key uncertainty_rows[] = {
    {.name = "method",
     .type = KEY_CHOICE,
     .offset = offsetof(struct uncertainty_settings, method),
     .choices = uncertainty_methods,
     .fallback = "probability",
     .sentence =
         "what the threshold is compared with: the best category's probability, or 1 minus the "
         "normalised entropy over the experts; conformal: no threshold, but the set of categories "
         "that holds the right one for all but alpha of the prompts, which must not be too large"},
    {.name = "alpha",
     .type = KEY_REAL,
     .offset = offsetof(struct uncertainty_settings, alpha),
     .min = 0.01,
     .max = 0.9,
     .fallback = "0.1",
     .sentence = "conformal: share of prompts whose right category may be missing from the set"},
    {.name = "set_max",
     .type = KEY_INT,
     .offset = offsetof(struct uncertainty_settings, set_max),
     .min = 1,
     .max = CLASSIFIER_LABELS_MAX,
     .fallback = "1",
     .sentence = "conformal: categories in the largest set that still goes to the best of them"},
};

static const struct keys uncertainty_keys = {"uncertainty", sizeof(struct uncertainty_settings),
                                             uncertainty_rows, 3,
                                             "How it is told that the classifier is not sure."};

static const struct key router_rows[] = {
    {.name = "model",
     .type = KEY_PATH,
     .offset = offsetof(struct router_settings, model),
     .sentence = "weights of the classifier; absent: nothing is classified, auto means general",
     .example = "conf/models/domains.edm"},
    {.name = "threshold",
     .type = KEY_REAL,
     .offset = offsetof(struct router_settings, threshold),
     .min = 0,
     .max = 1,
     .fallback = "0.55",
     .sentence = "least confidence with which a prompt goes to its category instead of general; "
                 "without effect where target, a category or a conformal set decide"},
    {.name = "target",
     .type = KEY_BLOCK,
     .offset = offsetof(struct router_settings, target),
     .sentence = "chooses a threshold for each category, by what confidence was worth on sources "
                 "that training had not seen",
     .block = &target_keys},
    {.name = "uncertainty",
     .type = KEY_BLOCK,
     .offset = offsetof(struct router_settings, uncertainty),
     .sentence = "how it is told that the classifier is not sure",
     .block = &uncertainty_keys},
    {.name = "general",
     .type = KEY_TEXT,
     .offset = offsetof(struct router_settings, general),
     .fallback = "general",
     .sentence = "the category for prompts that the classifier is not sure about"},
    {.name = "background",
     .type = KEY_PATH,
     .offset = offsetof(struct router_settings, background),
     .sentence = "prompts of every kind, one a line, that categories made from examples are told "
                 "from; absent: background.txt beside the model",
     .example = "conf/models/background.txt"},
    {.name = "languages",
     .type = KEY_PATH,
     .offset = offsetof(struct router_settings, languages),
     .sentence = "tables that tell the language of a prompt, and keyboard runs from words; absent: "
                 "languages are not told",
     .example = "conf/models/languages.edl"},
    {.name = "multilingual",
     .type = KEY_TEXT,
     .offset = offsetof(struct router_settings, multilingual),
     .sentence =
         "the category for prompts in other languages than English that the classifier is not "
         "sure about; absent: the general one. Needs languages",
     .example = "multilingual"},
    {.name = "code",
     .type = KEY_TEXT,
     .offset = offsetof(struct router_settings, code),
     .sentence =
         "the category for prompts that consist of code or log lines and that the classifier "
         "is not sure about; absent: the general one",
     .example = "coding"},
    {.name = "embeddings",
     .type = KEY_TEXT,
     .offset = offsetof(struct router_settings, embeddings),
     .sentence =
         "the alias or expert that embeds for model auto; absent: embeddings must name one, since "
         "vectors of different models cannot be compared",
     .example = "embedder"},
    {.name = "online",
     .type = KEY_BLOCK,
     .offset = offsetof(struct router_settings, online),
     .sentence = "learning from feedback while serving",
     .block = &online_keys},
    {.name = "session",
     .type = KEY_BLOCK,
     .offset = offsetof(struct router_settings, session),
     .sentence = "how conversations keep their expert",
     .block = &session_keys},
};

static const struct keys router_keys = {"router", sizeof(struct router_settings), router_rows,
                                        sizeof router_rows / sizeof router_rows[0],
                                        "How prompts get their category."};

static const struct key category_expert_rows[] = {
    {.name = "expert",
     .type = KEY_TEXT,
     .offset = offsetof(struct category_expert, name),
     .is_required = true,
     .sentence = "name of an expert"},
    {.name = "score",
     .type = KEY_REAL,
     .offset = offsetof(struct category_expert, score),
     .min = 0,
     .max = 1,
     .fallback = "0.5",
     .sentence = "how well it answers prompts of this category"},
};

static const struct keys category_expert_keys = {"category expert", sizeof(struct category_expert),
                                                 category_expert_rows, 2,
                                                 "An expert of a category."};

static const struct key category_split_rows[] = {
    {.name = "expert",
     .type = KEY_TEXT,
     .offset = offsetof(struct category_split, name),
     .is_required = true,
     .sentence = "name of one of the category's experts"},
    {.name = "percent",
     .type = KEY_REAL,
     .offset = offsetof(struct category_split, percent),
     .min = 0.01,
     .max = 100,
     .is_required = true,
     .sentence = "for how many of a hundred requests",
     .example = "5"},
};

static const struct keys category_split_keys = {"split", sizeof(struct category_split),
                                                category_split_rows, 2,
                                                "An expert that is tried on some requests."};

static const struct key category_rows[] = {
    {.name = "experts",
     .type = KEY_LIST,
     .offset = offsetof(struct category, experts),
     .sentence =
         "the experts that may answer, with their scores; the best that no policy drops does; "
         "absent: those of the parent",
     .block = &category_expert_keys},
    {.name = "title",
     .type = KEY_TEXT,
     .offset = offsetof(struct category, title),
     .sentence = "what belongs here, for people"},
    {.name = "threshold",
     .type = KEY_REAL,
     .offset = offsetof(struct category, threshold),
     .min = 0.001,
     .max = 1,
     .sentence =
         "least confidence for this category, instead of router.threshold and router.target",
     .example = "0.7"},
    {.name = "examples",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct category, examples),
     .sentence = "prompts that belong here, twenty or more: the path of a file with one a line, or "
                 "the prompts themselves; make a category, or sharpen the one of that label",
     .example = "conf/examples/radiology.txt"},
    {.name = "labels",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct category, labels),
     .sentence = "labels of the classifier whose prompts come here; absent: the label of the "
                 "category's name",
     .example = "[medical, biology]"},
    {.name = "parent",
     .type = KEY_TEXT,
     .offset = offsetof(struct category, parent_name),
     .sentence =
         "category that this one is a part of: gives the experts, the threshold, params, prompt, "
         "demos and cache that are not given here, and takes the prompts that this one is not sure about",
     .example = "medical"},
    {.name = "cold",
     .type = KEY_CHOICE,
     .offset = offsetof(struct category, cold),
     .fallback = "wait",
     .choices = warm_words,
     .sentence = "when the best expert is a process that is not loaded: wait for it; let a loaded "
                 "runner_up answer that is less than cold_margin worse, else wait; or refuse with "
                 "503 and Retry-After"},
    {.name = "cold_margin",
     .type = KEY_REAL,
     .offset = offsetof(struct category, cold_margin),
     .min = 0,
     .max = 1,
     .fallback = "0.1",
     .sentence = "how much worse, in score, the runner_up of cold may be"},
    EDITS_ROWS(struct category),
    CACHING_ROW(struct category),
    {.name = "split",
     .type = KEY_LIST,
     .offset = offsetof(struct category, splits),
     .sentence = "experts of the category that come first for some of its requests: the same ones "
                 "for the same tenant and conversation",
     .block = &category_split_keys},
};

static const struct keys category_keys = {"category", sizeof(struct category), category_rows,
                                          sizeof category_rows / sizeof category_rows[0],
                                          "A domain of prompts and the experts for it."};

static const struct key degrade_rows[] = {
    {.name = "budget",
     .type = KEY_TEXT,
     .offset = offsetof(struct degrade_settings, budget),
     .is_required = true,
     .sentence = "name of the budget that is watched",
     .example = "team"},
    {.name = "start",
     .type = KEY_REAL,
     .offset = offsetof(struct degrade_settings, start),
     .min = 0,
     .max = 0.99,
     .fallback = "0.5",
     .sentence = "share of it that may be spent at any time; above, spending is held against the "
                 "elapsed share of its window"},
    {.name = "cost_weight",
     .type = KEY_REAL,
     .offset = offsetof(struct degrade_settings, weight),
     .min = 0,
     .max = 1000,
     .fallback = "10",
     .sentence = "what is added to policies.cost_weight when all is spent; before that, in "
                 "proportion to how far spending is ahead"},
};

static const struct keys degrade_keys = {"degrade", sizeof(struct degrade_settings), degrade_rows,
                                         3, "Cheaper experts before the money is gone."};

static const struct key hedge_rows[] = {
    {.name = "after_ms",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct plan_hedge, after_ms),
     .decode = plan_settings_decode_after,
     .custom_type = "string",
     .fallback = "p95",
     .sentence = "how long the first token is waited for: a number of ms, or p95, the time within "
                 "which 95 % of the expert's answers began (not before it gave 16)"},
    {.name = "max",
     .type = KEY_REAL,
     .offset = offsetof(struct plan_hedge, max),
     .min = 0,
     .max = 1,
     .fallback = "0",
     .sentence = "second calls per request at most, beside 3 every 10 s; 0: there are none",
     .example = "0.05"},
};

static const struct keys hedge_keys = {"hedge", sizeof(struct plan_hedge), hedge_rows, 2,
                                       "A second call beside one that is late."};

static const char *const all_open_choices[] = {"refuse", "try", NULL};

static const struct key policy_rows[] = {
    {.name = "attempts",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.attempts),
     .min = 1,
     .max = 10,
     .fallback = "3",
     .sentence =
         "attempts at most for one request, at one expert or at several, repeated ones included"},
    {.name = "retries",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.retries),
     .min = 0,
     .max = 9,
     .fallback = "1",
     .sentence = "how often one expert is asked again for one request, for the causes in retry_on"},
    {.name = "retry_on",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct policy_settings, plan.retry_on),
     .decode = plan_settings_decode_causes,
     .custom_type = "array",
     .fallback = "[connect, cut, rate_limit, server_error]",
     .sentence =
         "what one expert is asked again for, of connect, timeout, cut, bad_reply, rate_limit, "
         "server_error; other experts are asked after each of them, nobody after other "
         "statuses of 4xx"},
    {.name = "retry_first",
     .type = KEY_BOOL,
     .offset = offsetof(struct policy_settings, plan.retry_first),
     .fallback = "false",
     .sentence = "ask the same expert again before another one, unless it says Retry-After"},
    {.name = "backoff_ms",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.backoff_ms),
     .min = 0,
     .max = 60000,
     .unit = "ms",
     .fallback = "200",
     .sentence =
         "longest wait before the first repetition, of which a random part is waited; doubles "
         "with each"},
    {.name = "backoff_max_ms",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.backoff_max_ms),
     .min = 0,
     .max = 600000,
     .unit = "ms",
     .fallback = "5000",
     .sentence = "where the doubling ends"},
    {.name = "retry_after_max_ms",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.retry_after_max_ms),
     .min = 0,
     .max = 3600000,
     .unit = "ms",
     .fallback = "60000",
     .sentence = "an expert whose Retry-After is longer is not asked again"},
    {.name = "retry_budget",
     .type = KEY_REAL,
     .offset = offsetof(struct policy_settings, plan.retry_budget),
     .min = 0,
     .max = 10,
     .fallback = "0.2",
     .sentence =
         "repetitions per request that the process allows itself, beside 3 every 10 s; asking "
         "an expert that was not asked yet costs nothing of it"},
    {.name = "deadline_ms",
     .type = KEY_INT,
     .offset = offsetof(struct policy_settings, plan.deadline_ms),
     .min = 1,
     .max = 86400000,
     .unit = "ms",
     .fallback = "600000",
     .sentence = "longest time for one request, all attempts and waits together"},
    {.name = "hedge",
     .type = KEY_BLOCK,
     .offset = offsetof(struct policy_settings, hedge),
     .sentence = "asks the next expert of the plan too, or a remote one a second time, when the "
                 "first token is late; who begins to answer first answers",
     .block = &hedge_keys},
    {.name = "cost_weight",
     .type = KEY_REAL,
     .offset = offsetof(struct policy_settings, cost_weight),
     .min = 0,
     .max = 1000,
     .fallback = "0",
     .sentence = "score that one US cent of estimated cost is worth; 0: quality alone decides"},
    {.name = "min_score",
     .type = KEY_REAL,
     .offset = offsetof(struct policy_settings, min_score),
     .min = 0,
     .max = 1,
     .fallback = "0",
     .sentence = "experts that a category lists with a lower score do not answer, however cheap "
                 "they are"},
    {.name = "degrade",
     .type = KEY_BLOCK,
     .offset = offsetof(struct policy_settings, degrade),
     .sentence = "raises cost_weight as a budget is spent faster than its window goes by",
     .block = &degrade_keys},
    {.name = "latency_weight",
     .type = KEY_REAL,
     .offset = offsetof(struct policy_settings, latency_weight),
     .min = 0,
     .max = 1000,
     .fallback = "0",
     .sentence = "score that one second is worth: of waiting for a place at an expert and of its "
                 "median time to the first token; 0: time does not matter"},
    {.name = "when_all_open",
     .type = KEY_CHOICE,
     .offset = offsetof(struct policy_settings, when_all_open),
     .fallback = "refuse",
     .choices = all_open_choices,
     .sentence = "what happens when the breaker of every expert is open: refuse (503 with "
                 "Retry-After), or try the one that would be probed first"},
    {.name = "breaker",
     .type = KEY_BLOCK,
     .offset = offsetof(struct policy_settings, breaker),
     .sentence = "when an expert gets no more requests for a while; for experts without a breaker "
                 "of their own",
     .block = &limits_breaker_keys},
};

static const struct keys policy_keys = {"policies", sizeof(struct policy_settings), policy_rows,
                                        sizeof policy_rows / sizeof policy_rows[0],
                                        "How candidates are chosen and tried."};

static const struct key expectation_rows[] = {
    {.name = "category",
     .type = KEY_TEXT,
     .offset = offsetof(struct route_expectation, category),
     .sentence = "the category that the prompt must get"},
    {.name = "expert",
     .type = KEY_TEXT,
     .offset = offsetof(struct route_expectation, expert),
     .sentence = "the expert that must come first"},
};

static const struct keys expectation_keys = {"expect", sizeof(struct route_expectation),
                                             expectation_rows, 2, "What a test expects."};

static const struct key test_rows[] = {
    {.name = "prompt",
     .type = KEY_TEXT,
     .offset = offsetof(struct route_test, prompt),
     .is_required = true,
     .sentence = "a prompt, sent to auto"},
    {.name = "expect",
     .type = KEY_BLOCK,
     .offset = offsetof(struct route_test, expect),
     .sentence = "where it must go",
     .block = &expectation_keys},
};

static const struct keys test_keys = {"test", sizeof(struct route_test), test_rows, 2,
                                      "A prompt whose route is checked at load and reload."};

static enum status decode_alias(struct key_reader *reader, const struct yaml_node *names,
                                struct alias *alias)
{
    if (names->kind != YAML_SEQUENCE || names->count == 0) {
        diags_add(reader->diags, DIAG_ERROR, names->file, names->pos,
                  "alias \"%.*s\" must be a list of experts, as in [small-8b, med-70b]",
                  STR_ARG(alias->name));
        return ST_OK;
    }
    alias->names = arena_alloc(reader->arena, names->count * sizeof(*alias->names));
    alias->experts = arena_alloc(reader->arena, names->count * sizeof(*alias->experts));
    if (alias->names == NULL || alias->experts == NULL) {
        return ST_NO_MEMORY;
    }
    alias->count = names->count;
    for (size_t i = 0; i < names->count; i++) {
        alias->names[i] = names->items[i]->kind == YAML_SCALAR ? names->items[i]->text : STR("");
    }
    return ST_OK;
}

/* aliases: {NAME: [expert, ...]} */
static enum status decode_aliases(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    struct alias_list *list = field;
    if (node->kind != YAML_MAPPING) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"aliases\" must be a mapping of names to lists of experts");
        return ST_OK;
    }
    list->items = arena_alloc(reader->arena, (node->count + 1) * sizeof(*list->items));
    if (list->items == NULL) {
        return ST_NO_MEMORY;
    }
    list->count = node->count;
    for (size_t i = 0; i < node->count; i++) {
        list->items[i].name = node->keys[i]->text;
        list->items[i].pos = node->keys[i]->pos;
        enum status st = decode_alias(reader, node->items[i], &list->items[i]);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

const struct key routes_rows[ROUTES_ROW_COUNT] = {
    {.name = "experts",
     .type = KEY_MAP,
     .offset = offsetof(struct routes, experts),
     .is_required = true,
     .sentence = "the models that can answer, by name",
     .block = &expert_keys},
    {.name = "aliases",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct routes, aliases),
     .sentence = "model names for clients, each with the experts to try in order",
     .example = "{fast: [small-8b, med-70b]}",
     .decode = decode_aliases,
     .custom_type = "object"},
    {.name = "router",
     .type = KEY_BLOCK,
     .offset = offsetof(struct routes, router),
     .sentence = "how prompts get their category",
     .block = &router_keys},
    {.name = "categories",
     .type = KEY_MAP,
     .offset = offsetof(struct routes, categories),
     .sentence = "the domains, by name, and who answers in them",
     .block = &category_keys},
    {.name = "policies",
     .type = KEY_BLOCK,
     .offset = offsetof(struct routes, policies),
     .sentence = "how candidates are chosen and tried",
     .block = &policy_keys},
    {.name = "rules",
     .type = KEY_LIST,
     .offset = offsetof(struct routes, rules),
     .sentence =
         "decisions of the operator's, taken before the classifier; the first that fires wins",
     .block = &rule_keys},
    {.name = "guarantees",
     .type = KEY_LIST,
     .offset = offsetof(struct routes, guarantees),
     .sentence = "which experts prompts of a kind may reach, whatever else the file says; proven "
                 "when it loads",
     .block = &guarantee_keys},
    {.name = "tests",
     .type = KEY_LIST,
     .offset = offsetof(struct routes, tests),
     .sentence = "prompts whose route is checked at load and reload; a failure refuses the file",
     .block = &test_keys},
};

/* ----------------------------------------------------------------- build */

struct build { /* what the passes share */
    struct routes *routes;
    struct key_reader *reader;
    struct str file;
};

struct expert *routes_expert(const struct routes *routes, struct str name)
{
    return routes->expert_names == NULL ? NULL : table_get(routes->expert_names, name);
}

struct category *routes_category(const struct routes *routes, struct str name)
{
    return routes->category_names == NULL ? NULL : table_get(routes->category_names, name);
}

struct str routes_uncertainty_text(const struct routes *routes)
{
    return str_from(uncertainty_methods[routes->router.uncertainty.method]);
}

struct alias *routes_alias(const struct routes *routes, struct str name)
{
    return routes->alias_names == NULL ? NULL : table_get(routes->alias_names, name);
}

/* "unknown expert "x" in y, did you mean "z"?" */
static void complain_unknown(const struct build *b, struct pos pos, const char *what,
                             struct str name, const struct table *known)
{
    struct str near = table_nearest(known, name);
    if (near.len > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, pos,
                  "unknown %s \"%.*s\", did you mean \"%.*s\"?", what, STR_ARG(name),
                  STR_ARG(near));
        return;
    }
    diags_add(b->reader->diags, DIAG_ERROR, b->file, pos, "unknown %s \"%.*s\"", what,
              STR_ARG(name));
}

static enum status name_everything(const struct build *b)
{
    struct routes *r = b->routes;
    r->expert_names = table_create();
    r->category_names = table_create();
    r->alias_names = table_create();
    if (r->expert_names == NULL || r->category_names == NULL || r->alias_names == NULL) {
        return ST_NO_MEMORY;
    }
    struct expert *experts = r->experts.items;
    for (size_t i = 0; i < r->experts.count; i++) {
        if (table_put(r->expert_names, experts[i].id.name, &experts[i], NULL) != ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        categories[i].index = i;
        categories[i].model =
            arena_printf(b->reader->arena, "category/%.*s", STR_ARG(categories[i].id.name));
        if (categories[i].model.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        if (table_put(r->category_names, categories[i].id.name, &categories[i], NULL) != ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < r->aliases.count; i++) {
        if (table_put(r->alias_names, r->aliases.items[i].name, &r->aliases.items[i], NULL) !=
            ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    return ST_OK;
}

/* Model names that clients reach something else by. */
static bool means_something_else(struct str name)
{
    return str_eq(name, STR("auto")) || str_starts_with(name, STR("category/"));
}

static enum status build_experts(const struct build *b)
{
    struct expert *experts = b->routes->experts.items;
    for (size_t i = 0; i < b->routes->experts.count; i++) {
        if (!experts[i].limits.breaker.is_given) {
            experts[i].limits.breaker = b->routes->policies.breaker;
        }
        enum status st = expert_build(&experts[i], i, b->reader, b->file);
        if (st == ST_NO_MEMORY) {
            return st;
        }
        if (means_something_else(experts[i].id.name)) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, experts[i].id.pos,
                      "an expert cannot be called \"%.*s\": that name means something else to "
                      "clients",
                      STR_ARG(experts[i].id.name));
        }
    }
    return ST_OK;
}

static void resolve_aliases(const struct build *b)
{
    struct routes *r = b->routes;
    for (size_t i = 0; i < r->aliases.count; i++) {
        struct alias *alias = &r->aliases.items[i];
        if (means_something_else(alias->name) || routes_expert(r, alias->name) != NULL) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, alias->pos,
                      "alias \"%.*s\" has the name of something else", STR_ARG(alias->name));
        }
        for (size_t k = 0; k < alias->count; k++) {
            alias->experts[k] = routes_expert(r, alias->names[k]);
            if (alias->experts[k] == NULL) {
                complain_unknown(b, alias->pos, "expert", alias->names[k], r->expert_names);
            }
        }
    }
}

static void resolve_categories(const struct build *b)
{
    struct routes *r = b->routes;
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        struct category_expert *list = categories[i].experts.items;
        if (categories[i].experts.count == 0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, categories[i].id.pos,
                      "category \"%.*s\" has no experts", STR_ARG(categories[i].id.name));
        }
        for (size_t k = 0; k < categories[i].experts.count; k++) {
            list[k].expert = routes_expert(r, list[k].name);
            if (list[k].expert == NULL) {
                complain_unknown(b, list[k].id.pos, "expert", list[k].name, r->expert_names);
            }
        }
    }
}

/* A split draws among the category's own experts, so that all that is proven of those holds. */
static void check_splits(const struct build *b)
{
    const struct category *categories = b->routes->categories.items;
    for (size_t i = 0; i < b->routes->categories.count; i++) {
        const struct category *c = &categories[i];
        const struct category_split *splits = c->splits.items;
        const struct category_expert *experts = c->experts.items;
        double sum = 0.0;
        for (size_t k = 0; k < c->splits.count; k++) {
            size_t at = 0;
            while (at < c->experts.count && !str_eq(experts[at].name, splits[k].name)) {
                at++;
            }
            if (at == c->experts.count) {
                diags_add(b->reader->diags, DIAG_ERROR, b->file, splits[k].id.pos,
                          "\"%.*s\" is no expert of category \"%.*s\": a split draws among those",
                          STR_ARG(splits[k].name), STR_ARG(c->id.name));
            }
            sum += splits[k].percent;
        }
        if (sum > 100.0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, splits[0].id.pos,
                      "the split of category \"%.*s\" adds up to %g percent", STR_ARG(c->id.name),
                      sum);
        }
    }
}

/* What a category does not say itself it has from its parent, which has none. */
static void inherit(const struct build *b)
{
    struct routes *r = b->routes;
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        struct category *c = &categories[i];
        if (c->parent_name.len == 0) {
            continue;
        }
        c->parent = routes_category(r, c->parent_name);
        if (c->parent == NULL) {
            complain_unknown(b, c->id.pos, "category", c->parent_name, r->category_names);
            continue;
        }
        if (c->parent->parent_name.len > 0) {
            diags_add(
                b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                "category \"%.*s\" cannot have the parent \"%.*s\", which has a parent itself",
                STR_ARG(c->id.name), STR_ARG(c->parent_name));
        }
        if (c->examples.count == 0) {
            diags_add(
                b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                "category \"%.*s\" has a parent, but no examples that tell it from the parent",
                STR_ARG(c->id.name));
        }
        c->experts = c->experts.count == 0 ? c->parent->experts : c->experts;
        if (!edits_any_param(&c->edits)) {
            c->edits.params = c->parent->edits.params;
        }
        c->edits.prompt = c->edits.prompt.text.len == 0 ? c->parent->edits.prompt : c->edits.prompt;
        c->edits.demos = c->edits.demos.file.len == 0 ? c->parent->edits.demos : c->edits.demos;
        c->caching = c->caching.ttl_s == 0 ? c->parent->caching : c->caching;
        c->threshold = c->threshold > 0.0 ? c->threshold : c->parent->threshold;
    }
}

static void resolve_general(const struct build *b)
{
    struct routes *r = b->routes;
    if (r->categories.count == 0) {
        return;
    }
    r->general = routes_category(r, r->router.general);
    if (r->general == NULL) {
        const struct category *first = r->categories.items;
        diags_add(b->reader->diags, DIAG_ERROR, b->file, first->id.pos,
                  "there is no category \"%.*s\" (router.general), where prompts go that the "
                  "classifier is not sure about",
                  STR_ARG(r->router.general));
    }
}

/* A category that the router's settings name, or NULL. */
static const struct category *resolve_setting(const struct build *b, const char *key,
                                              struct str name)
{
    const struct category *category = routes_category(b->routes, name);
    if (category == NULL && name.len > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "there is no category \"%.*s\" (%s)", STR_ARG(name), key);
    }
    return category;
}

bool routes_embeds(const struct routes *routes, struct str name)
{
    const struct alias *alias = routes_alias(routes, name);
    const struct expert *e = routes_expert(routes, name);
    bool embeds = e != NULL && (e->capabilities & EXPERT_EMBED) != 0;
    for (size_t i = 0; alias != NULL && i < alias->count; i++) {
        e = alias->experts[i];
        embeds = embeds || (e != NULL && (e->capabilities & EXPERT_EMBED) != 0);
    }
    return embeds;
}

bool routes_has_auto(const struct routes *routes)
{
    return routes->general != NULL || routes->router.embeddings.len > 0;
}

static void check_embeddings(const struct build *b)
{
    struct str name = b->routes->router.embeddings;
    bool is_known = routes_alias(b->routes, name) != NULL || routes_expert(b->routes, name) != NULL;
    if (name.len > 0 && !routes_embeds(b->routes, name)) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  is_known ? "router.embeddings leads to \"%.*s\", which does not embed: an expert "
                             "says that it does with capabilities: [embed]"
                           : "there is no alias or expert \"%.*s\" (router.embeddings)",
                  STR_ARG(name));
    }
}

static void resolve_settings(const struct build *b)
{
    struct routes *r = b->routes;
    check_embeddings(b);
    r->multilingual = resolve_setting(b, "router.multilingual", r->router.multilingual);
    r->code = resolve_setting(b, "router.code", r->router.code);
    if (r->multilingual != NULL && r->router.languages.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "router.multilingual needs router.languages: without tables nothing tells the "
                  "language of a prompt");
    }
}

static bool has_language(const struct language_model *m, struct str code)
{
    for (size_t i = 1; i < language_count(m); i++) {
        if (str_eq(language_code(m, i), code)) {
            return true;
        }
    }
    return false;
}

static void check_languages(const struct build *b, const struct expert *e)
{
    const struct language_model *m = b->routes->languages;
    if (m == NULL && e->languages.count > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, e->id.pos,
                  "expert \"%.*s\" has languages, which needs router.languages: without tables "
                  "nothing tells the language of a prompt",
                  STR_ARG(e->id.name));
        return;
    }
    for (size_t i = 0; i < e->languages.count; i++) {
        if (!has_language(m, e->languages.items[i])) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, e->id.pos,
                      "expert \"%.*s\" has the language \"%.*s\", which the tables do not tell: "
                      "codes are those of ISO 639-1, as en or de",
                      STR_ARG(e->id.name), STR_ARG(e->languages.items[i]));
        }
    }
}

static enum status load_languages(const struct build *b)
{
    struct routes *r = b->routes;
    enum status st = ST_OK;
    if (r->router.languages.len > 0) {
        char *path = arena_copy_z(b->reader->arena, r->router.languages);
        st = path == NULL ? ST_NO_MEMORY
             : !keys_may_read(b->reader, path)
                 ? ST_IO
                 : language_model_load(path, b->reader->diags, &r->languages);
    }
    if (st != ST_OK) {
        return st == ST_NO_MEMORY ? st : ST_OK; /* the diagnostic says it all */
    }
    const struct expert *experts = r->experts.items;
    for (size_t i = 0; i < r->experts.count; i++) {
        check_languages(b, &experts[i]);
    }
    return ST_OK;
}

static enum status build_rules(const struct build *b)
{
    struct routes *r = b->routes;
    struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        enum status st = rule_build(&rules[i], b->reader, b->file);
        if (st == ST_NO_MEMORY) {
            return st;
        }
        if (rules[i].category.len > 0 && routes_category(r, rules[i].category) == NULL) {
            complain_unknown(b, rules[i].id.pos, "category", rules[i].category, r->category_names);
        }
        if (rules[i].expert.len > 0 && routes_expert(r, rules[i].expert) == NULL) {
            complain_unknown(b, rules[i].id.pos, "expert", rules[i].expert, r->expert_names);
        }
    }
    return ST_OK;
}

static bool rules_mention(const struct routes *r, struct str category)
{
    const struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        if (str_eq(rules[i].category, category)) {
            return true;
        }
    }
    return false;
}

static size_t find_label(const struct classifier *c, struct str name)
{
    size_t i = 0;
    while (i < classifier_label_count(c) && !str_eq(classifier_label(c, i), name)) {
        i++;
    }
    return i;
}

/* Gives the label to the category. */
static void claim(const struct build *b, const struct category *category, struct str label)
{
    struct routes *r = b->routes;
    size_t i = find_label(r->classifier, label);
    if (i == classifier_label_count(r->classifier)) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, category->id.pos,
                  "the classifier has no label \"%.*s\" (category \"%.*s\")", STR_ARG(label),
                  STR_ARG(category->id.name));
        return;
    }
    if (r->label_categories[i] != NULL) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, category->id.pos,
                  "label \"%.*s\" feeds both category \"%.*s\" and category \"%.*s\"",
                  STR_ARG(label), STR_ARG(r->label_categories[i]->id.name),
                  STR_ARG(category->id.name));
        return;
    }
    r->label_categories[i] = category;
}

/* Maps the classifier's labels to categories: those that categories name, and then those whose name
 * a category has that names none. */
static void map_labels(const struct build *b)
{
    struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    for (size_t c = 0; c < r->categories.count; c++) {
        r->has_merged = r->has_merged || categories[c].labels.count > 1;
        for (size_t i = 0; i < categories[c].labels.count; i++) {
            claim(b, &categories[c], categories[c].labels.items[i]);
        }
    }
    for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
        const struct category *own = routes_category(r, classifier_label(r->classifier, i));
        if (r->label_categories[i] == NULL && own != NULL && own->labels.count == 0) {
            r->label_categories[i] = own;
        }
    }
}

/* Warns of categories that nothing leads to. */
static void warn_unreachable(const struct build *b)
{
    const struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    for (size_t c = 0; c < r->categories.count; c++) {
        bool is_reachable = &categories[c] == r->general || &categories[c] == r->multilingual ||
                            &categories[c] == r->code || categories[c].examples.count > 0 ||
                            rules_mention(r, categories[c].id.name);
        for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
            is_reachable = is_reachable || r->label_categories[i] == &categories[c];
        }
        if (!is_reachable) {
            diags_add(
                b->reader->diags, DIAG_WARNING, b->file, categories[c].id.pos,
                "category \"%.*s\" is no label of the classifier, has no examples, and no rule "
                "names it: only clients that ask for category/%.*s get there",
                STR_ARG(categories[c].id.name), STR_ARG(categories[c].id.name));
        }
    }
}

/* Without weights there is nothing that examples could be fitted on. */
static void check_examples(const struct build *b)
{
    const struct category *categories = b->routes->categories.items;
    for (size_t i = 0; i < b->routes->categories.count; i++) {
        if (categories[i].examples.count > 0 || categories[i].labels.count > 0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, categories[i].id.pos,
                      "category \"%.*s\" has examples or labels, which need router.model",
                      STR_ARG(categories[i].id.name));
        }
    }
}

/* NULL: no memory. */
static const char *background_path(const struct build *b)
{
    const struct router_settings *s = &b->routes->router;
    struct str folder = s->model;
    while (folder.len > 0 && folder.ptr[folder.len - 1] != '/') {
        folder.len--;
    }
    return s->background.len > 0
               ? arena_copy_z(b->reader->arena, s->background)
               : arena_printf(b->reader->arena, "%.*sbackground.txt", STR_ARG(folder)).ptr;
}

static enum status load_classifier(const struct build *b)
{
    struct routes *r = b->routes;
    if (r->router.model.len == 0) {
        check_examples(b);
        return ST_OK;
    }
    char *path = arena_copy_z(b->reader->arena, r->router.model);
    const char *background = background_path(b);
    if (path == NULL || background == NULL ||
        keys_note_path(b->reader, str_from(background)) !=
            ST_OK) { /* also where nothing reads it yet */
        return ST_NO_MEMORY;
    }
    enum status st = keys_may_read(b->reader, path)
                         ? classifier_load(path, b->reader->diags, &r->classifier)
                         : ST_IO;
    if (st == ST_OK) {
        map_labels(b);
        warn_unreachable(b);
    }
    return st == ST_NO_MEMORY ? st : ST_OK;
}

/* Finds the heads that rules name in the weights. */
static void resolve_heads(const struct build *b)
{
    const struct routes *r = b->routes;
    struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        struct rule_head *heads = rules[i].when.heads.items;
        for (size_t j = 0; j < rules[i].when.heads.count; j++) {
            heads[j].index = r->classifier == NULL
                                 ? SIZE_MAX
                                 : heads_find(classifier_heads(r->classifier), heads[j].id.name);
            if (heads[j].index == SIZE_MAX) {
                diags_add(b->reader->diags, DIAG_ERROR, b->file, heads[j].id.pos,
                          "the weights under \"router\" have no head \"%.*s\"",
                          STR_ARG(heads[j].id.name));
            }
        }
    }
}

static enum status read_demos(const struct build *b, struct edits *edits, struct pos pos)
{
    struct demos_settings *demos = &edits->demos;
    if (demos->file.len == 0) {
        return ST_OK;
    }
    if (b->routes->router.model.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, pos,
                  "\"demos\" needs router.model: its vectors tell which are near");
    }
    return b->routes->classifier == NULL
               ? ST_OK
               : demos_read(b->reader, demos->file, b->routes->classifier, &demos->read);
}

static enum status read_all_demos(const struct build *b)
{
    struct expert *experts = b->routes->experts.items;
    struct category *categories = b->routes->categories.items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < b->routes->experts.count; i++) {
        st = read_demos(b, &experts[i].edits, experts[i].id.pos);
    }
    for (size_t i = 0; st == ST_OK && i < b->routes->categories.count; i++) {
        st = read_demos(b, &categories[i].edits, categories[i].id.pos);
    }
    return st;
}

/* The label that the examples of a category sharpen, or SIZE_MAX. */
static size_t sharpened(const struct routes *r, const struct category *category)
{
    for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
        if (r->label_categories[i] == category) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Reads the examples of all categories. */
static enum status list_sources(const struct build *b, struct custom_source sources[CUSTOM_MAX])
{
    struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->categories.count; i++) {
        struct examples examples;
        const struct category *c = &categories[i];
        if (c->examples.count == 0) {
            continue;
        }
        if (r->custom_count == CUSTOM_MAX) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                      "more than %d categories have examples", (int)CUSTOM_MAX);
            break;
        }
        st = examples_read(b->reader, b->file, c->id.pos, &c->examples, &examples);
        sources[r->custom_count] =
            (struct custom_source){examples.lines, examples.count, sharpened(r, c), SIZE_MAX};
        r->custom_categories[r->custom_count++] = c;
    }
    for (size_t i = 0; i < r->custom_count; i++) {
        for (size_t k = 0; k < r->custom_count; k++) {
            bool is_parent = r->custom_categories[i]->parent == r->custom_categories[k];
            sources[i].parent = is_parent ? k : sources[i].parent;
        }
    }
    return st;
}

static enum status map_background(const struct build *b, struct str *ret_bytes)
{
    const char *path = background_path(b);
    if (path == NULL) {
        return ST_NO_MEMORY;
    }
    return keys_may_read(b->reader, path) ? file_map(path, b->reader->diags, ret_bytes) : ST_IO;
}

/* Fits the categories that have examples. */
static enum status fit_examples(const struct build *b)
{
    struct routes *r = b->routes;
    struct custom_source sources[CUSTOM_MAX];
    struct str background;
    size_t errors = b->reader->diags->errors;
    enum status st = list_sources(b, sources);
    if (st != ST_OK || r->custom_count == 0 || b->reader->diags->errors != errors) {
        return st;
    }
    st = map_background(b, &background);
    if (st != ST_OK) {
        return st == ST_NO_MEMORY ? st : ST_OK;
    }
    st = custom_fit(r->classifier, background, sources, r->custom_count, &r->custom);
    file_unmap(background);
    if (st == ST_INVALID) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "router.background has fewer than %d prompts: too few to tell examples from",
                  (int)CUSTOM_BACKGROUND_MIN);
        return ST_OK;
    }
    return st;
}

enum status routes_build(struct routes *routes, struct key_reader *reader, struct str file)
{
    struct build b = {routes, reader, file};
    size_t errors = reader->diags->errors;
    enum status st = name_everything(&b);
    if (st == ST_OK) {
        st = build_experts(&b);
    }
    if (st != ST_OK) {
        return st;
    }
    resolve_aliases(&b);
    inherit(&b);
    resolve_categories(&b);
    check_splits(&b);
    resolve_general(&b);
    resolve_settings(&b);
    st = build_rules(&b);
    if (st == ST_OK) {
        st = load_languages(&b);
    }
    if (st == ST_OK) {
        st = load_classifier(&b);
    }
    if (st == ST_OK) {
        resolve_heads(&b);
    }
    if (st == ST_OK && routes->classifier != NULL) {
        st = fit_examples(&b);
    }
    if (st == ST_OK) {
        st = read_all_demos(&b);
    }
    if (st == ST_OK && reader->diags->errors == errors) {
        thresholds_build(routes, reader, file);
        st = guarantees_build(routes, reader, file);
    }
    if (st == ST_OK && reader->diags->errors != errors) {
        st = ST_INVALID;
    }
    return st;
}

enum status routes_prove(const struct routes *routes, struct key_reader *reader, struct str file)
{
    size_t errors = reader->diags->errors;
    prove(routes, reader, file);
    advise(routes, reader, file);
    return reader->diags->errors == errors ? ST_OK : ST_INVALID;
}

/* ----------------------------------------------------------------- tests */

static void judge(const struct build *b, const struct route_test *test, const struct decision *d)
{
    struct str category = d->category_name;
    struct str expert = d->plan.count > 0 ? d->plan.experts[0]->id.name : STR("");
    struct str want_category = test->expect.category;
    struct str want_expert = test->expect.expert;
    if (want_category.len == 0 && want_expert.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, test->id.pos,
                  "this test expects nothing: name a category or an expert under \"expect\"");
        return;
    }
    bool is_right = (want_category.len == 0 || str_eq(category, want_category)) &&
                    (want_expert.len == 0 || str_eq(expert, want_expert));
    if (!is_right) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, test->id.pos,
                  "this test fails: the prompt goes to category \"%.*s\" (confidence %.2f), expert "
                  "\"%.*s\", expected category \"%.*s\", expert \"%.*s\"",
                  STR_ARG(category), (double)d->confidence, STR_ARG(expert), STR_ARG(want_category),
                  STR_ARG(want_expert));
    }
}

enum status routes_run_tests(struct routes *routes, struct key_reader *reader, struct str file)
{
    struct build b = {routes, reader, file};
    size_t errors = reader->diags->errors;
    struct decide_scratch scratch;
    enum status st = decide_scratch_init(&scratch);
    const struct route_test *tests = routes->tests.items;
    for (size_t i = 0; st == ST_OK && i < routes->tests.count; i++) {
        struct prompt prompt;
        struct decision decision;
        prompt_from_text(&prompt, STR("auto"), tests[i].prompt);
        struct rule_facts facts = {.prompt = &prompt};
        st = decide(routes, &scratch, &facts, reader->arena, &decision);
        if (st == ST_OK || st == ST_INVALID) {
            st = ST_OK;
            judge(&b, &tests[i], &decision);
        } else if (st == ST_NOT_FOUND) {
            diags_add(reader->diags, DIAG_ERROR, file, tests[i].id.pos,
                      "tests need categories to route to");
            st = ST_OK;
        }
    }
    decide_scratch_fini(&scratch);
    return st == ST_OK && reader->diags->errors != errors ? ST_INVALID : st;
}

void routes_fini(struct routes *routes)
{
    struct expert *experts = routes->experts.items;
    for (size_t i = 0; i < routes->experts.count; i++) {
        expert_fini(&experts[i]);
    }
    struct rule *rules = routes->rules.items;
    for (size_t i = 0; i < routes->rules.count; i++) {
        rule_fini(&rules[i]);
    }
    custom_destroy(routes->custom);
    classifier_unref(routes->classifier);
    language_model_destroy(routes->languages);
    table_destroy(routes->expert_names);
    table_destroy(routes->category_names);
    table_destroy(routes->alias_names);
}
