/* What the process keeps by name, over very many configurations with new names: it does not grow, and
 * nothing is taken from a request that still has it. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "backends/expert.h"
#include "base/buf.h"
#include "gateway/snapshot.h"
#include "tests/support/test.h"

enum {
    RELOADS = 2000,
    WARM = 200, /* after so many everything is as large as it gets */
    ROOM_BYTES = 128 * 1024,
};

struct setting {
    struct metrics *metrics;
    struct quotas *quotas;
    struct healths *healths;
    struct budgets *budgets;
    FILE *out;
    pthread_mutex_t lock;
    struct snapshot *current; /* under the lock */
    atomic_bool is_over;
};

static struct snapshot *load(struct setting *s, int number)
{
    struct snapshot *fresh = NULL;
    struct buf text;
    buf_init(&text, 65536);
    assert_int_equal(
        buf_printf(
            &text,
            "state: {path: /not/opened.db}\n"
            "experts:\n"
            "  same: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}\n"
            "  e%d: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}\n"
            "categories: {c%d: {experts: [{expert: e%d}]}, general: {experts: [{expert: same}]}}\n"
            "tenants: [{name: t%d, keys: ['sha256:%064d']}]\n"
            "budgets: [{name: b%d, usd: 1, for: {tenant: t%d}}]\n",
            number, number, number, number, number, number, number),
        ST_OK);
    assert_int_equal(snapshot_try(buf_str(&text), STR("t"), NULL, s->out, &fresh), ST_OK);
    assert_int_equal(snapshot_count(fresh, s->metrics), ST_OK);
    assert_int_equal(snapshot_join(fresh, s->quotas, s->healths), ST_OK);
    assert_int_equal(budgets_bind(s->budgets, &fresh->conf.budgets, NULL, number), ST_OK);
    healths_use(s->healths, fresh->conf.routes.experts.items, fresh->conf.routes.experts.count,
                fresh->health);
    buf_fini(&text);
    return fresh;
}

static void reload(struct setting *s, int number)
{
    struct snapshot *fresh = load(s, number);
    (void)pthread_mutex_lock(&s->lock);
    struct snapshot *old = s->current;
    s->current = fresh;
    (void)pthread_mutex_unlock(&s->lock);
    snapshot_unref(old);
    quotas_sweep(s->quotas);
    healths_sweep(s->healths);
    budgets_sweep(s->budgets);
}

/* One request, as a worker would have it. */
static void serve(struct setting *s)
{
    static const struct quota_rate rate = {.requests_per_minute = 0};
    static const struct health_result result = {CALL_OK, 200, -1, 1000, false};
    struct health_pass pass;
    struct budget_hold holds[1];
    size_t held = 0;
    (void)pthread_mutex_lock(&s->lock);
    struct snapshot *mine = snapshot_ref(s->current);
    (void)pthread_mutex_unlock(&s->lock);
    const struct tenant *tenant = mine->conf.tenants.list.items;
    const struct budget_who who = {.tenant = tenant->name};
    const struct metrics_event event = {
        .outcome = METRICS_OK,
        .category_slot = mine->category_slots[0],
        .expert_slot = mine->expert_slots[1],
    };
    (void)quota_admit(tenant->quota, &rate, 0, 1);
    health_force(mine->health[1], 0, &pass);
    assert_null(budgets_reserve(&mine->conf.budgets, &who, 7, 0, holds, &held));
    metrics_count(metrics_shard(s->metrics, 0), &event);
    budgets_settle(holds, held, 5);
    health_leave(&pass, 1, &result);
    quota_release(tenant->quota, &rate, 0, 1, 1);
    snapshot_unref(mine);
}

static void scrape(struct setting *s)
{
    struct buf page;
    buf_init(&page, 1 << 24);
    assert_int_equal(metrics_write(s->metrics, &page), ST_OK);
    assert_int_equal(quotas_write_metrics(s->quotas, &page), ST_OK);
    assert_int_equal(healths_write_metrics(s->healths, 0, &page), ST_OK);
    assert_int_equal(healths_write_json(s->healths, 0, &page), ST_OK);
    buf_fini(&page);
}

static void *work(void *arg)
{
    struct setting *s = arg;
    for (unsigned i = 0; !atomic_load(&s->is_over); i++) {
        serve(s);
        if (i % 64 == 0) {
            scrape(s);
        }
    }
    return NULL;
}

static void begin(struct setting *s)
{
    *s = (struct setting){.metrics = metrics_create(1),
                          .quotas = quotas_create(),
                          .healths = healths_create(),
                          .budgets = budgets_create(),
                          .out = fopen("/dev/null", "w")};
    assert_non_null(s->out);
    assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
    reload(s, 0);
}

static void end(struct setting *s)
{
    snapshot_unref(s->current);
    metrics_destroy(s->metrics);
    quotas_destroy(s->quotas);
    healths_destroy(s->healths);
    budgets_destroy(s->budgets);
    (void)pthread_mutex_destroy(&s->lock);
    (void)fclose(s->out);
}

static void new_names_do_not_make_the_heap_grow(void **state)
{
    struct setting s;
    size_t warm = 0;
    (void)state;
    begin(&s);
    for (int i = 1; i <= RELOADS; i++) {
        reload(&s, i);
        serve(&s);
        warm = i == WARM ? mallinfo2().uordblks : warm;
    }
    size_t now = mallinfo2().uordblks;
    if (now > warm + ROOM_BYTES) {
        fail_msg("%zu bytes after %d reloads, %zu after %d", warm, (int)WARM, now, (int)RELOADS);
    }
    end(&s);
}

/* For the thread sanitizer above all. */
static void requests_keep_what_they_began_with(void **state)
{
    struct setting s;
    pthread_t thread;
    (void)state;
    begin(&s);
    assert_int_equal(pthread_create(&thread, NULL, work, &s), 0);
    for (int i = 1; i <= RELOADS / 4; i++) {
        reload(&s, i);
    }
    atomic_store(&s.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_names_do_not_make_the_heap_grow),
        cmocka_unit_test(requests_keep_what_they_began_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
