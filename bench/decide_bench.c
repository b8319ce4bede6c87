/* What deciding costs once the prompt is classified: microseconds per decision with 50
 * experts, 30 categories and every policy at work: rules, prices, a cost weight, capabilities,
 * contexts, budgets, guarantees, a banned expert, a highest price, the conversation's
 * expert. What is read of texts is not in it: no
 * classification (classifier_bench), no language. Takes the fastest of many rounds. Not a
 * test. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "router/decide.h"

enum {
    EXPERTS = 50,
    CATEGORIES = 30,
    RULES = 20,
    GUARANTEES = 10,
    ROUNDS = 300,
    PER_ROUND = 200,
    YAML_MAX = 1024 * 1024,
};

static void must(enum status st)
{
    ASSERT(st == ST_OK); /* the ceilings fit; nothing else can fail here */
}

/* in_category: experts of each category. */
static void write_yaml(struct buf *b, int in_category)
{
    must(buf_append(b, STR("experts:\n")));
    for (int i = 0; i < EXPERTS; i++) {
        must(buf_printf(b,
                        "  e%d: {url: 'http://127.0.0.1:9/v1', locality: %s, context: %d, "
                        "price: {input: %d, output: %d}, capabilities: [%s]}\n",
                        i, i % 3 == 0 ? "local" : "remote", 4000 + 1000 * i, i + 1, 2 * i + 1,
                        i % 2 == 0 ? "tools, json" : "tools"));
    }
    must(buf_append(b, STR("router: {session: {affinity: true, switch_cost: 0.05}}\n"
                           "policies: {cost_weight: 0.1}\ncategories:\n")));
    for (int c = 0; c < CATEGORIES; c++) {
        char name[16] = "general";
        if (c > 0) {
            (void)snprintf(name, sizeof name, "c%d", c);
        }
        must(buf_printf(b, "  %s: {experts: [", name));
        for (int i = 0; i < in_category; i++) {
            must(buf_printf(b, "%s{expert: e%d, score: 0.%02d}", i == 0 ? "" : ", ",
                            (c + i) % EXPERTS, (i * 37 + c) % 100));
        }
        must(buf_append(b, STR("]}\n")));
    }
    must(buf_append(b, STR("rules:\n")));
    for (int i = 0; i < RULES; i++) {
        must(buf_printf(b, "  - {when: {header: {x-department: d%d}}, category: c%d}\n", i, i + 1));
    }
    must(buf_append(b, STR("guarantees:\n")));
    for (int i = 0; i < GUARANTEES; i++) {
        must(buf_printf(b,
                        "  - {name: g%d, when: {tenant: [t%d]}, only: {locality: local}, "
                        "strict: false}\n",
                        i, i));
    }
}

struct bench {
    struct arena *arena;
    struct diags diags;
    struct routes routes;
    struct decide_scratch scratch;
};

static void load(struct bench *b, int in_category)
{
    static const struct keys root_keys = {"configuration", sizeof(struct routes), routes_rows,
                                          ROUTES_ROW_COUNT, "Routing tables."};
    struct yaml_node *root = NULL;
    struct buf text;
    memset(b, 0, sizeof *b);
    buf_init(&text, YAML_MAX);
    write_yaml(&text, in_category);
    b->arena = arena_create(65536, 64 * 1024 * 1024);
    ASSERT(b->arena != NULL);
    diags_init(&b->diags, b->arena);
    struct key_reader reader = {.arena = b->arena, .diags = &b->diags, .root = STR(".")};
    enum status st = yaml_parse(buf_str(&text), STR("bench"), b->arena, &b->diags, &root);
    if (st == ST_OK) {
        st = keys_decode(&root_keys, &reader, root, &b->routes);
    }
    if (st == ST_OK) {
        st = routes_build(&b->routes, &reader, root->file);
        st = st == ST_OK ? routes_prove(&b->routes, &reader, root->file) : st;
    }
    if (st != ST_OK) {
        diags_print(&b->diags, stderr);
    }
    must(st);
    must(decide_scratch_init(&b->scratch));
    buf_fini(&text);
}

static void unload(struct bench *b)
{
    decide_scratch_fini(&b->scratch);
    routes_fini(&b->routes);
    arena_destroy(b->arena);
}

/* A budget that everybody pays from. */
static void purse(void *ctx, struct str expert, struct str category, struct policy_purse *ret)
{
    (void)ctx;
    (void)expert;
    (void)category;
    *ret = (struct policy_purse){STR("month"), INT64_C(1000000000000), INT64_MAX, false};
}

static struct str header(void *ctx, struct str name)
{
    (void)ctx;
    (void)name;
    return STR("d99"); /* every rule is asked, none fires */
}

/* Rules hold for auto alone; the category comes from the client, so that nothing is classified. */
static size_t decide_once(struct bench *b, const char *model)
{
    static const struct str bans[] = {STR_INIT("e7")};
    struct prompt prompt;
    struct decision decision;
    struct arena *arena = arena_create(1024, 1024 * 1024); /* as an exchange has it */
    ASSERT(arena != NULL);
    prompt_from_text(&prompt, str_from(model), STR("What is the dose?"));
    prompt.needs = POLICY_TOOLS;
    prompt.max_tokens = 500;
    prompt.tenant = STR("t9");
    prompt.session.expert = STR("e3");
    prompt.permit = (struct permit){.bans = bans,
                                    .ban_count = 1,
                                    .has_max_price = true,
                                    .max_price_nano_usd = INT64_C(1000000000)};
    struct rule_facts facts = {.prompt = &prompt, .header = header, .purse = purse};
    must(decide(&b->routes, &b->scratch, &facts, arena, &decision));
    size_t count = decision.plan.count;
    arena_destroy(arena);
    return count;
}

static void measure(int in_category, const char *model)
{
    struct bench b;
    size_t planned = 0;
    int64_t best_us = INT64_MAX;
    load(&b, in_category);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began_us = clock_now_us(clock_system());
        for (int i = 0; i < PER_ROUND; i++) {
            planned = decide_once(&b, model);
        }
        int64_t took_us = clock_now_us(clock_system()) - began_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    (void)printf("%-12s %10d %8zu %10.2f\n", model, in_category, planned,
                 (double)best_us / PER_ROUND);
    unload(&b);
}

int main(void)
{
    (void)printf("%-12s %10s %8s %10s\n", "model", "candidates", "kept", "us");
    measure(3, "auto");
    measure(10, "auto");
    measure(EXPERTS, "auto");
    measure(EXPERTS, "category/c5");
    return 0;
}
