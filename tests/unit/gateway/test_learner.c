/* Online learning in the server: what is learned is in the file, a rollback by anybody is noticed, other
 * weights start over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/learner.h"
#include "gateway/state.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

enum {
    LABELS = 4,
    HASHES = 40,
    RECENT_BYTES = 1024 * 1024,
};

static const struct router_online settings = {true, 2.0, 20.0, 64};

struct fixture {
    char folder[64];
    char path[128];
    struct classifier *classifier;
    struct recent *recent;
    struct db *db;
    struct learner *learner;
};

static void load_classifier(struct fixture *f)
{
    struct weights_sample *sample = mem_zalloc(1, sizeof *sample);
    struct arena *arena = arena_create(1024, 65536);
    struct diags diags;
    char path[160];
    assert_non_null(sample);
    diags_init(&diags, arena);
    weights_sample_init(sample, LABELS);
    (void)snprintf(path, sizeof path, "%s/a.edm", f->folder);
    assert_int_equal(weights_write(&sample->weights, path), ST_OK);
    assert_int_equal(classifier_load(path, &diags, &f->classifier), ST_OK);
    (void)unlink(path);
    arena_destroy(arena);
    mem_free(sample);
}

static int set_up(void **state)
{
    char why[DB_WHY_BYTES];
    struct fixture *f = mem_zalloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-learner-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    load_classifier(f);
    f->recent = recent_create(1, RECENT_BYTES);
    assert_non_null(f->recent);
    assert_int_equal(state_open_file(f->path, DB_WRITE, &f->db, why), ST_OK);
    assert_int_equal(learner_create(&settings, f->classifier, f->recent, f->db, &f->learner),
                     ST_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    learner_destroy(f->learner);
    recent_destroy(f->recent);
    classifier_unref(f->classifier);
    db_close(f->db);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    mem_free(f);
    return 0;
}

/* A prompt that went to label 0. */
static struct recent_decision decision(const struct fixture *f, uint32_t number)
{
    struct recent_decision d = {.hash_count = HASHES, .label_count = LABELS};
    (void)snprintf(d.id, sizeof d.id, "req_%u", number);
    d.weights = classifier_checksum(f->classifier);
    for (uint32_t i = 0; i < HASHES; i++) {
        d.hashes[i] = i < HASHES / 2 ? 1000 + i : 100000 * (number + 1) + i;
    }
    for (size_t k = 0; k < LABELS; k++) {
        d.p[k] = k == 0 ? 0.7F : 0.1F;
    }
    return d;
}

static enum status take(struct fixture *f, const struct recent_decision *d, size_t label)
{
    struct learner_lesson lesson = {d, label, classifier_checksum(f->classifier), LABELS};
    return learner_take(f->learner, f->db, &lesson);
}

static void teach(struct fixture *f)
{
    for (uint32_t i = 0; i < 6; i++) {
        struct recent_decision d = decision(f, i);
        recent_put(f->recent, 0, &d);
        assert_int_equal(take(f, &d, 2), ST_OK);
    }
}

static size_t best(struct learner *l, const struct recent_decision *d)
{
    unsigned version = 0;
    struct classifier_result r = {.count = LABELS};
    struct online_delta *delta = learner_delta(l, &version);
    memcpy(r.p, d->p, sizeof d->p);
    if (delta != NULL) {
        (void)online_apply(delta, d->hashes, d->hash_count, &r);
        online_delta_unref(delta);
    }
    return r.best;
}

static void corrections_reach_the_workers_with_a_new_version(void **state)
{
    struct fixture *f = *state;
    struct recent_decision unseen = decision(f, 99);
    unsigned before = learner_version(f->learner);
    assert_int_equal(best(f->learner, &unseen), 0);

    teach(f);

    assert_true(learner_version(f->learner) != before);
    assert_int_equal(best(f->learner, &unseen), 2);
}

static void corrections_outlive_the_process(void **state)
{
    struct fixture *f = *state;
    struct recent_decision unseen = decision(f, 99);
    teach(f);

    learner_destroy(f->learner);
    f->learner = NULL;
    assert_int_equal(learner_create(&settings, f->classifier, f->recent, f->db, &f->learner),
                     ST_OK);

    assert_int_equal(best(f->learner, &unseen), 2);
}

static void a_rollback_forgets_for_good(void **state)
{
    struct fixture *f = *state;
    struct recent_decision unseen = decision(f, 99);
    teach(f);

    assert_int_equal(learner_rollback(f->learner, f->db), ST_OK);

    assert_int_equal(best(f->learner, &unseen), 0);
    learner_destroy(f->learner);
    f->learner = NULL;
    assert_int_equal(learner_create(&settings, f->classifier, f->recent, f->db, &f->learner),
                     ST_OK);
    assert_int_equal(best(f->learner, &unseen), 0);
}

static void a_rollback_of_the_file_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct recent_decision unseen = decision(f, 99);
    teach(f);
    assert_int_equal(learner_rollback_file(f->db), ST_OK);
    assert_int_equal(best(f->learner, &unseen), 2);

    assert_int_equal(learner_refresh(f->learner, f->db), ST_OK);

    assert_int_equal(best(f->learner, &unseen), 0);
}

static void feedback_without_a_category_teaches_nothing(void **state)
{
    struct fixture *f = *state;
    struct recent_decision d = decision(f, 1);

    assert_int_equal(take(f, &d, SIZE_MAX), ST_OK);

    unsigned version = 0;
    assert_null(learner_delta(f->learner, &version));
}

static void decisions_of_other_weights_teach_nothing(void **state)
{
    struct fixture *f = *state;
    struct recent_decision d = decision(f, 1);
    d.weights++;

    assert_int_equal(take(f, &d, 2), ST_OK);

    unsigned version = 0;
    assert_null(learner_delta(f->learner, &version));
}

static void new_weights_start_over(void **state)
{
    struct fixture *f = *state;
    struct recent_decision d = decision(f, 99);
    teach(f);
    d.weights++;
    struct learner_lesson lesson = {&d, SIZE_MAX, d.weights, LABELS};

    assert_int_equal(learner_take(f->learner, f->db, &lesson), ST_OK);

    unsigned version = 0;
    assert_null(learner_delta(f->learner, &version));
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct recent_decision d = decision(f, 1);
    assert_int_equal(db_exec(f->db, "PRAGMA query_only = ON"), ST_OK);

    assert_int_equal(take(f, &d, 2), ST_IO);
}

static void damaged_corrections_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct recent_decision unseen = decision(f, 99);
    teach(f);
    assert_int_equal(db_exec(f->db, "UPDATE online SET delta = substr(delta, 1, 50); "
                                    "UPDATE replay SET entry = x'00'"),
                     ST_OK);
    learner_destroy(f->learner);
    f->learner = NULL;

    assert_int_equal(learner_create(&settings, f->classifier, f->recent, f->db, &f->learner),
                     ST_OK);

    assert_int_equal(best(f->learner, &unseen), 0);
}

static void figures_tell_what_became_of_corrections(void **state)
{
    struct fixture *f = *state;
    struct buf page;
    buf_init(&page, 65536);
    teach(f);

    assert_int_equal(learner_write_metrics(f->learner, &page), ST_OK);

    struct str text = buf_str(&page);
    struct str zero = STR("{result=\"learned\"} 0\n");
    assert_true(str_find(text, STR("{result=\"learned\"} ")) < text.len);
    assert_int_equal(str_find(text, zero), text.len);
    buf_fini(&page);
}

static void memory_runs_out_cleanly(void **state)
{
    struct fixture *f = *state;
    struct learner *l = NULL;
    uint64_t n = 1;
    for (enum status st = ST_NO_MEMORY; st != ST_OK; n++) {
        mem_fail_at(n, 0);
        st = learner_create(&settings, f->classifier, f->recent, f->db, &l);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
    }
    assert_true(n > 5);
    learner_destroy(l);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(corrections_reach_the_workers_with_a_new_version),
        CASE(corrections_outlive_the_process),
        CASE(a_rollback_forgets_for_good),
        CASE(a_rollback_of_the_file_is_noticed),
        CASE(feedback_without_a_category_teaches_nothing),
        CASE(decisions_of_other_weights_teach_nothing),
        CASE(new_weights_start_over),
        CASE(a_file_that_cannot_be_written_is_an_error),
        CASE(damaged_corrections_are_dropped),
        CASE(figures_tell_what_became_of_corrections),
        CASE(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
