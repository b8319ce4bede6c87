/* The HTTP/1.1 client against an expert that the test plays over a loopback socket. The clock is the
 * test's; nothing sleeps. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "backends/expert.h"
#include "backends/http1.h"
#include "base/mem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/script_peer.h"
#include "tests/support/test.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define STREAM_HEAD                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

enum {
    REPLY_BYTES = 8 << 20
};

struct fixture {
    struct fake_clock clock;
    struct loop *loop;
    struct http1 *client;
    struct script_peer peer;
    struct expert expert;
    struct call *call;
    int wakes;
    char url[64];
};

static void on_wake(void *owner)
{
    ((struct fixture *)owner)->wakes++;
}

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    fake_clock_init(&f.clock);
    f.loop = loop_create(&f.clock.clock);
    f.client = f.loop == NULL ? NULL : http1_create(f.loop);
    assert_true(f.client != NULL && script_peer_listen(&f.peer, f.loop, AF_INET));
    (void)snprintf(f.url, sizeof f.url, "http://127.0.0.1:%d/v1", (int)f.peer.port);
    f.expert.url = str_from(f.url);
    f.expert.serial = 1;
    f.expert.deadlines = (struct expert_deadlines){1000, 60000, 30000, 600000};
    f.expert.reply_bytes = REPLY_BYTES;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    call_destroy(f->call);
    http1_destroy(f->client);
    loop_destroy(f->loop);
    script_peer_stop(&f->peer);
    return 0;
}

static void start_with(struct fixture *f, struct str body)
{
    const struct call_request request = {
        .expert = &f->expert, .body = body, .wake = on_wake, .owner = f};
    call_destroy(f->call);
    f->call = NULL;
    f->wakes = 0;
    assert_int_equal(http1_call(f->client, &request, &f->call), ST_OK);
}

static void start(struct fixture *f)
{
    start_with(f, STR("{\"q\":1}"));
}

static void turn_until(struct fixture *f, enum call_state state)
{
    for (int i = 0; i < PEER_TURNS && f->call->state < state; i++) {
        (void)loop_turn(f->loop, 1);
    }
    assert_int_equal(f->call->state, state);
}

static void assert_ended(struct fixture *f, enum call_outcome outcome)
{
    turn_until(f, CALL_DONE);
    assert_string_equal(call_outcome_text(f->call->outcome), call_outcome_text(outcome));
    assert_true(f->wakes > 0);
}

/* A call that is accepted, read and answered. */
static void serve(struct fixture *f, const char *reply)
{
    start(f);
    script_peer_accept(&f->peer);
    script_peer_read_until(&f->peer, "{\"q\":1}");
    script_peer_say(&f->peer, reply);
}

/* ---------------------------------------------------------------- one call */

static void the_request_is_one_post_with_a_length(void **state)
{
    struct fixture *f = *state;
    char want[512];
    f->expert.key = STR("sk-1");

    serve(f, HELLO);

    (void)snprintf(want, sizeof want,
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: "
                   "expertd\r\nAccept: */*\r\nContent-Type: application/json\r\nAuthorization: "
                   "Bearer sk-1\r\nContent-Length: 7\r\n\r\n{\"q\":1}",
                   (int)f->peer.port);
    test_assert_str(buf_str(&f->peer.got), str_from(want));
    assert_ended(f, CALL_OK);
}

static void an_answer_comes_whole_with_its_head(void **state)
{
    struct fixture *f = *state;

    serve(f, "HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Type: application/json\r\n"
             "Content-Length: 5\r\n\r\nhello");

    assert_ended(f, CALL_OK);
    assert_int_equal(f->call->http_status, 429);
    assert_int_equal(f->call->retry_after_s, 7);
    assert_false(f->call->is_event_stream);
    test_assert_str(f->call->content_type, STR("application/json"));
    test_assert_str(buf_str(&f->call->in), STR("hello"));
    assert_int_equal(f->wakes, 1); /* plain answers are wanted whole */
}

static void streams_wake_for_every_piece(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD);
    turn_until(f, CALL_STREAMING);
    int wakes = f->wakes;

    script_peer_say(&f->peer, "3\r\nabc\r\n");
    for (int i = 0; i < PEER_TURNS && f->wakes == wakes; i++) {
        (void)loop_turn(f->loop, 1);
    }

    assert_true(f->call->is_event_stream);
    test_assert_str(buf_str(&f->call->in), STR("abc"));
    script_peer_say(&f->peer, "1\r\nd\r\n0\r\n\r\n");
    assert_ended(f, CALL_OK);
    test_assert_str(buf_str(&f->call->in), STR("abcd"));
}

static void replies_end_as_their_framing_says(void **state)
{
    static const struct {
        const char *reply;
        enum call_outcome outcome;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", CALL_OK},
        {"HTTP/1.1 204 No Content\r\n\r\n", CALL_OK},
        {"HTTP/1.1 100 Continue\r\n\r\n" HELLO, CALL_OK},
        {"", CALL_CUT},
        {"HTTP/1.1 200 OK\r\nContent-Le", CALL_CUT},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", CALL_CUT},
        {STREAM_HEAD "5\r\nhello\r\n", CALL_CUT},
        {"SSH-2.0-OpenSSH_9.2\r\n", CALL_BAD_REPLY},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", CALL_BAD_REPLY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", CALL_BAD_REPLY},
        {STREAM_HEAD "x\r\n", CALL_BAD_REPLY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n", CALL_TOO_BIG},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        serve(f, cases[i].reply);
        script_peer_hang_up(&f->peer);
        turn_until(f, CALL_DONE);
        if (f->call->outcome != cases[i].outcome) {
            fail_msg("%s: %s", cases[i].reply, call_outcome_text(f->call->outcome));
        }
        http1_forget_idle(f->client);
    }
}

static void a_body_over_the_ceiling_is_too_big(void **state)
{
    struct fixture *f = *state;
    f->expert.reply_bytes = 8;

    serve(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n1\r\n9\r\n");

    assert_ended(f, CALL_TOO_BIG);
    script_peer_expect_close(&f->peer);
}

static void cancelling_closes_the_connection_without_a_wake(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD "3\r\nabc\r\n");
    turn_until(f, CALL_STREAMING);
    int wakes = f->wakes;

    call_cancel(f->call);

    assert_int_equal(f->call->outcome, CALL_CANCELLED);
    assert_int_equal(f->wakes, wakes);
    script_peer_expect_close(&f->peer);
}

static void destroying_a_call_under_way_closes_the_connection(void **state)
{
    struct fixture *f = *state;
    start(f);
    script_peer_accept(&f->peer);
    script_peer_read_until(&f->peer, "{\"q\":1}");

    call_destroy(f->call);
    f->call = NULL;

    script_peer_expect_close(&f->peer);
}

/* ---------------------------------------------------------------- keep-alive */

static void a_connection_serves_again(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);
    buf_reset(&f->peer.got);

    start(f);
    script_peer_read_until(&f->peer, "{\"q\":1}");
    script_peer_say(&f->peer, HELLO);

    assert_ended(f, CALL_OK);
    assert_false(script_peer_take(&f->peer)); /* no second connection */
}

static void connections_that_may_not_serve_again_are_closed(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        HELLO "and more",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        serve(f, replies[i]);
        assert_ended(f, CALL_OK);
        script_peer_expect_close(&f->peer);
    }
}

static void a_stale_connection_is_replaced_once(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);

    start(f); /* takes the idle connection before it can know of the end */
    script_peer_hang_up(&f->peer);
    script_peer_accept(&f->peer);
    script_peer_read_until(&f->peer, "{\"q\":1}");
    script_peer_say(&f->peer, HELLO);

    assert_ended(f, CALL_OK);
    test_assert_str(buf_str(&f->call->in), STR("hello"));
}

static void a_second_dead_connection_is_the_end(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);

    start(f);
    script_peer_hang_up(&f->peer);
    script_peer_accept(&f->peer);
    script_peer_hang_up(&f->peer);

    assert_ended(f, CALL_CUT);
    assert_false(script_peer_take(&f->peer));
}

static void a_reply_that_began_is_never_asked_for_again(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);
    buf_reset(&f->peer.got);

    start(f);
    script_peer_read_until(&f->peer, "{\"q\":1}");
    script_peer_say(&f->peer, "HTTP/1.1");
    script_peer_hang_up(&f->peer);

    assert_ended(f, CALL_CUT);
    assert_false(script_peer_take(&f->peer));
}

static void idle_connections_that_speak_or_end_are_closed(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);

    script_peer_say(&f->peer, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    script_peer_expect_close(&f->peer);
    serve(f, HELLO);

    assert_ended(f, CALL_OK);
    test_assert_str(buf_str(&f->call->in), STR("hello"));
}

static void a_new_serial_retires_the_connections(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);
    int old = dup(f->peer.fd);

    f->expert.serial = 2;
    f->expert.key = STR("new");
    serve(f, HELLO);

    char byte;
    assert_int_equal(recv(old, &byte, 1, 0), 0);
    assert_ended(f, CALL_OK);
    assert_true(str_find(buf_str(&f->peer.got), STR("Bearer new\r\n")) < f->peer.got.len);
    (void)close(old);
}

static void a_call_outlives_the_pool_it_came_from(void **state)
{
    struct fixture *f = *state;
    start(f);
    script_peer_accept(&f->peer);
    script_peer_read_until(&f->peer, "{\"q\":1}");

    http1_forget_idle(f->client);
    script_peer_say(&f->peer, HELLO);

    assert_ended(f, CALL_OK);
    script_peer_expect_close(&f->peer); /* not kept: its pool is retired */
}

static void forgetting_closes_idle_connections(void **state)
{
    struct fixture *f = *state;
    serve(f, HELLO);
    assert_ended(f, CALL_OK);

    http1_forget_idle(f->client);

    script_peer_expect_close(&f->peer);
}

/* ---------------------------------------------------------------- connecting */

static void a_refused_connection_is_said_so(void **state)
{
    struct fixture *f = *state;
    (void)close(f->peer.listener);
    f->peer.listener = -1;

    start(f);

    assert_ended(f, CALL_CONNECT_FAILED);
    assert_int_equal(f->call->http_status, 0);
}

static void localhost_is_both_addresses(void **state)
{
    struct fixture *f = *state;
    script_peer_stop(&f->peer);
    if (!script_peer_listen(&f->peer, f->loop, AF_INET6)) {
        skip(); /* this machine has no IPv6 loopback */
    }
    (void)snprintf(f->url, sizeof f->url, "http://localhost:%d/v1", (int)f->peer.port);
    f->expert.url = str_from(f->url);

    serve(f, HELLO);

    assert_ended(f, CALL_OK);
}

static void a_connection_that_hangs_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct script_peer *p = &f->peer;
    int fillers[4];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(p->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    union {
        struct sockaddr_in *in;
        struct sockaddr *any;
    } address = {&a};

    assert_int_equal(listen(p->listener, 0), 0); /* a full queue: further hands are not shaken */
    for (size_t i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[i], address.any, sizeof a);
    }
    struct pollfd full = {.fd = p->listener, .events = POLLIN};
    assert_int_equal(poll(&full, 1, -1), 1); /* the first has its hand shaken */
    start(f);
    (void)loop_turn(f->loop, 0);

    fake_clock_advance_ms(&f->clock, 999);
    (void)loop_turn(f->loop, 0);
    assert_int_equal(f->call->state, CALL_WAITING);
    fake_clock_advance_ms(&f->clock, 1);

    assert_ended(f, CALL_CONNECT_TIMEOUT);
    for (size_t i = 0; i < 4; i++) {
        (void)close(fillers[i]);
    }
}

static void only_plain_numeric_urls_fit(void **state)
{
    static const struct {
        const char *url;
        bool fits;
    } cases[] = {
        {"http://127.0.0.1/v1", true},
        {"http://127.0.0.1:8000", true},
        {"http://[::1]:8000/v1", true},
        {"http://LOCALHOST:1/v1", true},
        {"https://127.0.0.1/v1", false},
        {"http://med.example/v1", false},
        {"http://[::1/v1", false},
        {"http://127.0.0.1:0/v1", false},
        {"http://127.0.0.1:65536/v1", false},
        {"http://127.0.0.1:x/v1", false},
        {"http://[127.0.0.1]/v1", false},
        {"http://256.0.0.1/v1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expert e = {.url = str_from(cases[i].url)};
        if (http1_fits(&e) != cases[i].fits) {
            fail_msg("%s", cases[i].url);
        }
    }
}

/* ---------------------------------------------------------------- deadlines */

static void silence_before_the_body_is_a_first_token_timeout(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD);
    turn_until(f, CALL_STREAMING);

    fake_clock_advance_ms(&f->clock, 60000);

    assert_ended(f, CALL_FIRST_TOKEN_TIMEOUT);
    script_peer_expect_close(&f->peer);
}

static void silence_in_the_body_is_an_idle_timeout(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD "3\r\nabc\r\n");
    for (int i = 0; i < PEER_TURNS && f->call->first_byte_us == 0; i++) {
        (void)loop_turn(f->loop, 1);
    }

    fake_clock_advance_ms(&f->clock, 30000);

    assert_ended(f, CALL_IDLE_TIMEOUT);
    test_assert_str(buf_str(&f->call->in), STR("abc"));
    script_peer_expect_close(&f->peer);
}

static void the_total_is_kept_whatever_comes(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD "3\r\nabc\r\n");
    turn_until(f, CALL_STREAMING);
    f->call->has_content = true;

    for (int i = 0; i < 60 && f->call->state != CALL_DONE; i++) {
        size_t before = f->call->in.len;
        script_peer_say(&f->peer, "1\r\nd\r\n");
        for (int k = 0; k < PEER_TURNS && f->call->in.len == before; k++) {
            (void)loop_turn(f->loop, 1);
        }
        fake_clock_advance_ms(&f->clock, 10000);
        (void)loop_turn(f->loop, 0);
    }

    assert_ended(f, CALL_TOTAL_TIMEOUT);
}

static void the_first_content_is_waited_for_whatever_else_comes(void **state)
{
    struct fixture *f = *state;
    serve(f, STREAM_HEAD "3\r\nabc\r\n");
    turn_until(f, CALL_STREAMING);

    for (int i = 0; i < 60 && f->call->state != CALL_DONE; i++) {
        size_t before = f->call->in.len;
        script_peer_say(&f->peer, "1\r\nd\r\n");
        for (int k = 0; k < PEER_TURNS && f->call->in.len == before; k++) {
            (void)loop_turn(f->loop, 1);
        }
        fake_clock_advance_ms(&f->clock, 10000);
        (void)loop_turn(f->loop, 0);
    }

    assert_ended(f, CALL_FIRST_TOKEN_TIMEOUT);
}

/* ---------------------------------------------------------------- flow of bytes */

static void a_slow_reader_pauses_the_expert(void **state)
{
    enum {
        DATA = 65536,
        MOST = 256 << 20, /* far more than two sockets hold */
        QUIET = 100,
    };

    static const char head[] = "10000\r\n";
    struct fixture *f = *state;
    const size_t period = sizeof head - 1 + DATA + 2; /* one chunk */
    char *chunk = mem_zalloc(1, period);
    size_t said = 0;
    size_t quiet = 0;
    memcpy(chunk, head, sizeof head - 1);
    memcpy(chunk + period - 2, "\r\n", 2);
    serve(f, STREAM_HEAD);
    turn_until(f, CALL_STREAMING);

    while (quiet < QUIET && said < MOST) { /* nobody takes anything */
        struct str more = {chunk + said % period, period - said % period};
        size_t n = script_peer_say_some(&f->peer, more);
        said += n;
        quiet = n == 0 && f->call->in.len >= CALL_IN_PAUSE_BYTES ? quiet + 1 : 0;
        (void)loop_turn(f->loop, 1);
    }
    assert_true(said < MOST);
    assert_true(f->call->in.len <= CALL_IN_PAUSE_BYTES + DATA);
    fake_clock_advance_ms(&f->clock, 40000); /* the client is slow, not the expert */
    (void)loop_turn(f->loop, 0);
    assert_int_equal(f->call->state, CALL_STREAMING);

    size_t chunks = (said + period - 1) / period;
    size_t taken = 0;
    struct str rest = {chunk + period - (chunks * period - said), chunks * period - said};
    struct str end = STR("0\r\n\r\n");
    for (int i = 0; i < PEER_TURNS && f->call->state != CALL_DONE; i++) {
        struct str *next = rest.len > 0 ? &rest : &end;
        *next = str_slice(*next, script_peer_say_some(&f->peer, *next), next->len);
        taken += f->call->in.len;
        call_consume(f->call, f->call->in.len);
        (void)loop_turn(f->loop, 1);
    }

    assert_ended(f, CALL_OK);
    assert_int_equal(taken + f->call->in.len, chunks * DATA);
    mem_free(chunk);
}

static void a_stream_that_is_held_is_hardly_read_further(void **state)
{
    enum {
        CHUNK = 4096,
        TOTAL = 1000 * CHUNK
    };
    struct fixture *f = *state;
    char *bytes = mem_zalloc(1, CHUNK);
    serve(f,
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 4096000\r\n\r\n");
    turn_until(f, CALL_STREAMING);

    f->call->is_held = true;
    for (int i = 0; i < PEER_TURNS && f->call->in.len < CALL_IN_HELD_BYTES; i++) {
        (void)script_peer_say_some(&f->peer, (struct str){bytes, CHUNK});
        (void)loop_turn(f->loop, 1);
    }
    for (int i = 0; i < 100; i++) {
        (void)script_peer_say_some(&f->peer, (struct str){bytes, CHUNK});
        (void)loop_turn(f->loop, 0);
    }
    size_t held = f->call->in.len;
    call_consume(f->call, held); /* its owner is still slow */
    (void)loop_turn(f->loop, 0);
    size_t while_held = f->call->in.len;
    f->call->is_held = false;
    call_consume(f->call, 0);
    for (int i = 0; i < PEER_TURNS && f->call->in.len == 0; i++) {
        (void)loop_turn(f->loop, 1);
    }

    assert_in_range(held, CALL_IN_HELD_BYTES, CALL_IN_HELD_BYTES + 16384);
    assert_int_equal(while_held, 0);
    assert_int_not_equal(f->call->in.len, 0);
    mem_free(bytes);
}

static void a_large_request_is_sent_whole(void **state)
{
    enum {
        BODY = 16 << 20
    };
    struct fixture *f = *state;
    char *bytes = mem_alloc(BODY);
    memset(bytes, 'x', BODY);
    memcpy(bytes + BODY - 3, "end", 3);
    start_with(f, (struct str){bytes, BODY});
    script_peer_accept(&f->peer);

    script_peer_read_until(&f->peer, "xend");
    script_peer_say(&f->peer, HELLO);

    assert_ended(f, CALL_OK);
    assert_true(f->peer.got.len > BODY && f->peer.got.len < BODY + 512);
    call_destroy(f->call);
    f->call = NULL;
    mem_free(bytes);
}

static void an_answer_before_the_request_is_whole_counts_but_ends_the_connection(void **state)
{
    enum {
        BODY = 16 << 20
    };
    struct fixture *f = *state;
    char *bytes = mem_zalloc(1, BODY);
    start_with(f, (struct str){bytes, BODY});
    script_peer_accept(&f->peer);

    script_peer_say(&f->peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");

    assert_ended(f, CALL_OK);
    assert_int_equal(f->call->http_status, 413);
    script_peer_expect_close(&f->peer);
    call_destroy(f->call);
    f->call = NULL;
    mem_free(bytes);
}

static void running_out_of_memory_at_the_start_is_reported(void **state)
{
    struct fixture *f = *state;
    const struct call_request request = {
        .expert = &f->expert, .body = STR("{}"), .wake = on_wake, .owner = f};
    enum status st = ST_NO_MEMORY;
    for (uint64_t n = 1; st == ST_NO_MEMORY; n++) {
        assert_true(n < 50);
        mem_fail_at(n, 1);
        st = http1_call(f->client, &request, &f->call);
        mem_fail_at(0, 0);
        assert_true(st != ST_OK || n > 3);
        assert_true(st == ST_OK ||
                    f->call == NULL); /* nothing that was freed is left with the caller */
        http1_forget_idle(f->client);
    }
    assert_int_equal(st, ST_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_request_is_one_post_with_a_length),
        TEST(an_answer_comes_whole_with_its_head),
        TEST(streams_wake_for_every_piece),
        TEST(replies_end_as_their_framing_says),
        TEST(a_body_over_the_ceiling_is_too_big),
        TEST(cancelling_closes_the_connection_without_a_wake),
        TEST(destroying_a_call_under_way_closes_the_connection),
        TEST(a_connection_serves_again),
        TEST(connections_that_may_not_serve_again_are_closed),
        TEST(a_stale_connection_is_replaced_once),
        TEST(a_second_dead_connection_is_the_end),
        TEST(a_reply_that_began_is_never_asked_for_again),
        TEST(idle_connections_that_speak_or_end_are_closed),
        TEST(a_new_serial_retires_the_connections),
        TEST(a_call_outlives_the_pool_it_came_from),
        TEST(forgetting_closes_idle_connections),
        TEST(a_refused_connection_is_said_so),
        TEST(localhost_is_both_addresses),
        TEST(a_connection_that_hangs_is_given_up),
        cmocka_unit_test(only_plain_numeric_urls_fit),
        TEST(silence_before_the_body_is_a_first_token_timeout),
        TEST(silence_in_the_body_is_an_idle_timeout),
        TEST(the_total_is_kept_whatever_comes),
        TEST(the_first_content_is_waited_for_whatever_else_comes),
        TEST(a_slow_reader_pauses_the_expert),
        TEST(a_stream_that_is_held_is_hardly_read_further),
        TEST(a_large_request_is_sent_whole),
        TEST(an_answer_before_the_request_is_whole_counts_but_ends_the_connection),
        TEST(running_out_of_memory_at_the_start_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
