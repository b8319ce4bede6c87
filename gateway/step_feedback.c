/* EX_FEEDBACK: finds the decision that the feedback is about, hands a row to the state file, and waits
 * until it is stored. Texts are dropped here: what goes on are hashes of features. */
#include <string.h>

#include "base/container.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/feedback.h"
#include "gateway/learner.h"
#include "gateway/recent.h"
#include "gateway/state.h"
#include "gateway/worker.h"

enum {
    SCORES_BYTES = FEEDBACK_SCORES_MAX * 6 * RECENT_NAME_BYTES,
};

struct feedback_job { /* owned by the state file while it waits there */
    struct state_job job;
    struct worker *worker;
    struct learner *learner;   /* NULL: online learning is off */
    struct exchange *exchange; /* NULL: it is gone */
    struct recent_decision decision;
    struct learner_lesson lesson;
    int64_t created_s;
    char category[RECENT_NAME_BYTES];
    char rating[8];
    char expert[RECENT_NAME_BYTES];
    struct buf scores;
};

static void destroy(struct feedback_job *j)
{
    if (j != NULL) {
        buf_fini(&j->scores);
        mem_free(j);
    }
}

/* On the writer's thread. */
static enum status write_row(struct state_job *job, struct db *db)
{
    const struct feedback_job *j = CONTAINER_OF(job, struct feedback_job, job);
    struct feedback_row row = {
        .request_id = str_from(j->decision.id),
        .created_s = j->created_s,
        .category = str_from(j->category),
        .rating = str_from(j->rating),
        .expert = str_from(j->expert),
        .scores = buf_str(&j->scores),
        .routed_category = str_from(j->decision.category),
        .routed_expert = str_from(j->decision.expert),
        .confidence = (double)j->decision.confidence,
        .hashes = j->decision.hashes,
        .hash_count = j->decision.hash_count,
    };
    enum status st = feedback_write(db, &row);
    return st == ST_OK && j->learner != NULL ? learner_take(j->learner, db, &j->lesson) : st;
}

/* On the writer's thread. */
static enum status roll_back(struct state_job *job, struct db *db)
{
    const struct feedback_job *j = CONTAINER_OF(job, struct feedback_job, job);
    return learner_rollback(j->learner, db);
}

static void on_done(struct state_job *job)
{
    struct feedback_job *j = CONTAINER_OF(job, struct feedback_job, job);
    struct exchange *x = j->exchange;
    worker_forget_job(j->worker);
    if (x != NULL) {
        x->feedback = NULL;
        x->feedback_status = job->st;
        exchange_wake(x);
    }
    destroy(j);
}

void step_feedback_forget(struct exchange *x)
{
    if (x->feedback != NULL) {
        x->feedback->exchange = NULL;
        x->feedback = NULL;
    }
}

/* ---------------------------------------------------------------- what it is about */

static enum step_result refuse_name(struct exchange *x, const char *what, struct str name)
{
    struct str message = arena_printf(x->arena, "There is no %s \"%.*s\" in this configuration.",
                                      what, STR_ARG(str_slice(name, 0, 128)));
    return exchange_refuse(x, PROBLEM_BAD_PARAM, message, str_from(what));
}

/* STEP_DONE: all names are known. */
static enum step_result check_names(struct exchange *x, const struct feedback *f)
{
    const struct routes *routes = &x->snapshot->conf.routes;
    if (f->category.len > 0 && routes_category(routes, f->category) == NULL) {
        return refuse_name(x, "category", f->category);
    }
    if (f->expert.len > 0 && routes_expert(routes, f->expert) == NULL) {
        return refuse_name(x, "expert", f->expert);
    }
    for (size_t i = 0; i < f->score_count; i++) {
        if (routes_expert(routes, f->scores[i].expert) == NULL) {
            return refuse_name(x, "expert", f->scores[i].expert);
        }
    }
    return STEP_DONE;
}

/* The decision on a text that came with the feedback, made now. STEP_DONE: it is there. */
static enum step_result decide_now(struct exchange *x, const struct feedback *f,
                                   struct recent_decision *ret)
{
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt};
    struct decision decision = {0};
    prompt_from_text(&prompt, STR("auto"), f->prompt);
    enum status st =
        decide(&x->snapshot->conf.routes, &x->worker->scratch, &facts, x->arena, &decision);
    if (st == ST_NO_MEMORY) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    if (!decision.is_classified) {
        return exchange_refuse(x, PROBLEM_BAD_PARAM,
                               STR("This configuration does not classify such a prompt: nothing "
                                   "can be learned from it. Feedback on an answer names its "
                                   "request_id."),
                               STR("prompt"));
    }
    recent_describe(&x->snapshot->conf.routes, &prompt, &decision, &x->worker->scratch, ret);
    memcpy(ret->id, x->id, sizeof ret->id);
    return STEP_DONE;
}

static enum step_result find_decision(struct exchange *x, const struct feedback *f,
                                      struct recent_decision *ret)
{
    if (f->has_prompt) {
        return decide_now(x, f, ret);
    }
    if (!recent_find(x->worker->recent, f->request_id, ret)) {
        return exchange_refuse(x, PROBLEM_REQUEST_NOT_FOUND, STR(""), STR("request_id"));
    }
    return STEP_DONE;
}

/* ---------------------------------------------------------------- the job */

static void copy_text(char *to, struct str text) /* names were checked: they fit */
{
    if (text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
}

static enum status write_scores(struct buf *out, const struct feedback *f)
{
    enum status st = f->score_count == 0 ? ST_OK : buf_append_char(out, '{');
    for (size_t i = 0; st == ST_OK && i < f->score_count; i++) {
        st = i == 0 ? ST_OK : buf_append_char(out, ',');
        if (st == ST_OK) {
            st = json_write_text(out, f->scores[i].expert);
        }
        if (st == ST_OK) {
            st = buf_printf(out, ":%d", f->scores[i].value);
        }
    }
    return st != ST_OK || f->score_count == 0 ? st : buf_append_char(out, '}');
}

static enum step_result hand_over(struct exchange *x, struct feedback_job *j)
{
    j->job.done = on_done;
    j->worker = x->worker;
    j->exchange = x;
    enum status st = worker_submit(x->worker, &j->job);
    if (st != ST_OK) {
        destroy(j);
        x->retry_after_s = 1;
        return exchange_refuse(x, PROBLEM_STATE_BUSY, STR(""), STR(""));
    }
    x->feedback = j;
    return STEP_WAIT; /* the writer tells in any case; the client leaving wakes too */
}

/* The label that stands for a category: of several, the one that the prompt is nearest to. */
static size_t label_of(const struct exchange *x, const struct recent_decision *d,
                       struct str category)
{
    const struct routes *routes = &x->snapshot->conf.routes;
    const struct category *wanted = routes_category(routes, category);
    size_t label = SIZE_MAX;
    for (size_t i = 0; wanted != NULL && i < d->label_count; i++) {
        if (routes->label_categories[i] == wanted && (label == SIZE_MAX || d->p[i] > d->p[label])) {
            label = i;
        }
    }
    return label;
}

static enum step_result take_rollback(struct exchange *x)
{
    struct worker *w = x->worker;
    if (w->learner == NULL) {
        return exchange_refuse(x, PROBLEM_STATE_OFF,
                               STR("router.online is off: nothing was learned."), STR(""));
    }
    struct feedback_job *j = mem_zalloc(1, sizeof *j);
    if (j == NULL) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    buf_init(&j->scores, SCORES_BYTES);
    j->job.run = roll_back;
    j->learner = w->learner;
    x->feedback_id = STR("rollback");
    return hand_over(x, j);
}

static enum step_result take_feedback(struct exchange *x)
{
    struct feedback f;
    struct chat_error error = {PROBLEM_NONE, STR(""), STR("")};
    if (x->worker->state == NULL) {
        return exchange_refuse(x, PROBLEM_STATE_OFF, STR(""), STR(""));
    }
    enum status st = feedback_parse(http_request_body(x->http), x->arena, &f, &error);
    if (st == ST_INVALID) {
        return exchange_refuse(x, error.problem, error.message, error.param);
    }
    struct feedback_job *j = st == ST_OK ? mem_zalloc(1, sizeof *j) : NULL;
    if (j == NULL) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    buf_init(&j->scores, SCORES_BYTES);
    enum step_result result = check_names(x, &f);
    if (result == STEP_DONE) {
        result = find_decision(x, &f, &j->decision);
    }
    if (result == STEP_DONE && write_scores(&j->scores, &f) != ST_OK) {
        result = exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    if (result != STEP_DONE) {
        destroy(j);
        return result;
    }
    j->job.run = write_row;
    j->learner = x->worker->learner;
    j->created_s = clock_wall_s();
    copy_text(j->category, f.category);
    copy_text(j->rating, f.rating);
    copy_text(j->expert, f.expert);
    j->lesson = (struct learner_lesson){
        .decision = &j->decision,
        .label = f.category.len > 0 ? label_of(x, &j->decision, f.category) : SIZE_MAX,
        .weights = exchange_weights(x),
        .label_count = j->decision.label_count,
    };
    x->feedback_id = arena_copy(x->arena, str_from(j->decision.id));
    x->feedback_features = j->decision.hash_count;
    return hand_over(x, j);
}

enum step_result step_feedback(struct exchange *x)
{
    if (x->feedback != NULL) {
        return STEP_WAIT; /* woken for another reason; the writer still tells */
    }
    if (x->feedback_id.len == 0) {
        return x->is_admin ? take_rollback(x) : take_feedback(x);
    }
    if (x->feedback_status != ST_OK) {
        return exchange_refuse(x, PROBLEM_STATE_FAILED, STR(""), STR(""));
    }
    exchange_go(x, EX_PAGE);
    return STEP_MORE;
}

enum status pages_rollback(struct exchange *x, struct buf *out)
{
    (void)x;
    return buf_append(out, STR("{\"object\":\"rollback\",\"stored\":true}"));
}

enum status pages_feedback(struct exchange *x, struct buf *out)
{
    enum status st = buf_append(out, STR("{\"object\":\"feedback\",\"request_id\":"));
    if (st == ST_OK) {
        st = json_write_text(out, x->feedback_id);
    }
    return st == ST_OK ? buf_printf(out, ",\"features\":%zu,\"stored\":true}", x->feedback_features)
                       : st;
}
