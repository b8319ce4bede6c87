/* The keys of routes.h in a configuration. */
#include <stddef.h>

#include "policies/warm.h"
#include "router/routes.h"

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

struct str routes_uncertainty_text(const struct routes *routes)
{
    return str_from(uncertainty_methods[routes->router.uncertainty.method]);
}
