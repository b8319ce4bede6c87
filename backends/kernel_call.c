/* A call to a kernel: the chat API around it, its thread hop, deadlines and backpressure. Answers
 * nothing itself: that is the kernel's part.
 *
 *   loop thread                                  thread of the pool
 *   -----------                                  ------------------
 *   kernel_pool_call ---- push work ---------->  run_work: kernel_chat_parse, generate
 *                                                  on_piece -> put -> outbox (waits while full)
 *   on_posted <---------- loop_post -----------      |
 *     outbox -> call->in, state, wake                 finish_work
 *   consumed, cancel ---- under the lock ----->   put goes on, or says stop
 *
 * The call belongs to its owner and to the loop's thread alone. What both sides share is `struct
 * work`, reference-counted: the call, the queued or running job and a posted task hold one each, so
 * the call may be destroyed while the kernel still runs. After a cancel nothing is posted any more:
 * posting happens under the lock that cancel takes. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/kernel.h"
#include "backends/kernel_chat.h"
#include "backends/kernel_embed.h"
#include "backends/kernel_job.h"
#include "backends/kernel_pool.h"
#include "backends/kernel_reply.h"
#include "backends/kernel_turn.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    REPLY_MAX_BYTES = 32 * 1024 * 1024, /* ceiling on what waits: far above CALL_IN_PAUSE_BYTES */
    ANSWER_MAX_BYTES = 4 * 1024 * 1024, /* text of an answer that is not streamed */
    PIECE_MAX_BYTES = 16 * 1024,        /* text of one event; longer pieces are split */
};

struct kernel_call;

struct work {
    struct kernel_job job;
    struct loop_task posted;
    struct loop *loop;
    struct kernel *kernel;     /* holds a reference */
    struct kernel_call *owner; /* loop thread only; NULL once the call is destroyed */
    struct kernel_reply reply; /* pool thread only, like body */
    struct str body;           /* own copy, in the same block as reply.model */
    uint64_t deadline_ns;      /* for the kernel; 0: none */
    struct kernel_turn turn;
    int cancel_fd;     /* for kernels that wait for descriptors; -1: none */
    bool is_embedding; /* the body asks for vectors */
    _Atomic unsigned users;
    ek_flag cancel;       /* is_cancelled, for the kernel: written under the lock, read without */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct buf outbox;    /* bytes that the loop has not yet taken */
    size_t waiting_bytes; /* in call->in, as the loop saw it last */
    bool is_cancelled;
    bool is_posted;
    bool is_blocked; /* the kernel waits for the client */
    bool has_head;
    bool is_event_stream;
    int http_status;
    int64_t retry_after_s;
    bool is_done;
    enum call_outcome outcome;
};

struct kernel_call {
    struct call call;
    struct kernel_pool *pool;
    struct work *work;
    struct loop *loop;
    struct loop_timer timer;
    int64_t first_token_due_ms; /* INT64_MAX: none, like total_due_ms */
    int64_t total_due_ms;
    int64_t idle_ms; /* 0: none */
    int64_t last_byte_ms;
    int64_t reply_bytes; /* that may still come */
};

struct answer { /* one run of a kernel, on the pool's thread */
    struct work *work;
    struct buf text;   /* not streamed: the answer so far */
    struct buf events; /* scratch for documents */
    struct kernel_tally tally;
    int64_t max_tokens; /* 0: none */
    size_t thread;
    bool is_stream;
    bool has_begun; /* the role event is out */
    bool is_at_limit;
    enum status st; /* first failure of the answer's own: no memory, too big */
};

/* ---- the shared part ---- */

static void unref(struct work *work)
{
    if (--work->users > 0) {
        return;
    }
    if (work->cancel_fd >= 0) {
        (void)close(work->cancel_fd);
    }
    kernel_unref(work->kernel);
    buf_fini(&work->outbox);
    (void)pthread_cond_destroy(&work->changed);
    (void)pthread_mutex_destroy(&work->lock);
    mem_free(work);
}

/* Under the lock. */
static void post(struct work *work)
{
    if (!work->is_posted && !work->is_cancelled) {
        work->is_posted = true;
        work->users++;
        loop_post(work->loop, &work->posted);
    }
}

/* Under the lock, which it lets go of: whoever has waited computes no further before its turn, unless it
 * is cancelled. */
static void resume(struct work *work)
{
    (void)pthread_mutex_unlock(&work->lock);
    (void)kernel_turn_take(&work->turn);
    (void)pthread_mutex_lock(&work->lock);
}

/* Hands bytes of a stream to the loop; waits while the client's queue is full. */
static enum status put(struct work *work, struct str bytes)
{
    bool has_waited = false;
    (void)pthread_mutex_lock(&work->lock);
    while (!work->is_cancelled &&
           work->outbox.len + work->waiting_bytes > (size_t)CALL_IN_PAUSE_BYTES) {
        if (!has_waited) {
            kernel_turn_give(&work->turn);
        }
        has_waited = true;
        work->is_blocked = true;
        (void)pthread_cond_wait(&work->changed, &work->lock);
    }
    if (has_waited) {
        resume(work);
    }
    work->is_blocked = false;
    enum status st = work->is_cancelled ? ST_CLOSED : buf_append(&work->outbox, bytes);
    if (st == ST_OK) {
        work->has_head = true;
        work->is_event_stream = true;
        work->http_status = 200;
        post(work);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return st;
}

/* Hands over a whole document, if any, and the end. */
static void put_end(struct work *work, int http_status, struct str document,
                    enum call_outcome outcome)
{
    (void)pthread_mutex_lock(&work->lock);
    work->is_done = true;
    work->outcome = outcome;
    if (document.len > 0 && buf_append(&work->outbox, document) != ST_OK) {
        work->outcome = CALL_NO_MEMORY;
    } else if (document.len > 0 && !work->has_head) {
        work->has_head = true;
        work->http_status = http_status;
    }
    post(work);
    (void)pthread_mutex_unlock(&work->lock);
}

/* ---- the kernel's sink, on the pool's thread ---- */

/* The part of the text that fits under max_tokens. */
static struct str fit(struct answer *a, struct str text)
{
    if (a->max_tokens == 0) {
        kernel_tally_add(&a->tally, text);
        return text;
    }
    size_t at = 0;
    while (at < text.len) {
        uint32_t code_point;
        size_t n = utf8_decode(str_slice(text, at, text.len), &code_point);
        n = n == 0 ? 1 : n; /* a kernel that breaks its promise is passed on byte by byte */
        struct kernel_tally next = a->tally;
        kernel_tally_add(&next, str_slice(text, at, n));
        if (kernel_tally_tokens(&next) > a->max_tokens) {
            a->is_at_limit = true;
            break;
        }
        a->tally = next;
        at += n;
    }
    return str_slice(text, 0, at);
}

static enum status begin(struct answer *a)
{
    if (a->has_begun) {
        return ST_OK;
    }
    a->has_begun = true;
    return kernel_reply_role(&a->events, &a->work->reply);
}

static enum status stream_text(struct answer *a, struct str text)
{
    enum status st = ST_OK;
    while (st == ST_OK && text.len > 0) {
        struct str piece = utf8_truncate(text, PIECE_MAX_BYTES);
        buf_reset(&a->events);
        st = begin(a);
        if (st == ST_OK) {
            st = kernel_reply_piece(&a->events, &a->work->reply, piece);
        }
        if (st == ST_OK) {
            st = put(a->work, buf_str(&a->events));
        }
        text = str_slice(text, piece.len, text.len);
    }
    return st;
}

static bool is_cancelled(struct work *work)
{
    (void)pthread_mutex_lock(&work->lock);
    bool is = work->is_cancelled;
    (void)pthread_mutex_unlock(&work->lock);
    return is;
}

static int on_piece(void *ctx, struct ek_text piece)
{
    struct answer *a = ctx;
    if (a->st != ST_OK || a->is_at_limit || is_cancelled(a->work)) {
        return 1;
    }
    struct str text = fit(a, kernel_str(piece));
    enum status st = a->is_stream ? stream_text(a, text) : buf_append(&a->text, text);
    if (st != ST_OK && st != ST_CLOSED) {
        a->st = st;
    }
    return st == ST_OK && !a->is_at_limit ? 0 : 1;
}

static int on_pause(void *ctx, int64_t ms)
{
    struct work *work = ((struct answer *)ctx)->work;
    struct timespec until = clock_in_ms(ms);
    (void)pthread_mutex_lock(&work->lock);
    int error = 0;
    kernel_turn_give(&work->turn);
    while (!work->is_cancelled && error != ETIMEDOUT) {
        error = pthread_cond_timedwait(&work->changed, &work->lock, &until);
    }
    resume(work);
    bool is_over = work->is_cancelled;
    (void)pthread_mutex_unlock(&work->lock);
    return is_over ? 1 : 0;
}

/* ---- one run, on the pool's thread ---- */

static struct kernel_usage usage_of(const struct answer *a, const struct kernel_request *asked,
                                    const struct ek_result *result)
{
    const struct ek_request *request = &asked->ek;
    struct kernel_usage usage = {result->prompt_tokens, result->completion_tokens};
    if (usage.prompt_tokens < 0) {
        usage.prompt_tokens = 0;
        for (size_t i = 0; i < request->message_count; i++) {
            struct str text = kernel_str(request->messages[i].text);
            usage.prompt_tokens += kernel_count(a->work->kernel, asked->thread, text);
        }
    }
    if (usage.completion_tokens < 0 || a->is_at_limit) {
        usage.completion_tokens = kernel_tally_tokens(&a->tally);
    }
    return usage;
}

/* What a kernel's status means over HTTP, where its error names nothing else. */
static const struct {
    int http_status;
    const char *code;
    const char *message;
} failures[] = {
    [EK_OK] = {500, "", "the expert failed"},
    [EK_BAD_REQUEST] = {400, "", "the expert cannot answer this request"},
    [EK_BAD_CONFIG] = {500, "", "the expert is not configured"},
    [EK_NO_MEMORY] = {503, "", "the expert ran out of memory"},
    [EK_BUSY] = {503, "", "the expert is busy"},
    [EK_CANCELLED] = {500, "", "the expert gave up"},
    [EK_LATE] = {504, "", "the expert was too slow"},
    [EK_TOO_LONG] = {400, "context_length_exceeded", "the prompt is too long for the expert"},
    [EK_UNSUPPORTED] = {400, "", "the expert cannot do this"},
    [EK_FAILED] = {500, "", "the expert failed"},
};

static void refuse(struct answer *a, enum ek_status status, const struct ek_error *error)
{
    struct work *work = a->work;
    size_t row = (size_t)status < sizeof failures / sizeof failures[0] ? (size_t)status : EK_FAILED;
    bool is_given = error->http_status >= 400 && error->http_status <= 599;
    int http_status = is_given ? error->http_status : failures[row].http_status;
    const char *message = error->message[0] != '\0' ? error->message : failures[row].message;
    const char *code = error->code[0] != '\0' ? error->code : failures[row].code;
    buf_reset(&a->events);
    if (kernel_reply_error(&a->events, http_status, str_from(message), str_from(code),
                           str_from(error->option)) != ST_OK) {
        put_end(work, 0, STR(""), CALL_NO_MEMORY);
        return;
    }
    (void)pthread_mutex_lock(&work->lock);
    work->retry_after_s =
        error->retry_after_s <= CALL_RETRY_AFTER_MAX_S ? error->retry_after_s : -1;
    (void)pthread_mutex_unlock(&work->lock);
    put_end(work, http_status, buf_str(&a->events), CALL_OK);
}

/* The proper end of an answer. */
static void complete(struct answer *a, const char *finish, struct kernel_usage usage)
{
    const struct kernel_reply *reply = &a->work->reply;
    enum status st = ST_OK;
    buf_reset(&a->events);
    if (a->is_stream) {
        st = begin(a);
        if (st == ST_OK) {
            st = kernel_reply_end(&a->events, reply, finish, usage);
        }
        if (st == ST_OK) {
            st = put(a->work, buf_str(&a->events));
        }
        buf_reset(&a->events);
    } else {
        st = kernel_reply_whole(&a->events, reply, buf_str(&a->text), finish, usage);
    }
    if (st == ST_CLOSED) {
        return; /* cancelled: nobody listens */
    }
    bool is_whole = st == ST_OK;
    put_end(a->work, 200, is_whole ? buf_str(&a->events) : STR(""),
            is_whole ? CALL_OK : CALL_NO_MEMORY);
}

/* Replies that are wrong on purpose: what comes instead of a proper end. */
static void spoil(struct answer *a, uint32_t finish, struct kernel_usage usage)
{
    static const char broken_event[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"conte\n\n";
    static const char broken[] = "{\"id\":\"chatcmpl-0\",\"choices\":[{\"index\":0,\"mess";
    const struct kernel_reply *reply = &a->work->reply;
    bool is_malformed = finish == KERNEL_FINISH_MALFORMED;
    enum status st = ST_OK;
    buf_reset(&a->events);
    if (a->is_stream && is_malformed) {
        st = buf_append(&a->events, str_from(broken_event));
    } else if (a->is_stream) {
        st = begin(a);
    } else if (is_malformed) {
        st = buf_append(&a->events, str_from(broken));
    } else {
        st = kernel_reply_whole(&a->events, reply, buf_str(&a->text), "stop", usage);
        buf_truncate(&a->events, a->events.len > 0 ? a->events.len - 1 : 0);
    }
    if (st == ST_OK && a->is_stream && is_malformed) {
        st = kernel_reply_end(&a->events, reply, "stop", usage);
    }
    if (st == ST_OK && a->is_stream) {
        st = put(a->work, buf_str(&a->events));
        buf_reset(&a->events);
    }
    if (st != ST_CLOSED) {
        put_end(a->work, 200, buf_str(&a->events), st == ST_OK ? CALL_OK : CALL_NO_MEMORY);
    }
}

static const char *const finishes[] = {
    [EK_FINISH_STOP] = "stop",
    [EK_FINISH_LENGTH] = "length",
    [EK_FINISH_FILTER] = "content_filter",
    [EK_FINISH_CUT] = NULL,
};

static const char *finish_text(uint32_t finish)
{
    return finish < sizeof finishes / sizeof finishes[0] ? finishes[finish] : NULL;
}

/* Asks the kernel, and ends the reply by what it says. */
static void run_kernel(struct answer *a, const struct kernel_request *request)
{
    const struct ek_sink sink = {
        .size = sizeof sink, .ctx = a, .piece = on_piece, .pause = on_pause};
    struct ek_result result;
    struct ek_error error;
    enum ek_status status = kernel_generate(a->work->kernel, request, &sink, &result, &error);
    const char *finish = a->is_at_limit ? "length" : finish_text(result.finish);
    if (a->st != ST_OK) {
        put_end(a->work, 0, STR(""), a->st == ST_TOO_BIG ? CALL_TOO_BIG : CALL_NO_MEMORY);
    } else if (a->is_at_limit || (status == EK_OK && finish != NULL)) {
        complete(a, finish, usage_of(a, request, &result));
    } else if (status == EK_OK && result.finish >= KERNEL_FINISH_NO_DONE) {
        spoil(a, result.finish, usage_of(a, request, &result));
    } else if (status == EK_OK || status == EK_CANCELLED || a->has_begun) {
        put_end(a->work, 0, STR(""), CALL_CUT);
    } else {
        refuse(a, status, &error);
    }
}

static void answer(struct answer *a)
{
    struct kernel_chat chat;
    struct work *work = a->work;
    enum status st = kernel_chat_parse(work->body, &chat);
    if (st == ST_INVALID) {
        struct ek_error bad = {.size = sizeof bad, .retry_after_s = -1};
        refuse(a, kernel_fail(&bad, EK_BAD_REQUEST, "%s", chat.why), &bad);
    } else if (st != ST_OK) {
        put_end(work, 0, STR(""), CALL_NO_MEMORY);
    } else {
        work->reply.includes_usage = chat.includes_usage;
        work->reply.is_refusal = (kernel_capabilities(work->kernel) & EK_CAP_REFUSAL) != 0;
        a->is_stream = chat.is_stream;
        bool counts = (kernel_capabilities(work->kernel) & EK_CAP_COUNT) != 0;
        a->max_tokens = counts ? 0 : chat.request.max_tokens; /* it keeps to the limit itself */
        chat.request.cancel = &work->cancel;
        chat.request.deadline_ns = work->deadline_ns;
        run_kernel(a, &(struct kernel_request){chat.request, a->thread, work->cancel_fd});
    }
    kernel_chat_fini(&chat);
}

/* The other kind of request: vectors, in one document. */
static void embed(struct answer *a)
{
    struct work *work = a->work;
    struct ek_error error;
    const struct kernel_embed asked = {
        .kernel = work->kernel,
        .body = work->body,
        .model = work->reply.model,
        .thread = a->thread,
        .cancel = &work->cancel,
        .deadline_ns = work->deadline_ns,
        .cancel_fd = work->cancel_fd,
        .pause = on_pause,
        .ctx = a,
    };
    enum ek_status status = kernel_embed_answer(&asked, &a->events, &error);
    if (status == EK_OK) {
        put_end(work, 200, buf_str(&a->events), CALL_OK);
    } else if (status == EK_CANCELLED) {
        put_end(work, 0, STR(""), CALL_CUT);
    } else {
        refuse(a, status, &error);
    }
}

static void run_work(struct kernel_job *job, size_t thread)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    if (kernel_turn_take(&work->turn) && !is_cancelled(work)) {
        struct answer a = {.work = work, .thread = thread};
        buf_init(&a.text, ANSWER_MAX_BYTES);
        buf_init(&a.events, REPLY_MAX_BYTES);
        if (work->is_embedding) {
            embed(&a);
        } else {
            answer(&a);
        }
        buf_fini(&a.events);
        buf_fini(&a.text);
    }
    kernel_turn_end(&work->turn);
    unref(work);
}

/* ---- the call, on the loop's thread ---- */

static struct kernel_call *kernel_call_of(struct call *call)
{
    return (struct kernel_call *)call;
}

static int64_t now_ms(const struct kernel_call *kc)
{
    return clock_now_ms(loop_clock(kc->loop));
}

/* Tells the pool's side to stop; what it does all the same is for kernel_turn.h. */
static void stop_work(struct kernel_call *kc)
{
    struct work *work = kc->work;
    (void)pthread_mutex_lock(&work->lock);
    bool is_running = !work->is_done;
    work->is_cancelled = true;
    work->cancel = 1;
    if (work->cancel_fd >= 0) {
        (void)eventfd_write(work->cancel_fd, 1); /* cannot fail: the count is far from its end */
    }
    (void)pthread_cond_broadcast(&work->changed);
    (void)pthread_mutex_unlock(&work->lock);
    if (is_running && kernel_pool_drop(kc->pool, &work->job)) {
        unref(work);
    } else if (is_running) {
        kernel_turn_call_off(&work->turn, now_ms(kc));
    }
}

/* The only place, besides call_cancel, where the call becomes done. */
static void finish(struct kernel_call *kc, enum call_outcome outcome)
{
    kc->call.state = CALL_DONE;
    kc->call.outcome = outcome;
    loop_timer_cancel(kc->loop, &kc->timer);
}

/* What may be late now, and when it is. INT64_MAX: nothing. */
static int64_t next_deadline(struct kernel_call *kc, enum call_outcome *ret_outcome)
{
    int64_t other = INT64_MAX;
    enum call_outcome other_outcome = CALL_FIRST_TOKEN_TIMEOUT;
    if (kc->call.first_byte_us == 0) {
        other = kc->first_token_due_ms;
    } else if (kc->idle_ms > 0) {
        (void)pthread_mutex_lock(&kc->work->lock);
        bool is_blocked = kc->work->is_blocked;
        (void)pthread_mutex_unlock(&kc->work->lock);
        /* While the kernel waits for the client it is not the kernel that is slow. */
        other = (is_blocked ? now_ms(kc) : kc->last_byte_ms) + kc->idle_ms;
        other_outcome = CALL_IDLE_TIMEOUT;
    }
    *ret_outcome = other < kc->total_due_ms ? other_outcome : CALL_TOTAL_TIMEOUT;
    return other < kc->total_due_ms ? other : kc->total_due_ms;
}

static void on_deadline(struct loop_timer *timer)
{
    struct kernel_call *kc = CONTAINER_OF(timer, struct kernel_call, timer);
    enum call_outcome outcome;
    int64_t due = next_deadline(kc, &outcome);
    if (due > now_ms(kc) &&
        (due == INT64_MAX || loop_timer_set(kc->loop, &kc->timer, due) == ST_OK)) {
        return;
    }
    stop_work(kc);
    finish(kc, outcome);
    kc->call.request.wake(kc->call.request.owner);
}

static enum status set_timer(struct kernel_call *kc)
{
    enum call_outcome outcome;
    int64_t due = next_deadline(kc, &outcome);
    return due == INT64_MAX ? ST_OK : loop_timer_set(kc->loop, &kc->timer, due);
}

/* Under the lock: moves what the pool's side has made into the call. */
static enum status take_bytes(struct kernel_call *kc, struct work *work)
{
    struct call *call = &kc->call;
    enum status st = ST_OK;
    if (work->outbox.len > 0) {
        int64_t now_us = clock_now_us(loop_clock(kc->loop));
        kc->reply_bytes -= (int64_t)work->outbox.len;
        if (kc->reply_bytes < 0) {
            return ST_TOO_BIG;
        }
        call->first_byte_us = call->first_byte_us == 0 ? now_us : call->first_byte_us;
        kc->last_byte_ms = now_us / 1000;
        if (call->in.len == 0) {
            struct buf empty = call->in;
            call->in = work->outbox;
            work->outbox = empty;
            buf_reset(&work->outbox);
        } else {
            st = buf_append(&call->in, buf_str(&work->outbox));
            buf_reset(&work->outbox);
        }
    }
    work->waiting_bytes = call->in.len;
    return st;
}

static void begin_reply(struct call *call, const struct work *work)
{
    call->state = CALL_STREAMING;
    call->http_status = work->http_status;
    call->is_event_stream = work->is_event_stream;
    call->content_type = work->is_event_stream ? STR("text/event-stream") : STR("application/json");
    call->retry_after_s = work->retry_after_s;
}

/* Runs on the loop once per post. */
static void on_posted(struct loop_task *task)
{
    struct work *work = CONTAINER_OF(task, struct work, posted);
    struct kernel_call *kc = work->owner;
    bool is_first = kc != NULL && kc->call.first_byte_us == 0;
    (void)pthread_mutex_lock(&work->lock);
    work->is_posted = false;
    bool is_live = kc != NULL && kc->call.state != CALL_DONE;
    enum status st = is_live ? take_bytes(kc, work) : ST_OK;
    if (is_live && work->has_head && kc->call.state == CALL_WAITING) {
        begin_reply(&kc->call, work);
    }
    bool is_done = work->is_done;
    enum call_outcome outcome = work->outcome;
    (void)pthread_mutex_unlock(&work->lock);
    if (is_live) {
        if (st == ST_OK && is_first && !is_done) {
            st = set_timer(kc); /* from now on it is the idle time that counts */
        }
        if (st != ST_OK) {
            stop_work(kc);
            finish(kc, st == ST_TOO_BIG ? CALL_TOO_BIG : CALL_NO_MEMORY);
        } else if (is_done) {
            finish(kc, outcome);
        }
        kc->call.request.wake(kc->call.request.owner);
    }
    unref(work);
}

static void consumed(struct call *call)
{
    struct kernel_call *kc = kernel_call_of(call);
    struct work *work = kc->work;
    (void)pthread_mutex_lock(&work->lock);
    work->waiting_bytes = call->in.len;
    if (work->is_blocked &&
        work->outbox.len + work->waiting_bytes <= (size_t)CALL_IN_PAUSE_BYTES / 2) {
        kc->last_byte_ms = now_ms(kc);
        (void)pthread_cond_broadcast(&work->changed);
    }
    (void)pthread_mutex_unlock(&work->lock);
}

static void cancel(struct call *call)
{
    struct kernel_call *kc = kernel_call_of(call);
    stop_work(kc);
    loop_timer_cancel(kc->loop, &kc->timer);
}

static void destroy(struct call *call)
{
    struct kernel_call *kc = kernel_call_of(call);
    kc->work->owner = NULL;
    unref(kc->work);
    buf_fini(&call->in);
    mem_free(kc);
}

static const struct call_kind kernel_kind = {consumed, cancel, destroy};

static void copy_text(char **at, struct str text, struct str *ret_copy)
{
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    *ret_copy = (struct str){*at, text.len};
    *at += text.len;
}

static struct work *create_work(struct kernel_pool *pool, struct loop *loop,
                                const struct call_request *request,
                                const struct kernel_call_options *options)
{
    struct str body = request->body;
    struct work *work = mem_alloc(sizeof *work + body.len + options->model.len);
    if (work == NULL) {
        return NULL;
    }
    memset(work, 0, sizeof *work);
    char *at = (char *)work + sizeof *work;
    copy_text(&at, body, &work->body);
    copy_text(&at, options->model, &work->reply.model);
    kernel_reply_init(&work->reply, kernel_pool_next_id(pool), clock_wall_s());
    work->job.run = run_work;
    work->posted.run = on_posted;
    work->loop = loop;
    work->is_embedding = request->is_embedding;
    work->kernel = options->kernel;
    kernel_ref(work->kernel);
    kernel_set_turn(work->kernel, &work->turn);
    work->users = 2; /* the call and the job */
    work->cancel_fd = -1;
    work->retry_after_s = -1;
    buf_init(&work->outbox, REPLY_MAX_BYTES);
    pthread_condattr_t monotonic; /* none of these can fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return work;
}

static enum status add_fd(struct work *work)
{
    if (kernel_is_child(work->kernel)) {
        work->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return work->cancel_fd >= 0 ? ST_OK : ST_NO_MEMORY;
    }
    return ST_OK;
}

static int64_t due_after(int64_t now, int64_t ms)
{
    return ms > 0 ? now + ms : INT64_MAX;
}

/* Named after the header that promises it: callers see nothing of this file. */
enum status kernel_pool_call(struct kernel_pool *pool, struct loop *loop,
                             const struct call_request *request,
                             const struct kernel_call_options *options, struct call **ret_call)
{
    if (kernel_is_stuck(options->kernel)) {
        return ST_TOO_BIG;
    }
    struct kernel_call *kc = mem_zalloc(1, sizeof *kc);
    if (kc == NULL) {
        return ST_NO_MEMORY;
    }
    kc->work = create_work(pool, loop, request, options);
    if (kc->work == NULL) {
        mem_free(kc);
        return ST_NO_MEMORY;
    }
    kc->work->owner = kc;
    kc->pool = kernel_own_pool(options->kernel);
    if (kc->pool == NULL) {
        kc->pool = kernel_threads(options->kernel) > 0 ? kernel_pool_slow(pool) : pool;
    }
    kc->loop = loop;
    kc->timer.on_due = on_deadline;
    kc->call.kind = &kernel_kind;
    kc->call.retry_after_s = -1;
    kc->call.request = *request;
    kc->call.started_us = clock_now_us(loop_clock(loop));
    buf_init(&kc->call.in, REPLY_MAX_BYTES);
    int64_t started_ms = kc->call.started_us / 1000;
    kc->first_token_due_ms = due_after(started_ms, options->first_token_ms);
    kc->total_due_ms = due_after(started_ms, options->total_ms);
    kc->idle_ms = options->idle_ms;
    kc->reply_bytes = options->reply_bytes > 0 ? options->reply_bytes : INT64_MAX;
    if (options->total_ms > 0) {
        kc->work->deadline_ns = (uint64_t)kc->total_due_ms * 1000000U;
    }
    enum status st = set_timer(kc);
    if (st == ST_OK) {
        st = add_fd(kc->work);
    }
    if (st == ST_OK) {
        st = kernel_pool_push(kc->pool, &kc->work->job);
    }
    if (st != ST_OK) {
        loop_timer_cancel(loop, &kc->timer);
        unref(kc->work); /* the job that never was */
        destroy(&kc->call);
        return st;
    }
    *ret_call = &kc->call;
    return ST_OK;
}
