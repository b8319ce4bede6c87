/* Calls to kernels through a real pool and a real loop: what arrives, in what order, and what stops
 * when. Kernels here are small and gated by the test; nothing sleeps. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel.h"
#include "backends/kernel_pool.h"
#include "backends/kernel_turn.h"
#include "backends/sse.h"
#include "base/mem.h"
#include "tests/support/test.h"

enum {
    TURN_MS = 10000, /* only a broken test waits that long */
    TURNS_MAX = 100000,
};

/* ---- a kernel that does what the test says ---- */

enum behaviour {
    SAY_TEXT,      /* the fixed text, word by word is not needed */
    SAY_QUESTION,  /* the last user message in pieces of 3 bytes */
    SAY_MUCH,      /* `count` pieces of 8 kB, numbered */
    SAY_FOR_EVER,  /* until the sink says stop */
    WAIT_FOR_GATE, /* nothing until the test opens the gate, then the text */
    PAUSE_LONG,    /* the text, then a pause of an hour */
    BREAK_OFF,     /* the text, then EK_FINISH_CUT */
    REFUSE,        /* 429 with Retry-After 7 */
    REFUSE_FOR_EVER,
    REFUSE_LATE, /* the text, then 500 */
};

struct actor {
    enum behaviour behaviour;
    const char *text;
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;   /* the gate */
    size_t started; /* generate calls so far */
    size_t pieces;  /* pieces that the sink took */
    bool was_closed;
    bool *was_destroyed;
};

static void note(struct actor *a, size_t *counter)
{
    (void)pthread_mutex_lock(&a->lock);
    (*counter)++;
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->lock);
}

/* Waits on the test's thread until `counter` is at least n. */
static void await(struct actor *a, const size_t *counter, size_t n)
{
    (void)pthread_mutex_lock(&a->lock);
    while (*counter < n) {
        (void)pthread_cond_wait(&a->changed, &a->lock);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static void open_gate(struct actor *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->is_open = true;
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->lock);
}

static void wait_at_gate(struct actor *a)
{
    (void)pthread_mutex_lock(&a->lock);
    while (!a->is_open) {
        (void)pthread_cond_wait(&a->changed, &a->lock);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static enum ek_status say(struct actor *a, const struct ek_sink *sink, struct str text)
{
    enum ek_status st = kernel_say(sink, text);
    if (st == EK_OK) {
        note(a, &a->pieces);
    } else {
        (void)pthread_mutex_lock(&a->lock);
        a->was_closed = true;
        (void)pthread_mutex_unlock(&a->lock);
    }
    return st;
}

static enum ek_status say_in_parts(struct actor *a, const struct ek_sink *sink, struct str text)
{
    enum ek_status st = EK_OK;
    while (text.len > 0 && st == EK_OK) {
        st = say(a, sink, str_slice(text, 0, 3));
        text = str_slice(text, 3, text.len);
    }
    return st;
}

static enum ek_status say_much(struct actor *a, const struct ek_sink *sink)
{
    char piece[8192];
    enum ek_status st = EK_OK;
    for (size_t i = 0; i < a->count && st == EK_OK; i++) {
        memset(piece, 'x', sizeof piece);
        (void)snprintf(piece, sizeof piece, "%06zu", i);
        piece[6] = ':';
        st = say(a, sink, (struct str){piece, sizeof piece});
    }
    return st;
}

static enum ek_status actor_generate(struct ek_instance *instance, const struct ek_request *request,
                                     const struct ek_sink *sink, struct ek_result *ret_result,
                                     struct ek_error *ret_error)
{
    struct actor *a = (struct actor *)instance;
    enum ek_status st = EK_OK;
    struct str text = str_from(a->text);
    note(a, &a->started);
    switch (a->behaviour) {
    case WAIT_FOR_GATE:
        wait_at_gate(a);
        return say(a, sink, text);
    case SAY_QUESTION:
        return say_in_parts(a, sink, kernel_last_question(request));
    case SAY_MUCH:
        return say_much(a, sink);
    case SAY_FOR_EVER:
        while (st == EK_OK) {
            st = say(a, sink, text);
        }
        assert_true(ek_is_cancelled(request) || request->max_tokens > 0);
        return st;
    case PAUSE_LONG:
        st = say(a, sink, text);
        return st == EK_OK && sink->pause(sink->ctx, 3600 * 1000) != 0 ? EK_CANCELLED : st;
    case REFUSE:
        ret_error->http_status = 429;
        ret_error->retry_after_s = 7;
        return kernel_fail(ret_error, EK_BUSY, "slow \"down\"");
    case REFUSE_FOR_EVER:
        ret_error->retry_after_s = INT64_MAX;
        return kernel_fail(ret_error, EK_BUSY, "never");
    case REFUSE_LATE:
        (void)say(a, sink, text);
        return kernel_fail(ret_error, EK_FAILED, "broke");
    case BREAK_OFF:
        ret_result->finish = EK_FINISH_CUT;
        return say(a, sink, text);
    case SAY_TEXT:
        return say(a, sink, text);
    }
    return EK_FAILED;
}

static void actor_destroy(struct ek_instance *instance)
{
    struct actor *a = (struct actor *)instance;
    if (a->was_destroyed != NULL) {
        *a->was_destroyed = true;
    }
    (void)pthread_cond_destroy(&a->changed);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

static const struct ek_info *actor_info(void)
{
    static const struct ek_info facts = {.size = sizeof facts,
                                         .capabilities = EK_CAP_GENERATE | EK_CAP_PARALLEL};
    return &facts;
}

static const struct ek_kernel actor_abi = {
    .size = sizeof actor_abi,
    .abi_major = EK_ABI_MAJOR,
    .info = actor_info,
    .destroy = actor_destroy,
    .generate = actor_generate,
};

static struct actor *actor_create(enum behaviour behaviour, const char *text)
{
    struct actor *a = mem_zalloc(1, sizeof *a);
    assert_non_null(a);
    a->behaviour = behaviour;
    a->text = text;
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->changed, NULL);
    return a;
}

/* ---- a stage: clock, loop, pool, one actor, one call ---- */

struct fake_clock {
    struct clock base;
    int64_t us;
};

static int64_t fake_now_us(const struct clock *c)
{
    return ((const struct fake_clock *)c)->us;
}

struct stage {
    struct fake_clock clock;
    struct loop *loop;
    struct kernel_pool *pool;
    struct actor *actor;
    struct kernel *kernel; /* around the actor */
    struct kernel_call_options options;
    struct call *call;
    size_t wakes;
};

static void on_wake(void *owner)
{
    ((struct stage *)owner)->wakes++;
}

static void open_stage(struct stage *s, enum behaviour behaviour, const char *text)
{
    *s = (struct stage){.clock = {{fake_now_us}, 5000000}};
    s->loop = loop_create(&s->clock.base);
    s->pool = kernel_pool_create(1, 1);
    s->actor = actor_create(behaviour, text);
    s->kernel = kernel_wrap(&actor_abi, (struct ek_instance *)s->actor);
    assert_non_null(s->kernel);
    s->options = (struct kernel_call_options){.kernel = s->kernel, .model = STR("m\"1")};
    assert_non_null(s->loop);
    assert_non_null(s->pool);
}

static void close_stage(struct stage *s)
{
    call_destroy(s->call);
    kernel_pool_destroy(s->pool);
    (void)loop_turn(s->loop, 0);
    loop_destroy(s->loop);
    kernel_unref(s->kernel);
}

static enum status start(struct stage *s, struct str body, struct call **ret_call)
{
    struct call_request request = {.body = body, .wake = on_wake, .owner = s};
    return kernel_pool_call(s->pool, s->loop, &request, &s->options, ret_call);
}

static void run_to_end(struct stage *s, struct str body)
{
    assert_int_equal(start(s, body, &s->call), ST_OK);
    for (int i = 0; i < TURNS_MAX && s->call->state != CALL_DONE; i++) {
        (void)loop_turn(s->loop, TURN_MS);
    }
    assert_int_equal(s->call->state, CALL_DONE);
}

/* Turns until the call has bytes. */
static void run_to_first_byte(struct stage *s)
{
    for (int i = 0; i < TURNS_MAX && s->call->in.len == 0; i++) {
        (void)loop_turn(s->loop, TURN_MS);
    }
    assert_true(s->call->in.len > 0);
}

#define ASK(text) "{\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define ASK_STREAM(text)                                                                           \
    "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define ASK_WITH(options) "{" options ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static void assert_contains(struct str text, struct str needle)
{
    if (str_find(text, needle) == text.len) {
        fail_msg("no \"%.*s\" in \"%.*s\"", STR_ARG(needle), STR_ARG(text));
    }
}

static void assert_lacks(struct str text, struct str needle)
{
    if (str_find(text, needle) < text.len) {
        fail_msg("\"%.*s\" in \"%.*s\"", STR_ARG(needle), STR_ARG(text));
    }
}

static void call_gives_a_chat_completion(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_TEXT, "Hello \"you\"");

    run_to_end(&s, STR(ASK("hi there")));

    assert_int_equal(s.call->outcome, CALL_OK);
    assert_int_equal(s.call->http_status, 200);
    assert_false(s.call->is_event_stream);
    test_assert_str(s.call->content_type, STR("application/json"));
    struct str got = buf_str(&s.call->in);
    assert_true(str_starts_with(got, STR("{\"id\":\"chatcmpl-")));
    assert_contains(got, STR("\"object\":\"chat.completion\",\"created\":"));
    assert_contains(
        got, STR("\"model\":\"m\\\"1\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                 "\"assistant\",\"content\":\"Hello \\\"you\\\"\",\"refusal\":null},"
                 "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
                 "\"completion_tokens\":3,\"total_tokens\":6}}"));
    close_stage(&s);
}

/* Data of all events, one per line. */
static void read_events(struct str stream, struct buf *out)
{
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, 1 << 20);
    sse_feed(&p, stream);
    while (sse_next(&p, &event) == ST_OK) {
        size_t choices = str_find(event.data, STR("\"choices\""));
        choices = choices == event.data.len ? 0 : choices;
        struct str rest = str_slice(event.data, choices, event.data.len);
        assert_int_equal(buf_append(out, rest), ST_OK);
        assert_int_equal(buf_append_char(out, '\n'), ST_OK);
    }
    assert_false(sse_is_in_event(&p));
    sse_fini(&p);
}

static void stream_gives_role_pieces_finish_and_done(void **state)
{
    (void)state;
    struct stage s;
    struct buf events;
    buf_init(&events, 100000);
    open_stage(&s, SAY_QUESTION, NULL);

    run_to_end(&s, STR(ASK_STREAM("abcde")));
    read_events(buf_str(&s.call->in), &events);

    assert_int_equal(s.call->outcome, CALL_OK);
    assert_true(s.call->is_event_stream);
    test_assert_str(s.call->content_type, STR("text/event-stream"));
    test_assert_str(
        buf_str(&events),
        STR("\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
            "\"finish_reason\":null}]}\n"
            "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"abc\"},\"finish_reason\":null}]}\n"
            "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"de\"},\"finish_reason\":null}]}\n"
            "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n"
            "[DONE]\n"));
    close_stage(&s);
    buf_fini(&events);
}

static void stream_gives_usage_only_where_it_is_asked_for(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_TEXT, "one two three");

    run_to_end(&s, STR(ASK_WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true}")));

    assert_contains(buf_str(&s.call->in), STR("\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"));
    assert_contains(buf_str(&s.call->in),
                    STR("\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":4,"
                        "\"total_tokens\":6}}\n\ndata: [DONE]\n\n"));
    close_stage(&s);
}

static void empty_answer_is_still_a_whole_stream(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_TEXT, "");

    run_to_end(&s, STR(ASK_STREAM("x")));

    assert_contains(buf_str(&s.call->in), STR("\"role\":\"assistant\""));
    assert_contains(buf_str(&s.call->in), STR("data: [DONE]\n\n"));
    close_stage(&s);
}

static void a_wait_that_no_server_could_name_is_none(void **state)
{
    struct stage s;
    (void)state;
    open_stage(&s, REFUSE_FOR_EVER, NULL);

    run_to_end(&s, STR(ASK("x")));

    assert_int_equal(s.call->retry_after_s, -1);
    close_stage(&s);
}

static void failure_is_an_error_document_with_its_status(void **state)
{
    (void)state;
    static const char *const bodies[] = {ASK("x"), ASK_STREAM("x")};
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, REFUSE, NULL);

        run_to_end(&s, str_from(bodies[i]));

        assert_int_equal(s.call->outcome, CALL_OK);
        assert_int_equal(s.call->http_status, 429);
        assert_int_equal(s.call->retry_after_s, 7);
        assert_false(s.call->is_event_stream);
        test_assert_str(buf_str(&s.call->in),
                        STR("{\"error\":{\"message\":\"slow \\\"down\\\"\",\"type\":"
                            "\"rate_limit_error\",\"param\":null,\"code\":null}}"));
        close_stage(&s);
    }
}

static void body_that_is_no_chat_request_is_refused_with_400(void **state)
{
    (void)state;

    static const struct {
        const char *body;
        const char *why;
    } cases[] = {
        {"", "not a valid JSON object"},
        {"[]", "not a valid JSON object"},
        {"{\"messages\":[}", "not a valid JSON object"},
        {"{}", "messages must be a non-empty"},
        {"{\"messages\":[]}", "messages must be a non-empty"},
        {"{\"messages\":{}}", "messages must be an array"},
        {"{\"messages\":[1]}", "each message must be an object"},
        {"{\"messages\":[{\"content\":\"x\"}]}", "each message must have a role"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":3}]}", "content must be a string"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[3]}]}", "must be an object"},
        {ASK_WITH("\"stream\":\"yes\""), "stream must be true or false"},
        {ASK_WITH("\"max_tokens\":0"), "max_tokens must be a positive"},
        {ASK_WITH("\"max_tokens\":\"9\""), "max_tokens must be a positive"},
        {ASK_WITH("\"n\":2"), "n must be 1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage s;
        open_stage(&s, SAY_TEXT, "never");

        run_to_end(&s, str_from(cases[i].body));

        assert_int_equal(s.call->outcome, CALL_OK);
        assert_int_equal(s.call->http_status, 400);
        assert_contains(buf_str(&s.call->in), str_from(cases[i].why));
        assert_contains(buf_str(&s.call->in), STR("invalid_request_error"));
        close_stage(&s);
    }
}

static void text_parts_are_joined_and_escapes_decoded(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_QUESTION, NULL);

    run_to_end(&s,
               STR("{\"messages\":[{\"role\":\"user\",\"content\":\"no\"},{\"role\":\"\\u0075ser"
                   "\",\"content\":[{\"type\":\"text\",\"text\":\"a\\u00e9\"},{\"type\":"
                   "\"image_url\",\"image_url\":{\"url\":\"u\"}},{\"text\":\"b\",\"type\":"
                   "\"text\"}]},{\"role\":\"assistant\",\"content\":null}]}"));

    assert_contains(buf_str(&s.call->in), STR("\"content\":\"a\xC3\xA9\\nb\""));
    close_stage(&s);
}

static void max_tokens_cuts_the_answer_and_says_length(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_FOR_EVER, "word ");

    run_to_end(&s, STR(ASK_WITH("\"max_tokens\":100,\"max_completion_tokens\":6")));

    assert_contains(buf_str(&s.call->in), STR("\"content\":\"word word word word \""));
    assert_contains(buf_str(&s.call->in), STR("\"finish_reason\":\"length\""));
    assert_contains(buf_str(&s.call->in), STR("\"completion_tokens\":6"));
    close_stage(&s);
}

static void cut_stream_has_no_end(void **state)
{
    (void)state;

    static const enum behaviour behaviours[] = {BREAK_OFF, REFUSE_LATE};

    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, behaviours[i], "part");

        run_to_end(&s, STR(ASK_STREAM("x")));

        assert_int_equal(s.call->outcome, CALL_CUT);
        assert_int_equal(s.call->http_status, 200);
        assert_contains(buf_str(&s.call->in), STR("\"content\":\"part\""));
        assert_lacks(buf_str(&s.call->in), STR("[DONE]"));
        assert_lacks(buf_str(&s.call->in), STR("\"stop\""));
        close_stage(&s);
    }
}

static void cut_document_is_no_document(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, BREAK_OFF, "part");

    run_to_end(&s, STR(ASK("x")));

    assert_int_equal(s.call->outcome, CALL_CUT);
    assert_int_equal(s.call->in.len, 0);
    close_stage(&s);
}

static void cancel_stops_the_kernel_and_wakes_nobody(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_FOR_EVER, "tick ");
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);
    run_to_first_byte(&s);

    call_cancel(s.call);
    size_t wakes = s.wakes;
    kernel_pool_destroy(s.pool); /* returns only because the kernel stopped */
    s.pool = NULL;
    (void)loop_turn(s.loop, 0);

    assert_int_equal(s.call->state, CALL_DONE);
    assert_int_equal(s.call->outcome, CALL_CANCELLED);
    assert_int_equal(s.wakes, wakes);
    assert_true(s.actor->was_closed);
    close_stage(&s);
}

static void cancel_ends_a_pause(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, PAUSE_LONG, "tick");
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);
    run_to_first_byte(&s);

    call_cancel(s.call);
    kernel_pool_destroy(s.pool);
    s.pool = NULL;

    assert_int_equal(s.call->outcome, CALL_CANCELLED);
    close_stage(&s);
}

static void call_may_be_destroyed_while_its_kernel_runs(void **state)
{
    (void)state;
    struct stage s;
    bool was_destroyed = false;
    open_stage(&s, WAIT_FOR_GATE, "late");
    s.actor->was_destroyed = &was_destroyed;
    char body[] = ASK_STREAM("x");
    assert_int_equal(start(&s, str_from(body), &s.call), ST_OK);
    await(s.actor, &s.actor->started, 1);
    kernel_ref(s.kernel); /* keeps the gate for the test */

    call_destroy(s.call);
    s.call = NULL;
    memset(body, 0, sizeof body);
    kernel_unref(s.kernel); /* the configuration lets go */
    open_gate(s.actor);
    kernel_pool_destroy(s.pool);
    s.pool = NULL;

    assert_false(was_destroyed);
    close_stage(&s);
    assert_true(was_destroyed);
}

static void slow_reader_holds_the_kernel_back(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, SAY_MUCH, NULL);
    s.actor->count = 500;
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);

    /* 256 kB of pieces of 8 kB: the 33rd goes over the ceiling, the 34th waits. */
    await(s.actor, &s.actor->pieces, 30);
    size_t seen = 0;
    size_t most = 0;
    while (s.call->state != CALL_DONE || s.call->in.len > 0) {
        (void)loop_turn(s.loop, s.call->in.len > 0 ? 0 : TURN_MS);
        most = s.call->in.len > most ? s.call->in.len : most;
        if (s.call->in.len >= 3000 || s.call->state == CALL_DONE) {
            size_t n = s.call->in.len < 3000 ? s.call->in.len : 3000;
            seen += n;
            call_consume(s.call, n);
        }
    }

    assert_int_equal(s.call->outcome, CALL_OK);
    assert_true(seen > 500U * 8192U);
    assert_in_range(most, 1, CALL_IN_PAUSE_BYTES + 20000);
    close_stage(&s);
}

static void an_answer_over_its_bound_ends_the_call_and_the_kernel(void **state)
{
    static const char *const bodies[] = {ASK_STREAM("x"), ASK("x")};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct stage s;
        open_stage(&s, SAY_MUCH, NULL);
        s.actor->count = 100;
        s.options.reply_bytes = 100000;

        run_to_end(&s, str_from(bodies[i]));

        assert_int_equal(s.call->outcome, CALL_TOO_BIG);
        assert_in_range(s.call->in.len, 0, 100000);
        close_stage(&s);
    }
}

static void full_queue_refuses_and_a_cancelled_call_frees_its_place(void **state)
{
    (void)state;
    struct stage s;
    struct call *waiting = NULL;
    struct call *refused = NULL;
    open_stage(&s, WAIT_FOR_GATE, "x");
    assert_int_equal(start(&s, STR(ASK("x")), &s.call), ST_OK);
    await(s.actor, &s.actor->started, 1);

    assert_int_equal(start(&s, STR(ASK("x")), &waiting), ST_OK);
    assert_int_equal(start(&s, STR(ASK("x")), &refused), ST_TOO_BIG);
    assert_null(refused);
    call_destroy(waiting);
    assert_int_equal(start(&s, STR(ASK("x")), &waiting), ST_OK);

    call_destroy(waiting);
    open_gate(s.actor);
    close_stage(&s);
}

static void await_done(struct stage *s, const struct call *call)
{
    for (int i = 0; i < TURNS_MAX && call->state != CALL_DONE; i++) {
        (void)loop_turn(s->loop, TURN_MS);
    }
    assert_int_equal(call->outcome, CALL_OK);
}

static void a_kernel_that_does_not_return_gets_no_calls_until_it_does(void **state)
{
    (void)state;
    struct stage s;
    struct call *before = NULL; /* waits for the one thread, as `s.call` does not return */
    struct call *refused = NULL;
    open_stage(&s, WAIT_FOR_GATE, "x");
    assert_int_equal(start(&s, STR(ASK("x")), &s.call), ST_OK);
    await(s.actor, &s.actor->started, 1);
    assert_int_equal(start(&s, STR(ASK("x")), &before), ST_OK);

    call_cancel(s.call);
    int64_t now_ms = s.clock.us / 1000;
    kernel_turn_check(now_ms + KERNEL_GRACE_MS - 1);
    assert_false(kernel_is_stuck(s.kernel));
    kernel_turn_check(now_ms + KERNEL_GRACE_MS);
    assert_true(kernel_is_stuck(s.kernel));
    assert_int_equal(start(&s, STR(ASK("x")), &refused), ST_TOO_BIG);
    open_gate(s.actor);
    await_done(&s, before); /* the first one has returned */

    assert_false(kernel_is_stuck(s.kernel));
    call_destroy(before);
    call_destroy(s.call);
    run_to_end(&s, STR(ASK("x")));
    assert_int_equal(s.call->outcome, CALL_OK);
    close_stage(&s);
}

static void a_deadline_calls_off_as_a_client_that_left_does(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, WAIT_FOR_GATE, "x");
    s.options.total_ms = 1000;
    assert_int_equal(start(&s, STR(ASK("x")), &s.call), ST_OK);
    await(s.actor, &s.actor->started, 1);

    s.clock.us += 1000000;
    (void)loop_turn(s.loop, 0);
    assert_int_equal(s.call->outcome, CALL_TOTAL_TIMEOUT);
    kernel_turn_check(s.clock.us / 1000 + KERNEL_GRACE_MS);
    assert_true(kernel_is_stuck(s.kernel));

    open_gate(s.actor);
    close_stage(&s);
}

static void first_token_deadline_ends_a_silent_kernel(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, WAIT_FOR_GATE, "x");
    s.options.first_token_ms = 1000;
    s.options.total_ms = 5000;
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);

    s.clock.us += 999 * 1000;
    (void)loop_turn(s.loop, 0);
    assert_int_equal(s.call->state, CALL_WAITING);
    s.clock.us += 1000;
    (void)loop_turn(s.loop, 0);

    assert_int_equal(s.call->state, CALL_DONE);
    assert_int_equal(s.call->outcome, CALL_FIRST_TOKEN_TIMEOUT);
    assert_int_equal(s.wakes, 1);
    open_gate(s.actor);
    close_stage(&s);
}

static void idle_deadline_ends_a_kernel_that_stalls(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, PAUSE_LONG, "x");
    s.options.first_token_ms = 1000;
    s.options.idle_ms = 3000;
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);
    run_to_first_byte(&s);

    s.clock.us += 2999 * 1000;
    (void)loop_turn(s.loop, 0);
    assert_int_equal(s.call->state, CALL_STREAMING);
    s.clock.us += 1000;
    (void)loop_turn(s.loop, 0);

    assert_int_equal(s.call->outcome, CALL_IDLE_TIMEOUT);
    assert_int_equal(s.call->state, CALL_DONE);
    close_stage(&s);
}

static void total_deadline_counts_from_the_start(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, PAUSE_LONG, "x");
    s.options.idle_ms = 9000;
    s.options.total_ms = 4000;
    assert_int_equal(start(&s, STR(ASK_STREAM("x")), &s.call), ST_OK);
    run_to_first_byte(&s);

    s.clock.us += 4000 * 1000;
    (void)loop_turn(s.loop, 0);

    assert_int_equal(s.call->state, CALL_DONE);
    assert_int_equal(s.call->outcome, CALL_TOTAL_TIMEOUT);
    close_stage(&s);
}

enum {
    PARALLEL = 200
};

static void parallel_calls_each_get_exactly_their_own_bytes(void **state)
{
    (void)state;
    static char bodies[PARALLEL][200];
    static struct call *calls[PARALLEL];
    struct stage s;
    open_stage(&s, SAY_QUESTION, NULL);
    kernel_pool_destroy(s.pool);
    s.pool = kernel_pool_create(4, PARALLEL);
    assert_non_null(s.pool);
    for (size_t i = 0; i < PARALLEL; i++) {
        (void)snprintf(bodies[i], sizeof bodies[i],
                       "{\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":"
                       "\"<%zu|%zu|%zu>\"}]}",
                       i % 2 == 0 ? "true" : "false", i, i * 7919, i);
        assert_int_equal(start(&s, str_from(bodies[i]), &calls[i]), ST_OK);
    }
    size_t left = PARALLEL;
    while (left > 0) {
        (void)loop_turn(s.loop, TURN_MS);
        left = 0;
        for (size_t i = 0; i < PARALLEL; i++) {
            left += calls[i]->state != CALL_DONE ? 1 : 0;
        }
    }

    for (size_t i = 0; i < PARALLEL; i++) {
        char want[100];
        char text[1000] = "";
        size_t len = 0;
        struct str in = buf_str(&calls[i]->in);
        (void)snprintf(want, sizeof want, "<%zu|%zu|%zu>", i, i * 7919, i);
        struct str mark = STR("\"content\":\"");
        for (size_t at = str_find(in, mark); at < in.len; at = str_find(in, mark)) {
            in = str_slice(in, at + mark.len, in.len);
            size_t n = str_find_char(in, '"');
            memcpy(text + len, in.ptr, n);
            len += n;
        }
        assert_int_equal(calls[i]->outcome, CALL_OK);
        assert_string_equal(text, want);
        call_destroy(calls[i]);
    }
    close_stage(&s);
}

static void call_without_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    struct stage s;
    struct call *call = NULL;
    enum status st = ST_NO_MEMORY;
    size_t failures = 0;
    open_stage(&s, WAIT_FOR_GATE, "x");
    s.options.total_ms = 1000;
    assert_int_equal(start(&s, STR(ASK("x")), &s.call), ST_OK);
    await(s.actor, &s.actor->started, 1); /* nothing else runs while allocations fail */

    for (uint64_t nth = 1; st == ST_NO_MEMORY && nth < 20; nth++) {
        mem_fail_at(nth, 0);
        st = start(&s, STR(ASK("x")), &call);
        mem_fail_at(0, 0);
        failures += st == ST_NO_MEMORY ? 1 : 0;
    }

    assert_int_equal(st, ST_OK);
    assert_in_range(failures, 2, 18);
    call_destroy(call);
    open_gate(s.actor);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_gives_a_chat_completion),
        cmocka_unit_test(stream_gives_role_pieces_finish_and_done),
        cmocka_unit_test(stream_gives_usage_only_where_it_is_asked_for),
        cmocka_unit_test(empty_answer_is_still_a_whole_stream),
        cmocka_unit_test(failure_is_an_error_document_with_its_status),
        cmocka_unit_test(a_wait_that_no_server_could_name_is_none),
        cmocka_unit_test(body_that_is_no_chat_request_is_refused_with_400),
        cmocka_unit_test(text_parts_are_joined_and_escapes_decoded),
        cmocka_unit_test(max_tokens_cuts_the_answer_and_says_length),
        cmocka_unit_test(cut_stream_has_no_end),
        cmocka_unit_test(cut_document_is_no_document),
        cmocka_unit_test(cancel_stops_the_kernel_and_wakes_nobody),
        cmocka_unit_test(cancel_ends_a_pause),
        cmocka_unit_test(call_may_be_destroyed_while_its_kernel_runs),
        cmocka_unit_test(slow_reader_holds_the_kernel_back),
        cmocka_unit_test(an_answer_over_its_bound_ends_the_call_and_the_kernel),
        cmocka_unit_test(full_queue_refuses_and_a_cancelled_call_frees_its_place),
        cmocka_unit_test(a_kernel_that_does_not_return_gets_no_calls_until_it_does),
        cmocka_unit_test(a_deadline_calls_off_as_a_client_that_left_does),
        cmocka_unit_test(first_token_deadline_ends_a_silent_kernel),
        cmocka_unit_test(idle_deadline_ends_a_kernel_that_stalls),
        cmocka_unit_test(total_deadline_counts_from_the_start),
        cmocka_unit_test(parallel_calls_each_get_exactly_their_own_bytes),
        cmocka_unit_test(call_without_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
