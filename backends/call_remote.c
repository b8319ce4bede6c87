/* One call to a remote expert: a transfer of libcurl's, its deadlines, its backpressure. Moves bytes;
 * does not read them. See call.h; transport.h makes these.
 *
 * libcurl's callbacks only append and note; the one exception, wake, only marks its owner. */
#include <stdio.h>

#include "backends/expert.h"
#include "backends/transport_curl.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    HEADER_LINE_MAX = 4096,        /* more of a header that is passed on is cut off */
    KEEP_BUFFER_BYTES = 16 * 1024, /* an idle handle keeps at most this much of its buffer */
};

static struct remote_call *remote_of(struct call *call)
{
    return (struct remote_call *)call;
}

/* The only place where the state changes after the start. */
static void finish(struct remote_call *rc, enum call_outcome outcome)
{
    rc->call.state = CALL_DONE;
    rc->call.outcome = outcome;
    call_watch_stop(&rc->watch);
}

static void begin_stream(struct remote_call *rc)
{
    long status = 0;
    (void)curl_easy_getinfo(rc->easy, CURLINFO_RESPONSE_CODE, &status);
    rc->call.http_status = (int)status;
    rc->call.state = CALL_STREAMING;
    rc->call.content_type = str_from(rc->head.content_type);
    rc->call.retry_after_s = rc->head.retry_after_s;
    rc->call.is_event_stream = reply_head_is_event_stream(&rc->head);
    if (rc->call.is_event_stream) { /* plain answers are wanted whole */
        rc->call.request.wake(rc->call.request.owner);
    }
}

/* CURLOPT_HEADERFUNCTION: called once per header line and once for the empty line. */
static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct remote_call *rc = user;
    struct str line = str_trim((struct str){data, size * count});
    rc->head_bytes += size * count;
    if (rc->head_bytes > REPLY_HEAD_BYTES_MAX) {
        rc->has_bad_head = true;
        return 0;
    }
    if (rc->call.state != CALL_WAITING) {
        return size * count; /* trailers say nothing that we use */
    }
    if (line.len > 0) {
        if (str_starts_with(line, STR("HTTP/"))) {
            reply_head_init(&rc->head); /* an interim head came before */
        } else {
            (void)reply_head_line(&rc->head, line); /* libcurl has accepted it */
        }
        return size * count;
    }
    long status = 0;
    (void)curl_easy_getinfo(rc->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        return size * count; /* 1xx: the real head follows */
    }
    rc->is_too_big = rc->head.content_length > rc->call.request.expert->reply_bytes;
    if (rc->is_too_big) {
        return 0;
    }
    /* Nobody asked for compression, and bytes are passed on as they are; libcurl takes the last of
     * two lengths. */
    rc->has_bad_head = rc->head.is_encoded || !reply_head_is_framed(&rc->head);
    if (rc->has_bad_head) {
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
    if (call->is_event_stream && call->in.len > 0 && call_is_full(call, call->in.len + bytes.len)) {
        rc->watch.is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    rc->body_bytes += bytes.len;
    if (rc->body_bytes > (size_t)call->request.expert->reply_bytes ||
        buf_append(&call->in, bytes) != ST_OK) {
        rc->is_too_big = true;
        return 0;
    }
    bool is_first = call->first_byte_us == 0;
    if (is_first) {
        call->first_byte_us = clock_now_us(loop_clock(transport_loop(rc->transport)));
    }
    call_watch_byte(&rc->watch, is_first);
    if (call->is_event_stream) {
        call->request.wake(call->request.owner);
    }
    return bytes.len;
}

static void leave_multi(struct remote_call *rc)
{
    if (rc->is_added) {
        rc->is_added = false;
        transport_remove(rc->transport, rc);
    }
}

static void give_up(struct remote_call *rc)
{
    if (rc->is_added) {
        transport_forget_unsent(rc->transport, rc);
    }
    leave_multi(rc);
}

static void on_late(struct call_watch *watch, enum call_outcome outcome)
{
    struct remote_call *rc = CONTAINER_OF(watch, struct remote_call, watch);
    give_up(rc);
    finish(rc, outcome);
    rc->call.request.wake(rc->call.request.owner);
}

/* Failures whose cause an operator cannot guess. Their text names hosts and what is wrong with a
 * certificate, nothing that was sent. */
static bool is_about_tls(CURLcode code)
{
    static const CURLcode codes[] = {CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION,
                                     CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
                                     CURLE_SSL_CACERT_BADFILE};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    return false;
}

static enum call_outcome outcome_of(const struct remote_call *rc, CURLcode code)
{
    if (rc->has_bad_head) {
        return CALL_BAD_REPLY;
    }
    if (rc->is_too_big) {
        return CALL_TOO_BIG;
    }
    if (is_about_tls(code)) {
        return CALL_CONNECT_FAILED;
    }
    switch ((int)code) {
    case CURLE_OK:
        return rc->call.state == CALL_STREAMING ? CALL_OK : CALL_BAD_REPLY;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
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
    if (is_about_tls(code)) {
        rc->call.why = rc->why[0] != '\0' ? rc->why : curl_easy_strerror(code);
    }
    finish(rc, outcome_of(rc, code));
    rc->call.request.wake(rc->call.request.owner);
}

static void consumed(struct call *call)
{
    struct remote_call *rc = remote_of(call);
    bool has_room = !call->is_held && call->in.len <= CALL_IN_PAUSE_BYTES / 2;
    if (rc->watch.is_paused && has_room && rc->is_added) {
        rc->watch.is_paused = false;
        rc->watch.last_byte_ms = loop_now_ms(rc->watch.loop);
        (void)curl_easy_pause(rc->easy, CURLPAUSE_CONT); /* a failure comes as the transfer's end */
    }
}

static void cancel(struct call *call)
{
    struct remote_call *rc = remote_of(call);
    give_up(rc);
    call_watch_stop(&rc->watch);
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

static struct curl_blob blob_of(struct str pem)
{
    union {
        const char *in;
        void *out;
    } bytes = {.in = pem.ptr}; /* libcurl reads only, but its struct is not const */

    return (struct curl_blob){bytes.out, pem.len, CURL_BLOB_NOCOPY}; /* the pool keeps it */
}

/* Verification is libcurl's default; written down, for it must never be anything else. */
static void set_tls(const struct remote_call *rc)
{
    CURL *easy = rc->easy;
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (rc->pool->connect_to != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CONNECT_TO, rc->pool->connect_to);
    }
    if (rc->pool->authorities != NULL) {
        struct curl_blob ca = blob_of(cert_chain_pem(rc->pool->authorities));
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* or the system's are believed, too */
    }
    if (rc->pool->pair != NULL) {
        struct curl_blob chain = blob_of(cert_chain_pem(rc->pool->pair));
        struct curl_blob key = blob_of(cert_key_pem(rc->pool->pair));
        (void)curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &chain);
        (void)curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
    }
}

/* CURLOPT_PREREQFUNCTION: a connection was found, the request goes out. libcurl replaces a kept one that
 * turns out to be dead, up to five times; it shall take a new one the first time. */
static int on_request(void *user, char *to, char *from, int to_port, int from_port)
{
    struct remote_call *rc = user;
    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    (void)curl_easy_setopt(rc->easy, CURLOPT_FRESH_CONNECT, 1L);
    return CURL_PREREQFUNC_OK;
}

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
    /* A call that ends while its name is looked up leaves that thread behind: joining it would stop this
     * worker for as long as the resolver takes. */
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "expertd");
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, rc);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, rc);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, rc);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, transport_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, rc->transport);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, transport_close_socket);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, rc->transport);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, rc->why);
    set_tls(rc);
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
    rc->call.kind = &remote_kind;
    set_options(rc);
    return rc;
}

/* The pool's lines stay the pool's: a list with more is a copy, for the request has gone when the handle
 * is used again. */
static enum status set_headers(struct remote_call *rc, struct str more)
{
    struct curl_slist *list = NULL;
    struct curl_slist *longer = NULL;
    const struct curl_slist *line = more.len > 0 ? rc->pool->headers : NULL;
    for (; line != NULL; line = line->next) {
        longer = curl_slist_append(list, line->data);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return ST_NO_MEMORY;
        }
        list = longer;
    }
    struct str text = STR("");
    while (str_split(more, '\n', &text, &more)) {
        char z[HEADER_LINE_MAX];
        (void)snprintf(z, sizeof z, "%.*s", STR_ARG(str_trim(text)));
        longer = curl_slist_append(list, z);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return ST_NO_MEMORY;
        }
        list = longer;
    }
    curl_slist_free_all(rc->headers);
    rc->headers = list;
    (void)curl_easy_setopt(rc->easy, CURLOPT_HTTPHEADER, list == NULL ? rc->pool->headers : list);
    return ST_OK;
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
    call->has_content = false;
    call->why = NULL;
    rc->why[0] = '\0';
    call->request = *request;
    call->started_us = clock_now_us(loop_clock(transport_loop(rc->transport)));
    if (call->in.max == 0 || call->in.max != (size_t)request->expert->reply_bytes) {
        buf_fini(&call->in);
        buf_init(&call->in, (size_t)request->expert->reply_bytes);
    }
    rc->head_bytes = 0;
    rc->body_bytes = 0;
    rc->has_bad_head = false;
    rc->is_too_big = false;
    reply_head_init(&rc->head);
}

enum status remote_call_set_get(struct remote_call *rc, struct str path)
{
    char target[HEADER_LINE_MAX];
    (void)snprintf(target, sizeof target, "%.*s", STR_ARG(path));
    rc->url = curl_url_dup(rc->pool->url);
    if (rc->url == NULL || curl_url_set(rc->url, CURLUPART_URL, target, 0) != CURLUE_OK) {
        return ST_NO_MEMORY; /* a path is always a url relative to another one */
    }
    (void)curl_easy_setopt(rc->easy, CURLOPT_CURLU, rc->url);
    (void)curl_easy_setopt(rc->easy, CURLOPT_HTTPGET, 1L);
    return ST_OK;
}

enum status remote_call_start(struct remote_call *rc, const struct call_request *request)
{
    reset(rc, request);
    if ((request->headers.len > 0 || rc->headers != NULL) &&
        set_headers(rc, request->headers) != ST_OK) {
        return ST_NO_MEMORY;
    }
    if (rc->is_embedding != request->is_embedding) {
        rc->is_embedding = request->is_embedding;
        (void)curl_easy_setopt(rc->easy, CURLOPT_CURLU,
                               rc->is_embedding ? rc->pool->embeddings_url : rc->pool->url);
    }
    if (rc->url == NULL) {
        (void)curl_easy_setopt(rc->easy, CURLOPT_POSTFIELDS, request->body.ptr);
        (void)curl_easy_setopt(rc->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t)request->body.len);
    }
    (void)curl_easy_setopt(rc->easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)request->expert->deadlines.connect_ms);
    (void)curl_easy_setopt(rc->easy, CURLOPT_FRESH_CONNECT, request->is_fresh ? 1L : 0L);
    enum status st =
        call_watch_start(&rc->watch, transport_loop(rc->transport), &rc->call, on_late);
    if (st != ST_OK) {
        return st;
    }
    st = transport_add(rc->transport, rc);
    if (st != ST_OK) {
        call_watch_stop(&rc->watch);
        return st;
    }
    rc->is_added = true;
    return ST_OK;
}

void remote_call_free(struct remote_call *rc)
{
    curl_easy_cleanup(rc->easy);
    curl_url_cleanup(rc->url); /* takes NULL */
    curl_slist_free_all(rc->headers);
    buf_fini(&rc->call.in);
    transport_unref_pool(rc->pool);
    mem_free(rc);
}
