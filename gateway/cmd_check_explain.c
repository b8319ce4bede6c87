/* expertd check --explain: who answers what, in the order in which they are tried, and which guarantees
 * apply. What a configuration says, not what a prompt gets: policies drop and rank for each request. */
#include <stdio.h>

#include "gateway/cmd.h"
#include "gateway/snapshot.h"

enum {
    TEXT_BYTES = 160,
    EXPERTS_MAX = 1024, /* of a category that are ordered; more keep their place */
};

static const struct {
    unsigned bit;
    const char *name;
} capabilities[] = {{EXPERT_TOOLS, "tools"},
                    {EXPERT_JSON, "json"},
                    {EXPERT_VISION, "vision"},
                    {EXPERT_AUDIO, "audio"}};

static const double NANO_PER_USD = 1e9;

static void print_capabilities(const struct expert *e)
{
    if (!e->declares_capabilities) {
        (void)fputs("everything", stdout);
        return;
    }
    bool is_first = true;
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++) {
        if ((e->capabilities & capabilities[i].bit) != 0) {
            (void)printf("%s%s", is_first ? "" : ",", capabilities[i].name);
            is_first = false;
        }
    }
    (void)fputs(is_first ? "text" : "", stdout);
}

static void print_expert(size_t place, const struct expert *e, const char *score)
{
    char price[TEXT_BYTES] = "?";
    char context[TEXT_BYTES] = "?";
    if (e->price.is_set || e->kernel != NULL) {
        (void)snprintf(price, sizeof price, "%.2f/%.2f USD", (double)e->price.input / NANO_PER_USD,
                       (double)e->price.output / NANO_PER_USD);
    }
    if (e->context_tokens > 0) {
        (void)snprintf(context, sizeof context, "%lld", (long long)e->context_tokens);
    }
    (void)printf("  %2zu. %-24.*s %5s  %-6s  %17s  %8s  ", place, STR_ARG(e->id.name), score,
                 expert_is_local(e) ? "local" : "remote", price, context);
    print_capabilities(e);
    (void)puts("");
}

/* The guarantees that hold on the way: for all who take it, or for some of them. */
static void print_guarantees(const struct routes *r, const struct category *category,
                             const struct rule *rule)
{
    const struct guarantee *list = r->guarantees.items;
    for (size_t i = 0; i < r->guarantees.count; i++) {
        struct guarantee_path path = {category, rule, false};
        bool is_sure = guarantee_could_hold(r, &list[i], &path);
        path.is_shared = true;
        if (is_sure || guarantee_could_hold(r, &list[i], &path)) {
            (void)printf("      guarantee \"%.*s\"%s: only %s\n", STR_ARG(list[i].name),
                         is_sure ? "" : ", for prompts of its kind", guarantee_only_text(&list[i]));
        }
    }
}

static void print_category(const struct category *c)
{
    const struct category_expert *list = c->experts.items;
    size_t order[EXPERTS_MAX];
    size_t count = c->experts.count < EXPERTS_MAX ? c->experts.count : EXPERTS_MAX;
    for (size_t i = 0; i < count; i++) { /* by score, equal ones as written */
        size_t at = i;
        while (at > 0 && list[order[at - 1]].score < list[i].score) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    for (size_t i = 0; i < count; i++) {
        char score[TEXT_BYTES];
        (void)snprintf(score, sizeof score, "%.2f", list[order[i]].score);
        print_expert(i + 1, list[order[i]].expert, score);
    }
}

static const char *role(const struct routes *r, const struct category *c)
{
    if (c == r->general) {
        return ", for prompts that the classifier is not sure about";
    }
    if (c == r->code) {
        return ", also for unsure prompts of code";
    }
    return c == r->multilingual ? ", also for unsure prompts in other languages" : "";
}

static void print_rule(const struct routes *r, const struct rule *rule, size_t number)
{
    const struct rule_when *when = &rule->when;
    (void)printf("\nrule %zu", number);
    if (rule->name.len > 0) {
        (void)printf(" \"%.*s\"", STR_ARG(rule->name));
    }
    (void)printf(": %s%.*s", when->model.len > 0 ? "model " : "model auto", STR_ARG(when->model));
    for (size_t i = 0; i < when->header_count; i++) {
        (void)printf(", %.*s: %.*s", STR_ARG(when->headers[i].name),
                     STR_ARG(when->headers[i].value));
    }
    if (when->text.len > 0) {
        (void)printf(", text ~ %.*s", STR_ARG(when->text));
    }
    const struct rule_head *heads = when->heads.items;
    for (size_t i = 0; i < when->heads.count; i++) {
        (void)printf(", %.*s in %g..%g", STR_ARG(heads[i].id.name), heads[i].min, heads[i].max);
    }
    const struct category *category = routes_category(r, rule->category);
    if (category != NULL) {
        (void)printf(" -> category %.*s\n", STR_ARG(category->id.name));
        print_category(category);
    } else {
        (void)puts("");
        print_expert(1, routes_expert(r, rule->expert), "");
    }
    print_guarantees(r, category, rule);
}

static void print_alias(const struct routes *r, const struct alias *alias)
{
    (void)printf("\nalias \"%.*s\"\n", STR_ARG(alias->name));
    for (size_t i = 0; i < alias->count; i++) {
        print_expert(i + 1, alias->experts[i], "");
    }
    print_guarantees(r, NULL, NULL);
}

void cmd_check_explain(const struct snapshot *s)
{
    const struct routes *r = &s->conf.routes;
    const struct rule *rules = r->rules.items;
    const struct category *categories = r->categories.items;
    (void)printf("\n%-28s  %5s  %-6s  %17s  %8s  %s\n", "In the order of trying", "score", "where",
                 "USD/1M in/out", "context", "can");
    for (size_t i = 0; i < r->rules.count; i++) {
        print_rule(r, &rules[i], i + 1);
    }
    for (size_t i = 0; i < r->categories.count; i++) {
        (void)printf("\ncategory \"%.*s\"%s\n", STR_ARG(categories[i].id.name),
                     role(r, &categories[i]));
        print_category(&categories[i]);
        print_guarantees(r, &categories[i], NULL);
    }
    for (size_t i = 0; i < r->aliases.count; i++) {
        print_alias(r, &r->aliases.items[i]);
    }
}
