/* One call to a remote expert: a transfer of libcurl's, its deadlines, its backpressure. Moves bytes;
 * does not read them. See call.h; transport.h makes these.
 *
 * libcurl's callbacks only append and note; the one exception, wake, only marks its owner. */
#include <stdio.h>
#include <string.h>

#include "backends/expert.h"
#include "backends/transport_curl.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    KEEP_BUFFER_BYTES = 16 * 1024, /* an idle handle keeps at most this much of its buffer */
};

static struct remote_call *remote_of(struct call *call)
{
    return (struct remote_call *)call;
}

static int64_t now_ms(const struct remote_call *rc)
{
    return clock_now_ms(loop_clock(transport_loop(rc->transport)));
}

/* The only place where the state changes after the start. */
static void finish(struct remote_call *rc, enum call_outcome outcome)
{
    rc->call.state = CALL_DONE;
    rc->call.outcome = outcome;
    loop_timer_cancel(transport_loop(rc->transport), &rc->timer);
}

static void begin_stream(struct remote_call *rc)
{
    long status = 0;
    (void)curl_easy_getinfo(rc->easy, CURLINFO_RESPONSE_CODE, &status);
    rc->call.http_status = (int)status;
    rc->call.state = CALL_STREAMING;
    rc->call.content_type = str_from(rc->content_type);
    rc->call.is_event_stream =
        str_starts_with_nocase(rc->call.content_type, STR("text/event-stream"));
    if (rc->call.is_event_stream) { /* plain answers are wanted whole */
        rc->call.request.wake(rc->call.request.owner);
    }
}

/* One header of the final or an interim (1xx) head, without its line end. */
static void read_header(struct remote_call *rc, struct str line)
{
    struct str name;
    struct str value;
    if (!str_split(line, ':', &name, &value) || name.len == line.len) {
        return;
    }
    value = str_trim(value);
    if (str_eq_nocase(name, STR("content-type"))) {
        (void)snprintf(rc->content_type, sizeof rc->content_type, "%.*s", STR_ARG(value));
    } else if (str_eq_nocase(name, STR("retry-after"))) {
        int64_t seconds;
        if (str_to_int(value, &seconds) == ST_OK && seconds >= 0 && seconds <= 86400) {
            rc->call.retry_after_s = seconds;
        }
    } else if (str_eq_nocase(name, STR("content-encoding"))) {
        rc->is_encoded = !str_eq_nocase(value, STR("identity"));
    }
}

/* CURLOPT_HEADERFUNCTION: called once per header line and once for the empty line. */
static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct remote_call *rc = user;
    struct str line = str_trim((struct str){data, size * count});
    rc->head_bytes += size * count;
    if (rc->head_bytes > REMOTE_REPLY_HEAD_BYTES) {
        rc->has_bad_head = true;
        return 0;
    }
    if (rc->call.state != CALL_WAITING) {
        return size * count; /* trailers say nothing that we use */
    }
    if (line.len > 0) {
        read_header(rc, line);
        return size * count;
    }
    long status = 0;
    (void)curl_easy_getinfo(rc->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        return size * count; /* 1xx: the real head follows */
    }
    if (rc->is_encoded) {
        rc->has_bad_head =
            true; /* nobody asked for compression, and bytes are passed on as they are */
        return 0;
    }
    begin_stream(rc);
    return size * count;
}

/* CURLOPT_WRITEFUNCTION */
static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct remote_call *rc = user;
    struct call *call = &rc->call;
    struct str bytes = {data, size * count};
    if (call->is_event_stream && call->in.len > 0 &&
        call->in.len + bytes.len > CALL_IN_PAUSE_BYTES) {
        rc->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    rc->body_bytes += bytes.len;
    if (rc->body_bytes > (size_t)call->request.expert->reply_bytes ||
        buf_append(&call->in, bytes) != ST_OK) {
        rc->is_too_big = true;
        return 0;
    }
    int64_t now_us = clock_now_us(loop_clock(transport_loop(rc->transport)));
    rc->last_byte_ms = now_us / 1000;
    if (call->first_byte_us == 0) {
        call->first_byte_us = now_us;
    }
    if (call->is_event_stream) {
        call->request.wake(call->request.owner);
    }
    return bytes.len;
}

/* What may be late now, and when it is. */
static int64_t next_deadline(const struct remote_call *rc, enum call_outcome *ret_outcome)
{
    const struct expert_deadlines *limits = &rc->call.request.expert->deadlines;
    int64_t due = rc->deadline_total_ms;
    int64_t other;
    *ret_outcome = CALL_TOTAL_TIMEOUT;
    enum call_outcome other_outcome;
    if (rc->call.first_byte_us == 0) {
        other = rc->call.started_us / 1000 + limits->first_token_ms;
        other_outcome = CALL_FIRST_TOKEN_TIMEOUT;
    } else if (!rc->is_paused) {
        other = rc->last_byte_ms + limits->idle_ms;
        other_outcome = CALL_IDLE_TIMEOUT;
    } else {
        other = now_ms(rc) + limits->idle_ms; /* the client is slow, not the expert */
        other_outcome = CALL_IDLE_TIMEOUT;
    }
    if (other < due) {
        due = other;
        *ret_outcome = other_outcome;
    }
    return due;
}

static void leave_multi(struct remote_call *rc)
{
    if (rc->is_added) {
        rc->is_added = false;
        transport_remove(rc->transport, rc);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    struct remote_call *rc = CONTAINER_OF(timer, struct remote_call, timer);
    enum call_outcome outcome;
    int64_t due = next_deadline(rc, &outcome);
    if (due > now_ms(rc) &&
        loop_timer_set(transport_loop(rc->transport), &rc->timer, due) == ST_OK) {
        return;
    }
    leave_multi(rc);
    finish(rc, outcome);
    rc->call.request.wake(rc->call.request.owner);
}

static enum call_outcome outcome_of(const struct remote_call *rc, CURLcode code)
{
    if (rc->has_bad_head) {
        return CALL_BAD_REPLY;
    }
    if (rc->is_too_big) {
        return CALL_TOO_BIG;
    }
    switch ((int)code) {
    case CURLE_OK:
        return rc->call.state == CALL_STREAMING ? CALL_OK : CALL_BAD_REPLY;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return CALL_CONNECT_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return CALL_CONNECT_TIMEOUT; /* the only time-out that libcurl keeps for us */
    case CURLE_OUT_OF_MEMORY:
        return CALL_NO_MEMORY;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return CALL_CUT;
    default:
        return CALL_BAD_REPLY;
    }
}

void remote_call_finished(struct remote_call *rc, CURLcode code)
{
    leave_multi(rc);
    finish(rc, outcome_of(rc, code));
    rc->call.request.wake(rc->call.request.owner);
}

static void consumed(struct call *call)
{
    struct remote_call *rc = remote_of(call);
    if (rc->is_paused && call->in.len <= CALL_IN_PAUSE_BYTES / 2 && rc->is_added) {
        rc->is_paused = false;
        rc->last_byte_ms = now_ms(rc);
        (void)curl_easy_pause(rc->easy, CURLPAUSE_CONT); /* a failure comes as the transfer's end */
    }
}

static void cancel(struct call *call)
{
    struct remote_call *rc = remote_of(call);
    leave_multi(rc);
    loop_timer_cancel(transport_loop(rc->transport), &rc->timer);
}

static void destroy(struct call *call)
{
    struct remote_call *rc = remote_of(call);
    if (call->in.cap > KEEP_BUFFER_BYTES) {
        buf_fini(&call->in);
    } else {
        buf_reset(&call->in);
    }
    transport_give_back(rc->transport, rc);
}

static const struct call_kind remote_kind = {consumed, cancel, destroy};

static void set_options(struct remote_call *rc)
{
    CURL *easy = rc->easy;
    /* These fail only for options that this libcurl does not have, or for lack of memory in the ones
     * that copy text: the transfer then fails and says so. */
    (void)curl_easy_setopt(easy, CURLOPT_CURLU, rc->pool->url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, rc->pool->headers);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, rc);
    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "expertd");
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, rc);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, rc);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, transport_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, rc->transport);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, transport_close_socket);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, rc->transport);
}

struct remote_call *remote_call_create(struct transport *t, struct remote_pool *pool)
{
    struct remote_call *rc = mem_zalloc(1, sizeof *rc);
    if (rc == NULL) {
        return NULL;
    }
    rc->easy = curl_easy_init();
    if (rc->easy == NULL) {
        mem_free(rc);
        return NULL;
    }
    rc->transport = t;
    rc->pool = pool;
    pool->refs++;
    rc->timer.on_due = on_deadline;
    rc->call.kind = &remote_kind;
    set_options(rc);
    return rc;
}

static void reset(struct remote_call *rc, const struct call_request *request)
{
    struct call *call = &rc->call;
    call->state = CALL_WAITING;
    call->outcome = CALL_OK;
    call->http_status = 0;
    call->is_event_stream = false;
    call->content_type = STR("");
    call->retry_after_s = -1;
    call->first_byte_us = 0;
    call->request = *request;
    call->started_us = clock_now_us(loop_clock(transport_loop(rc->transport)));
    if (call->in.max == 0 || call->in.max != (size_t)request->expert->reply_bytes) {
        buf_fini(&call->in);
        buf_init(&call->in, (size_t)request->expert->reply_bytes);
    }
    rc->deadline_total_ms = call->started_us / 1000 + request->expert->deadlines.total_ms;
    rc->last_byte_ms = 0;
    rc->head_bytes = 0;
    rc->body_bytes = 0;
    rc->is_paused = false;
    rc->is_encoded = false;
    rc->has_bad_head = false;
    rc->is_too_big = false;
    rc->content_type[0] = '\0';
}

enum status remote_call_start(struct remote_call *rc, const struct call_request *request)
{
    reset(rc, request);
    (void)curl_easy_setopt(rc->easy, CURLOPT_POSTFIELDS, request->body.ptr);
    (void)curl_easy_setopt(rc->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    (void)curl_easy_setopt(rc->easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)request->expert->deadlines.connect_ms);
    enum call_outcome outcome;
    enum status st =
        loop_timer_set(transport_loop(rc->transport), &rc->timer, next_deadline(rc, &outcome));
    if (st != ST_OK) {
        return st;
    }
    st = transport_add(rc->transport, rc);
    if (st != ST_OK) {
        loop_timer_cancel(transport_loop(rc->transport), &rc->timer);
        return st;
    }
    rc->is_added = true;
    return ST_OK;
}

void remote_call_free(struct remote_call *rc)
{
    curl_easy_cleanup(rc->easy);
    buf_fini(&rc->call.in);
    transport_unref_pool(rc->pool);
    mem_free(rc);
}
