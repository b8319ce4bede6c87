/* See selftest.h. The table says what must come of each scenario where somebody else can answer; where
 * nobody can, the client must be told. */
#include "gateway/selftest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/kernel.h"
#include "base/json_write.h"
#include "gateway/ledger.h"
#include "gateway/process.h"
#include "gateway/selftest_client.h"
#include "gateway/selftest_conf.h"

enum {
    CONF_BYTES_MAX = 16 * 1024 * 1024,
    PATH_BYTES = 4096,
    FLAPS = 8,          /* requests to an expert that fails every other time */
    WAIT_MS = 400,      /* the longest deadline that a scenario runs into is shortened to this */
    PATIENCE_MS = 60000 /* for one answer */
};

enum want {
    WANT_NOTHING, /* not played in this mode */
    WANT_ANSWER,  /* a whole answer: the failure does not show */
    WANT_BROKEN,  /* content came, then the news that no more does */
    WANT_SAME,    /* what the expert said, and nobody else is asked */
};

struct scenario {
    const char *id;
    const char *name;
    const char *script; /* NULL: says nothing for twice its first_token_ms */
    enum want plain;
    enum want stream;
    bool waits; /* it runs into deadlines: they are shortened */
};

static const struct scenario scenarios[] = {
    {"S01", "429 with Retry-After", "429@retry=1, ok", WANT_ANSWER, WANT_ANSWER, false},
    {"S02", "429 for ever", "429@retry=86400", WANT_ANSWER, WANT_ANSWER, false},
    {"S03", "one 500", "500, ok", WANT_ANSWER, WANT_ANSWER, false},
    {"S04", "503", "503", WANT_ANSWER, WANT_ANSWER, false},
    {"S05", "reset before the head", "reset", WANT_ANSWER, WANT_ANSWER, false},
    {"S06", "no response", "slow_first@3600s", WANT_ANSWER, WANT_ANSWER, true},
    {"S07", "slow first token", NULL, WANT_ANSWER, WANT_ANSWER, true},
    {"S08", "cut after 40 of 60 tokens", "cut@40", WANT_ANSWER, WANT_BROKEN, false},
    {"S09", "stall in the middle", "stall@3600s", WANT_ANSWER, WANT_BROKEN, true},
    {"S10", "malformed before content", "malformed", WANT_ANSWER, WANT_ANSWER, false},
    {"S10", "malformed after content", "malformed@1", WANT_NOTHING, WANT_BROKEN, false},
    {"S11", "no [DONE]", "no_done", WANT_ANSWER, WANT_BROKEN, false},
    {"S12", "prompt too long for it", "context_length", WANT_ANSWER, WANT_ANSWER, false},
    {"S13", "content filter", "content_filter", WANT_SAME, WANT_SAME, false},
    {"S14", "prefill rejected", "400", WANT_SAME, WANT_SAME, false},
    {"S15", "fails every other time", "503, ok", WANT_ANSWER, WANT_ANSWER, false},
    {"S16", "accounting of a failover", "cut@0, 503", WANT_ANSWER, WANT_ANSWER, false},
};

enum {
    SCENARIOS = sizeof scenarios / sizeof scenarios[0]
};

static bool is_flapping(const struct scenario *sc)
{
    return strcmp(sc->id, "S15") == 0;
}

/* ---------------------------------------------------------------- targets */

/* Where no other is listed there is nothing to play: the scenarios are chats. */
static bool only_embeds(const struct expert *e)
{
    const struct kernel_builtin *builtin = e->kernel_spec.builtin;
    bool never_chats =
        builtin != NULL && (builtin->abi->info()->capabilities & EK_CAP_GENERATE) == 0;
    return never_chats || e->capabilities == EXPERT_EMBED;
}

static void add_expert(struct selftest_target *t, const struct expert *e)
{
    if (t->count < SELFTEST_EXPERTS_MAX) {
        t->experts[t->count++] = e;
    }
}

static bool is_same_target(const struct selftest_target *a, const struct selftest_target *b)
{
    bool is = a->count == b->count;
    for (size_t i = 0; is && i < a->count; i++) {
        is = a->experts[i] == b->experts[i];
    }
    return is || (a->count == 1 && b->count == 1);
}

static bool chats(const struct selftest_target *t)
{
    bool is = false;
    for (size_t i = 0; i < t->count; i++) {
        is = is || !only_embeds(t->experts[i]);
    }
    return is;
}

/* How many targets there are with the one at `count`. */
static size_t keep_if_new(struct selftest_target *targets, size_t count, bool wants_all)
{
    bool is_new = chats(&targets[count]);
    for (size_t i = 0; is_new && !wants_all && i < count; i++) {
        is_new = !is_same_target(&targets[i], &targets[count]);
    }
    return count + is_new;
}

static void fill_from_category(struct selftest_target *t, const struct routes *routes,
                               const struct category *c)
{
    const struct category *from = c;
    while (from->experts.count == 0 && from->parent != NULL) {
        from = from->parent;
    }
    const struct category_expert *experts = from->experts.items;
    *t = (struct selftest_target){.model = c->model};
    for (size_t i = 0; i < from->experts.count; i++) {
        if (experts[i].score >= routes->policies.min_score) {
            add_expert(t, experts[i].expert);
        }
    }
}

size_t selftest_targets(const struct snapshot *s, bool wants_all, struct selftest_target *targets,
                        size_t max)
{
    const struct routes *routes = &s->conf.routes;
    const struct category *categories = routes->categories.items;
    const struct expert *experts = routes->experts.items;
    size_t count = 0;
    for (size_t i = 0; i < routes->categories.count && count < max; i++) {
        fill_from_category(&targets[count], routes, &categories[i]);
        count = keep_if_new(targets, count, wants_all);
    }
    for (size_t i = 0; i < routes->aliases.count && count < max; i++) {
        const struct alias *alias = &routes->aliases.items[i];
        targets[count] = (struct selftest_target){.model = alias->name};
        for (size_t k = 0; k < alias->count; k++) {
            add_expert(&targets[count], alias->experts[k]);
        }
        count = keep_if_new(targets, count, wants_all);
    }
    for (size_t i = 0; count == 0 && max > 0 && i < routes->experts.count; i++) {
        targets[count] = (struct selftest_target){.model = experts[i].id.name};
        add_expert(&targets[count], &experts[i]);
        count = keep_if_new(targets, count, wants_all);
    }
    return count;
}

/* Somebody else who can answer; of a prompt that is too long, one with more context. NULL: nobody. */
static const struct expert *find_other(const struct selftest_target *t, const struct scenario *sc)
{
    bool is_long = strcmp(sc->script == NULL ? "" : sc->script, "context_length") == 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct expert *e = t->experts[i];
        if (e != t->first && (!is_long || e->context_tokens > t->first->context_tokens)) {
            return e;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- gateway */

static const char *const files[] = {"conf.json", "state.db", "state.db-wal", "state.db-shm",
                                    "state.db-journal"};

static void make_path(char path[PATH_BYTES], struct str folder, const char *name)
{
    (void)snprintf(path, PATH_BYTES, "%.*s/%s", STR_ARG(folder), name);
}

static void remove_files(struct str folder)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        make_path(path, folder, files[i]);
        (void)unlink(path); /* most are not there each time */
    }
}

static enum status write_conf(const struct selftest_conf *c, const char *path)
{
    struct buf text;
    buf_init(&text, CONF_BYTES_MAX);
    enum status st = selftest_conf_write(c, &text);
    FILE *file = st == ST_OK ? fopen(path, "w") : NULL;
    if (st == ST_OK && file == NULL) {
        st = ST_IO;
    }
    if (file != NULL) {
        struct str all = buf_str(&text);
        bool is_written = fwrite(all.ptr, 1, all.len, file) == all.len;
        st = fclose(file) == 0 && is_written ? ST_OK : ST_IO;
    }
    buf_fini(&text);
    return st;
}

static enum status write_question(struct buf *body, struct str model, bool is_stream,
                                  bool has_prefill, int number)
{
    enum status st = buf_append(body, STR("{\"model\":"));
    st = st == ST_OK ? json_write_text(body, model) : st;
    return st != ST_OK
               ? st
               : buf_printf(body,
                            ",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":"
                            "\"count, for test %d\"}%s]}",
                            is_stream ? "true" : "false", number,
                            has_prefill ? ",{\"role\":\"assistant\",\"content\":\"1 2\"}" : "");
}

/* ---------------------------------------------------------------- verdicts */

enum seen {
    SEEN_ANSWER,
    SEEN_ERROR,
    SEEN_BROKEN,
    SEEN_FALSE, /* it broke off, and nothing says so */
};

static bool has(struct str text, struct str part)
{
    return str_find(text, part) < text.len;
}

static enum seen see(const struct selftest_reply *r, bool is_stream)
{
    struct str body = buf_str(&r->body);
    bool has_error = has(body, STR("\"error\":{"));
    if (r->status != 200) {
        return r->status != 0 && r->is_whole && has_error ? SEEN_ERROR : SEEN_FALSE;
    }
    if (has_error) {
        return is_stream && !has(body, STR("[DONE]")) ? SEEN_BROKEN : SEEN_FALSE;
    }
    bool is_ended = !is_stream || has(body, STR("data: [DONE]"));
    return r->is_whole && is_ended && has(body, STR("\"choices\"")) ? SEEN_ANSWER : SEEN_FALSE;
}

static size_t count_tokens(struct str body)
{
    size_t count = 0;
    struct str part = STR("\"content\":\"");
    for (size_t at = str_find(body, part); at < body.len; at = str_find(body, part)) {
        body = str_slice(body, at + part.len, body.len);
        count += body.len > 0 && body.ptr[0] != '"';
    }
    return count;
}

static void describe(struct selftest_result *result, enum seen seen, const struct selftest_reply *r)
{
    struct str who = selftest_header(r, "x-expertd-expert");
    switch (seen) {
    case SEEN_ANSWER:
        (void)snprintf(result->got, sizeof result->got, "answer of %.*s", STR_ARG(who));
        break;
    case SEEN_ERROR:
        (void)snprintf(result->got, sizeof result->got, "error %d", r->status);
        break;
    case SEEN_BROKEN:
        (void)snprintf(result->got, sizeof result->got, "%zu tokens, then an error",
                       count_tokens(buf_str(&r->body)));
        break;
    case SEEN_FALSE:
        (void)snprintf(result->got, sizeof result->got, "status %d, %s", r->status,
                       r->is_whole ? "no proper end" : "cut, and nothing says so");
        break;
    }
}

/* Says why it failed, once. */
static void fail(struct selftest_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct selftest_result *result, const char *format, ...)
{
    if (!result->is_passed) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(result->why, sizeof result->why, format, args);
    va_end(args);
    result->is_passed = false;
}

/* Somebody could have answered, and was not let. */
static void blame(const struct selftest *t, const struct selftest_target *target,
                  const struct scenario *sc, const struct expert *other,
                  struct selftest_result *result)
{
    const struct plan_settings *plan = &t->s->conf.routes.policies.plan;
    const struct expert_deadlines *d = &target->first->deadlines;
    if (plan->attempts == 1) {
        fail(result, "%.*s was not asked: policies.attempts is 1", STR_ARG(other->id.name));
    } else if (sc->waits && plan->deadline_ms <= d->first_token_ms) {
        fail(result,
             "no time was left for %.*s: policies.deadline_ms is %" PRId64
             ", first_token_ms of %.*s is %" PRId64,
             STR_ARG(other->id.name), plan->deadline_ms, STR_ARG(target->first->id.name),
             d->first_token_ms);
    } else {
        fail(result, "%.*s could have answered; attempts: %s", STR_ARG(other->id.name),
             result->log[0] == '\0' ? "none" : result->log);
    }
}

/* Each answer says it of itself; a stream does not. */
static void note_cost(struct str usd, struct selftest_result *result)
{
    double value = 0.0;
    if (str_to_real(usd, &value) != ST_OK) {
        result->told_nano_usd = -1;
    } else if (result->told_nano_usd >= 0) {
        result->told_nano_usd += (int64_t)(value * 1e9 + 0.5);
    }
}

static void judge(const struct selftest *t, const struct selftest_target *target,
                  const struct scenario *sc, const struct selftest_reply *r,
                  struct selftest_result *result)
{
    enum seen seen = see(r, result->is_stream);
    enum want want = result->is_stream ? sc->stream : sc->plain;
    const struct expert *other = find_other(target, sc);
    struct str log = selftest_header(r, "x-expertd-attempt-log");
    struct str who = selftest_header(r, "x-expertd-expert");
    int64_t attempts = 0;
    enum status st = str_to_int(selftest_header(r, "x-expertd-attempts"), &attempts);
    result->attempts += st == ST_OK ? attempts : 0; /* no header: nobody was asked */
    (void)snprintf(result->log, sizeof result->log, "%.*s", STR_ARG(log));
    note_cost(selftest_header(r, "x-expertd-cost-usd"), result);
    describe(result, seen, r);
    if (seen == SEEN_FALSE) {
        fail(result, "the client was not told: %s", result->got);
    } else if (want == WANT_SAME && attempts != 1) {
        fail(result, "%" PRId64 " attempts, though asking again is no way around it", attempts);
    } else if (want == WANT_ANSWER && seen != SEEN_ANSWER && other != NULL) {
        blame(t, target, sc, other, result);
    } else if (want == WANT_BROKEN && seen == SEEN_ANSWER && str_eq(who, target->first->id.name)) {
        fail(result, "an answer that broke off looks whole");
    }
}

/* ---------------------------------------------------------------- ledger */

static enum status add_row(void *ctx, const struct ledger_row *row)
{
    struct selftest_result *result = ctx;
    bool is_priced = row->cost_nano_usd != LEDGER_COST_UNKNOWN;
    result->rows++;
    result->unpriced += !is_priced;
    result->cost_nano_usd += is_priced ? row->cost_nano_usd : 0;
    return ST_OK;
}

static enum status read_ledger(struct str folder, struct selftest_result *result)
{
    char path[PATH_BYTES];
    char why[DB_WHY_BYTES] = "";
    char changed[LEDGER_WHY_BYTES] = "";
    struct db *db = NULL;
    int64_t rows = 0;
    const struct ledger_filter all = {0};
    make_path(path, folder, "state.db");
    enum status st = state_open_file(path, DB_READ, &db, why);
    st = st == ST_OK ? ledger_each(db, &all, add_row, result) : st;
    st = st == ST_OK ? ledger_verify(db, &rows, changed) : st;
    db_close(db);
    if (st == ST_INVALID) {
        fail(result, "the ledger is not whole: %s%s", why, changed);
        st = ST_OK;
    }
    if (st == ST_OK && result->rows != result->attempts) {
        fail(result, "%" PRId64 " attempts, but %" PRId64 " rows in the ledger", result->attempts,
             result->rows);
    }
    if (st == ST_OK && result->told_nano_usd >= 0 &&
        result->told_nano_usd != result->cost_nano_usd) {
        fail(result,
             "the client was told that it cost %" PRId64 " nano-USD, the ledger has %" PRId64,
             result->told_nano_usd, result->cost_nano_usd);
    }
    return st;
}

/* ---------------------------------------------------------------- runs */

static enum status ask(const struct selftest *t, const struct selftest_target *target,
                       const struct scenario *sc, uint16_t port, struct selftest_result *result)
{
    struct buf body;
    struct selftest_reply reply;
    int count = is_flapping(sc) ? FLAPS : 1;
    bool has_prefill = strcmp(sc->id, "S14") == 0;
    enum status st = ST_OK;
    buf_init(&body, CONF_BYTES_MAX);
    for (int i = 0; st == ST_OK && i < count; i++) {
        selftest_reply_init(&reply);
        buf_reset(&body);
        st = write_question(&body, target->model, result->is_stream, has_prefill, i + 1);
        st = st == ST_OK ? selftest_ask(port, buf_str(&body), PATIENCE_MS, &reply) : st;
        if (st == ST_OK) {
            judge(t, target, sc, &reply, result);
        }
        selftest_reply_fini(&reply);
    }
    buf_fini(&body);
    if (st == ST_TIMEOUT) {
        fail(result, "no end of an answer within %d s", PATIENCE_MS / 1000);
        st = ST_OK;
    }
    return st;
}

/* Serves, asks, reads the ledger, removes all of it. */
static enum status play(const struct selftest *t, const struct selftest_target *target,
                        const struct scenario *sc, const struct selftest_conf *conf,
                        struct selftest_result *result)
{
    char path[PATH_BYTES];
    struct process *process = NULL;
    result->is_passed = true;
    make_path(path, t->folder, files[0]);
    enum status st = write_conf(conf, path);
    st = st == ST_OK ? process_open(path, t->out, &process) : st;
    if (st == ST_OK) {
        st = ask(t, target, sc, process_port(process), result);
        process_close(process);
    }
    st = st == ST_OK ? read_ledger(t->folder, result) : st;
    remove_files(t->folder);
    return st;
}

enum status selftest_probe(const struct selftest *t, struct selftest_target *target,
                           char ret_why[SELFTEST_TEXT_BYTES])
{
    static const struct scenario healthy = {"S00",       "nobody fails", "ok",
                                            WANT_ANSWER, WANT_ANSWER,    false};
    const struct selftest_conf conf = {.root = t->root,
                                       .s = t->s,
                                       .failing = NULL,
                                       .script = healthy.script,
                                       .divisor = 1,
                                       .folder = t->folder};
    struct selftest_result result = {.id = healthy.id, .is_stream = false};
    target->first = target->experts[0];
    enum status st = play(t, target, &healthy, &conf, &result);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < target->count; i++) {
        struct str name = target->experts[i]->id.name;
        if (str_starts_with(str_from(result.got), STR("answer of ")) &&
            str_eq(str_from(result.got + strlen("answer of ")), name)) {
            target->first = target->experts[i];
            return ST_OK;
        }
    }
    (void)snprintf(ret_why, SELFTEST_TEXT_BYTES, "%s", result.got);
    return ST_INVALID;
}

size_t selftest_runs(void)
{
    return 2 * (size_t)SCENARIOS;
}

/* The largest deadline that the failing expert runs into becomes WAIT_MS; all in proportion. */
static int64_t divisor_of(const struct scenario *sc, const struct expert *e)
{
    const struct expert_deadlines *d = &e->deadlines;
    int64_t longest_ms = d->first_token_ms > d->idle_ms ? d->first_token_ms : d->idle_ms;
    return sc->waits && longest_ms > WAIT_MS ? longest_ms / WAIT_MS : 1;
}

enum status selftest_run(const struct selftest *t, const struct selftest_target *target, size_t run,
                         struct selftest_result *ret_result)
{
    const struct scenario *sc = &scenarios[run / 2];
    struct selftest_result result = {.id = sc->id, .name = sc->name, .is_stream = run % 2 != 0};
    int64_t divisor = divisor_of(sc, target->first);
    enum want want = result.is_stream ? sc->stream : sc->plain;
    if (sc->script != NULL) {
        (void)snprintf(result.did, sizeof result.did, "%s", sc->script);
    } else {
        int64_t late_ms = 2 * target->first->deadlines.first_token_ms / divisor;
        (void)snprintf(result.did, sizeof result.did, "slow_first@%" PRId64 "ms", late_ms);
    }
    const struct selftest_conf conf = {.root = t->root,
                                       .s = t->s,
                                       .failing = target->first,
                                       .script = result.did,
                                       .divisor = divisor,
                                       .folder = t->folder};
    enum status st = ST_OK;
    result.is_passed = true;
    if (want != WANT_NOTHING) {
        st = play(t, target, sc, &conf, &result);
    } else {
        result.name = NULL;
    }
    if (st == ST_OK) {
        *ret_result = result;
    }
    return st;
}
