/* The reader of HTTP/1.1 replies: framing, in one piece, byte by byte and cut at every offset. */
#include <string.h>

#include "backends/http1_reader.h"
#include "base/mem.h"
#include "tests/support/test.h"

#define OK      "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

enum verdict {
    IS_WHOLE,   /* HTTP1_END */
    IS_CLOSED,  /* whole because the connection ended */
    IS_CUT,     /* the connection ended too early */
    IS_REFUSED, /* HTTP1_BAD */
};

enum {
    BODY_MAX = 1 << 20
};

struct reading {
    struct http1_reader reader;
    struct buf body;
    enum verdict verdict;
    int heads;
    int status; /* at the head */
};

/* Takes all events of what was fed. True: more input is wanted. */
static bool take_events(struct reading *r)
{
    for (;;) {
        struct str body = {NULL, 0};
        switch (http1_reader_next(&r->reader, &body)) {
        case HTTP1_MORE:
            return true;
        case HTTP1_HEAD:
            r->heads++;
            r->status = r->reader.status;
            break;
        case HTTP1_BODY:
            assert_int_equal(r->heads, 1);
            assert_true(body.len > 0);
            assert_int_equal(buf_append(&r->body, body), ST_OK);
            break;
        case HTTP1_END:
            r->verdict = IS_WHOLE;
            return false;
        case HTTP1_BAD:
            r->verdict = IS_REFUSED;
            return false;
        }
    }
}

/* Reads a reply that comes in pieces: up to `cut`, then `step` bytes each. Pieces are blocks of their
 * own, freed after use. */
static void read_reply(struct reading *r, struct str reply, size_t cut, size_t step)
{
    bool wants_more = true;
    memset(r, 0, sizeof *r);
    http1_reader_init(&r->reader);
    buf_init(&r->body, BODY_MAX);
    for (size_t at = 0; wants_more && at < reply.len;) {
        struct str piece = str_slice(reply, at, at < cut ? cut - at : step);
        char *copy = mem_alloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        http1_reader_feed(&r->reader, (struct str){copy, piece.len});
        wants_more = take_events(r);
        mem_free(copy);
        at += piece.len;
    }
    if (wants_more) {
        r->verdict = http1_reader_end(&r->reader) ? IS_CLOSED : IS_CUT;
    }
}

static void stop(struct reading *r)
{
    http1_reader_fini(&r->reader);
    buf_fini(&r->body);
}

struct reply_case {
    const char *reply;
    enum verdict verdict;
    int status; /* 0: no head is reported */
    const char *body;
};

static void check_one(const struct reply_case *c, size_t cut, size_t step)
{
    struct reading r;
    read_reply(&r, str_from(c->reply), cut, step);
    if (r.verdict != c->verdict || r.status != c->status || r.heads != (c->status != 0) ||
        !str_eq(buf_str(&r.body), str_from(c->body))) {
        fail_msg("cut at %zu, steps of %zu: verdict %d, status %d, body \"%.*s\" of\n%s", cut, step,
                 (int)r.verdict, r.status, STR_ARG(buf_str(&r.body)), c->reply);
    }
    stop(&r);
}

static void check(const struct reply_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(cases[i].reply);
        check_one(&cases[i], 0, 1);
        check_one(&cases[i], 0, 3);
        for (size_t cut = 0; cut <= len; cut++) {
            check_one(&cases[i], cut, len + 1);
        }
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases)[0])

static void sized_bodies_end_where_they_say(void **state)
{
    static const struct reply_case cases[] = {
        {OK "Content-Length: 5\r\n\r\nhello", IS_WHOLE, 200, "hello"},
        {OK "Content-Length: 0\r\n\r\n", IS_WHOLE, 200, ""},
        {OK "content-length:5\r\n\r\nhello", IS_WHOLE, 200, "hello"},
        {OK "Content-Length:  5 \t\r\n\r\nhello", IS_WHOLE, 200, "hello"},
        {OK "Content-Length: 005\r\n\r\nhello", IS_WHOLE, 200, "hello"},
        {OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", IS_WHOLE, 200, "hello"},
        {OK "Content-Length: 6\r\n\r\nhello", IS_CUT, 200, "hello"},
        {OK "Content-Length: 5\r\n\r\n", IS_CUT, 200, ""},
        {"HTTP/1.0 503 \r\nContent-Length: 2\r\n\r\nno", IS_WHOLE, 503, "no"},
        {"HTTP/1.1 429\r\nContent-Length: 2\r\n\r\nno", IS_WHOLE, 429, "no"},
        {"HTTP/1.1 204 No Content\r\n\r\n", IS_WHOLE, 204, ""},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", IS_WHOLE, 304, ""},
    };
    (void)state;
    CHECK(cases);
}

static void chunked_bodies_lose_their_frames(void **state)
{
    static const struct reply_case cases[] = {
        {CHUNKED "5\r\nhello\r\n0\r\n\r\n", IS_WHOLE, 200, "hello"},
        {CHUNKED "0\r\n\r\n", IS_WHOLE, 200, ""},
        {CHUNKED "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", IS_WHOLE, 200, "hello"},
        {CHUNKED "000A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n", IS_WHOLE, 200,
         "01234567890123456789"},
        {CHUNKED "5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n", IS_WHOLE, 200, "hello"},
        {CHUNKED "5 \t;x\r\nhello\r\n0 \r\n\r\n", IS_WHOLE, 200, "hello"},
        {CHUNKED "2\r\n\r\n\r\n0\r\n\r\n", IS_WHOLE, 200, "\r\n"},
        {CHUNKED "5\r\nhello\r\n0\r\nExpires: never\r\nX: y\r\n\r\n", IS_WHOLE, 200, "hello"},
        {OK "transfer-encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", IS_WHOLE, 200, "x"},
        {CHUNKED "5\r\nhel", IS_CUT, 200, "hel"},
        {CHUNKED "5\r\nhello\r\n", IS_CUT, 200, "hello"},
        {CHUNKED "5\r\nhello\r\n0\r\n", IS_CUT, 200, "hello"},
        {CHUNKED "5\r\nhello\r\n0\r\nA: b\r\n", IS_CUT, 200, "hello"},
    };
    (void)state;
    CHECK(cases);
}

static void bodies_without_a_length_end_with_the_connection(void **state)
{
    static const struct reply_case cases[] = {
        {OK "\r\nhello", IS_CLOSED, 200, "hello"},
        {OK "\r\n", IS_CLOSED, 200, ""},
        {"HTTP/1.0 200 OK\r\nX: y\r\n\r\nall of it", IS_CLOSED, 200, "all of it"},
        {OK "X: y\r\n", IS_CUT, 0, ""},
        {"HTTP/1.1 2", IS_CUT, 0, ""},
        {"", IS_CUT, 0, ""},
    };
    (void)state;
    CHECK(cases);
}

static void interim_heads_are_skipped(void **state)
{
    static const struct reply_case cases[] = {
        {"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi", IS_WHOLE, 200, "hi"},
        {"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: "
         "9\r\nTransfer-Encoding: chunked\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi",
         IS_WHOLE, 200, "hi"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 100 Continue\r\n\r\n", IS_CUT, 0, ""},
    };
    (void)state;
    CHECK(cases);
}

static void bare_line_feeds_end_lines(void **state)
{
    static const struct reply_case cases[] = {
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", IS_WHOLE, 200, "hi"},
        {"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", IS_WHOLE, 200, "hi"},
        {"HTTP/1.1 200 OK\r\n\nhi", IS_CLOSED, 200, "hi"},
    };
    (void)state;
    CHECK(cases);
}

static void contradictory_framing_is_refused(void **state)
{
    static const struct reply_case cases[] = {
        {OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", IS_REFUSED, 0, ""},
        {OK "Content-Length: 5\r\nContent-Length: 6\r\nContent-Length: 5\r\n\r\n", IS_REFUSED, 0,
         ""},
        {OK "Content-Length: 5, 5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "Content-Length: -5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "Content-Length: -0\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Content-Length: +5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "Content-Length: 0x5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "Content-Length: \r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "Content-Length: 99999999999999999999\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Transfer-Encoding: gzip, chunked\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Transfer-Encoding: identity\r\n\r\n", IS_REFUSED, 0, ""},
        {OK "Content-Length : 5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "X: y\r\n Content-Length: 5\r\n\r\nhello", IS_REFUSED, 0, ""},
        {OK "X: y\r\n\tfolded\r\n\r\nhello", IS_REFUSED, 0, ""},
    };
    (void)state;
    CHECK(cases);
}

static void bad_heads_are_refused(void **state)
{
    static const struct reply_case cases[] = {
        {"\r\n" OK "\r\n", IS_REFUSED, 0, ""},
        {"HTTP/2 200 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.2 200 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"http/1.1 200 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 20 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 2000 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 099 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 600 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1  200 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"HTTP/1.1 2 0 OK\r\n\r\n", IS_REFUSED, 0, ""},
        {"SSH-2.0-OpenSSH_9.2\r\n", IS_REFUSED, 0, ""},
        {"{\"error\":1}\n", IS_REFUSED, 0, ""},
        {OK "no colon\r\n\r\n", IS_REFUSED, 0, ""},
        {OK ": no name\r\n\r\n", IS_REFUSED, 0, ""},
    };
    (void)state;
    CHECK(cases);
}

static void bad_chunks_are_refused(void **state)
{
    static const struct reply_case cases[] = {
        {CHUNKED "\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "x\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "-1\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "+1\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "0x1\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED " 1\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED ";a\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "1 2\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "1\r\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "1g\r\nh\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "1\r\nhe\r\n0\r\n\r\n", IS_REFUSED, 200, "h"},
        {CHUNKED "2\r\nhe0\r\n\r\n", IS_REFUSED, 200, "he"},
        {CHUNKED "FFFFFFFFFFFFFFFF\r\n", IS_REFUSED, 200, ""},
        {CHUNKED "10000000000000001\r\nh", IS_REFUSED, 200, ""},
    };
    (void)state;
    CHECK(cases);
}

/* ---------------------------------------------------------------- ceilings */

static struct str repeat(struct buf *b, const char *head, const char *unit, size_t bytes)
{
    buf_init(b, BODY_MAX);
    assert_int_equal(buf_append(b, str_from(head)), ST_OK);
    while (b->len < bytes) {
        assert_int_equal(buf_append(b, str_from(unit)), ST_OK);
    }
    return buf_str(b);
}

static void check_size(const char *head, const char *unit, size_t bytes, enum verdict verdict)
{
    static const size_t steps[] = {1, 2, 1000, BODY_MAX};
    struct buf b;
    struct str reply = repeat(&b, head, unit, bytes);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct reading r;
        read_reply(&r, reply, 0, steps[i]);
        if (r.verdict != verdict) {
            fail_msg("%zu bytes of \"%s\" in steps of %zu: verdict %d", bytes, unit, steps[i],
                     (int)r.verdict);
        }
        stop(&r);
    }
    buf_fini(&b);
}

static void heads_have_a_ceiling_however_they_come(void **state)
{
    (void)state;
    check_size(OK, "X-Filler: 0123456789\r\n", REPLY_HEAD_BYTES_MAX - 100, IS_CUT);
    check_size(OK, "X-Filler: 0123456789\r\n", REPLY_HEAD_BYTES_MAX + 100, IS_REFUSED);
    check_size(OK "X: ", "y", REPLY_HEAD_BYTES_MAX - 100, IS_CUT);
    check_size(OK "X: ", "y", REPLY_HEAD_BYTES_MAX + 100, IS_REFUSED);
    check_size("", "HTTP/1.1 100 Continue\r\n\r\n", REPLY_HEAD_BYTES_MAX + 100, IS_REFUSED);
}

static void extensions_and_trailers_have_a_ceiling(void **state)
{
    (void)state;
    check_size(CHUNKED "5;", "x", REPLY_HEAD_BYTES_MAX - 200, IS_CUT);
    check_size(CHUNKED "5;", "x", REPLY_HEAD_BYTES_MAX + 200, IS_REFUSED);
    check_size(CHUNKED "0\r\n", "A: b\r\n", REPLY_HEAD_BYTES_MAX - 200, IS_CUT);
    check_size(CHUNKED "0\r\n", "A: b\r\n", REPLY_HEAD_BYTES_MAX + 200, IS_REFUSED);
}

static void many_chunks_are_no_long_head(void **state)
{
    (void)state;
    check_size(CHUNKED, "1;ext\r\nx\r\n", 3 * REPLY_HEAD_BYTES_MAX, IS_CUT);
}

/* ---------------------------------------------------------------- keep-alive */

static void connections_are_kept_only_where_it_is_safe(void **state)
{
    static const struct {
        const char *reply;
        bool keeps;
    } cases[] = {
        {OK "Content-Length: 2\r\n\r\nhi", true},
        {OK "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", true},
        {CHUNKED "2\r\nhi\r\n0\r\n\r\n", true},
        {"HTTP/1.1 204 No Content\r\n\r\n", true},
        {OK "Content-Length: 2\r\nConnection: close\r\n\r\nhi", false},
        {OK "Content-Length: 2\r\nconnection: CLOSE\r\n\r\nhi", false},
        {OK "Content-Length: 2\r\nConnection: x, close\r\n\r\nhi", false},
        {OK "Connection: close\r\nConnection: x\r\nContent-Length: 2\r\n\r\nhi", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false},
        {OK "Content-Length: 2\r\n\r\nhi!", false}, /* bytes that belong to nobody */
        {OK "Content-Length: 3\r\n\r\nhi", false},
        {OK "\r\nhi", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reading r;
        read_reply(&r, str_from(cases[i].reply), 0, BODY_MAX);
        if (http1_reader_keeps_alive(&r.reader) != cases[i].keeps) {
            fail_msg("%s", cases[i].reply);
        }
        stop(&r);
    }
}

static void running_out_of_memory_refuses_the_reply(void **state)
{
    struct reading r;
    (void)state;
    mem_fail_at(2, 1); /* the first is the test's own copy */
    read_reply(&r, STR(OK), 0, 5);
    mem_fail_at(0, 0);
    assert_int_equal(r.verdict, IS_REFUSED);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sized_bodies_end_where_they_say),
        cmocka_unit_test(chunked_bodies_lose_their_frames),
        cmocka_unit_test(bodies_without_a_length_end_with_the_connection),
        cmocka_unit_test(interim_heads_are_skipped),
        cmocka_unit_test(bare_line_feeds_end_lines),
        cmocka_unit_test(contradictory_framing_is_refused),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(heads_have_a_ceiling_however_they_come),
        cmocka_unit_test(extensions_and_trailers_have_a_ceiling),
        cmocka_unit_test(many_chunks_are_no_long_head),
        cmocka_unit_test(connections_are_kept_only_where_it_is_safe),
        cmocka_unit_test(running_out_of_memory_refuses_the_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
