/* See kernel_host.h.
 *
 *   main thread                               reading thread
 *   -----------                               --------------
 *   HELLO, jail, load, create, self-test
 *   READY or REFUSED                          REQUEST, EMBED -> mailbox
 *   mailbox -> generate -> PIECE ..., DONE    CANCEL  -> the flag
 *           -> embed -> VECTOR, DONE
 *                                             end of the stream -> the process ends */
#include "backends/kernel_host.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/kernel.h"
#include "backends/kernel_file.h"
#include "backends/kernel_frame.h"
#include "backends/kernel_jail.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    EXIT_PROTOCOL = 3, /* the gateway does not speak as it should */
    EXIT_JAIL = 4,
    EXIT_REFUSED = 5,
    READ_BYTES = 64 * 1024,
    PIECE_BYTES = 32 * 1024,
    ARENA_BLOCK_BYTES = 16 * 1024,
    LOG_LINE_BYTES = 1000,
};

struct host {
    int fd;
    struct buf in;  /* reading side only */
    struct buf out; /* main thread only */
    struct arena *arena;
    float *values; /* KERNEL_WIDTH_MAX; NULL until the first text */
    struct ek_kernel abi;
    struct ek_instance *instance;
    uint16_t answering; /* main thread: the call whose pieces are sent */
    ek_flag cancel;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct buf mailbox;          /* payload of the next request */
    enum kernel_frame_type type; /* what it is */
    uint16_t call;               /* the latest request */
    bool has_request;
};

/* ---- input and output ---- */

static bool write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes = str_slice(bytes, n > 0 ? (size_t)n : 0, bytes.len);
    }
    return true;
}

/* Sends what `out` has; without a gateway there is nothing left to do. */
static void send_out(struct host *h, enum status st)
{
    if (st != ST_OK || !write_all(h->fd, buf_str(&h->out))) {
        _exit(0);
    }
    buf_reset(&h->out);
}

/* Reads until a whole frame is there; ends the process with the stream. */
static struct kernel_frame next_frame(struct host *h, size_t *ret_len)
{
    struct kernel_frame frame;
    for (;;) {
        enum status st =
            kernel_frame_read(buf_str(&h->in), KERNEL_FRAME_TO_HOST_MAX, &frame, ret_len);
        if (st == ST_OK) {
            return frame;
        }
        char *room = st == ST_NOT_FOUND ? buf_reserve(&h->in, READ_BYTES) : NULL;
        if (room == NULL) {
            _exit(EXIT_PROTOCOL);
        }
        ssize_t n = read(h->fd, room, READ_BYTES);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            _exit(0);
        }
        buf_commit(&h->in, n > 0 ? (size_t)n : 0);
    }
}

static void take_request(struct host *h, const struct kernel_frame *frame)
{
    (void)pthread_mutex_lock(&h->lock);
    if (h->has_request || buf_append(&h->mailbox, frame->payload) != ST_OK) {
        _exit(EXIT_PROTOCOL);
    }
    h->has_request = true;
    h->type = frame->type;
    h->call = frame->call;
    h->cancel = 0;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static void take_cancel(struct host *h, const struct kernel_frame *frame)
{
    (void)pthread_mutex_lock(&h->lock);
    if (frame->call == h->call) {
        h->cancel = 1;
        (void)pthread_cond_broadcast(&h->changed);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static void *read_frames(void *arg)
{
    struct host *h = arg;
    for (;;) {
        size_t len = 0;
        struct kernel_frame frame = next_frame(h, &len);
        if (frame.type == KERNEL_FRAME_REQUEST || frame.type == KERNEL_FRAME_EMBED) {
            take_request(h, &frame);
        } else if (frame.type == KERNEL_FRAME_CANCEL) {
            take_cancel(h, &frame);
        } else {
            _exit(EXIT_PROTOCOL);
        }
        buf_consume(&h->in, len);
    }
    return NULL;
}

/* ---- what the kernel is lent ---- */

static void on_log(struct ek_text line)
{
    char text[LOG_LINE_BYTES];
    struct str cut = utf8_truncate(kernel_str(line), sizeof text - 2);
    int len = snprintf(text, sizeof text, "%.*s\n", STR_ARG(cut));
    (void)!write(STDERR_FILENO, text, len > 0 ? (size_t)len : 0); /* a full pipe loses lines */
}

static const struct ek_host services = {
    .size = sizeof services,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .log = on_log,
    .now_ns = clock_now_ns,
};

static int on_piece(void *ctx, struct ek_text piece)
{
    struct host *h = ctx;
    struct str text = kernel_str(piece);
    while (text.len > 0 && h->cancel == 0) {
        struct str part = utf8_truncate(text, PIECE_BYTES);
        part = part.len == 0 ? str_slice(text, 0, PIECE_BYTES) : part;
        send_out(h, kernel_frame_write(&h->out, KERNEL_FRAME_PIECE, h->answering, part));
        text = str_slice(text, part.len, text.len);
    }
    return h->cancel != 0;
}

static int on_pause(void *ctx, int64_t ms)
{
    struct host *h = ctx;
    struct timespec until = clock_in_ms(ms);
    (void)pthread_mutex_lock(&h->lock);
    int error = 0;
    while (h->cancel == 0 && error != ETIMEDOUT) {
        error = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return h->cancel != 0;
}

/* ---- answering ---- */

/* Usage by the kernel's own tokenizer, where it has one and did not report. */
static void count_prompt(struct host *h, const struct ek_request *request, struct ek_result *result)
{
    uint64_t sum = 0;
    if (result->prompt_tokens >= 0 || h->abi.count == NULL) {
        return;
    }
    for (size_t i = 0; i < request->message_count; i++) {
        uint64_t tokens = 0;
        if (h->abi.count(h->instance, request->messages[i].text, &tokens) != EK_OK) {
            return;
        }
        sum += tokens;
    }
    result->prompt_tokens = (int64_t)(sum & INT64_MAX);
}

static void say_done(struct host *h, struct kernel_done *done)
{
    done->error.message[sizeof done->error.message - 1] = '\0';
    done->error.code[sizeof done->error.code - 1] = '\0';
    done->error.option[sizeof done->error.option - 1] = '\0';
    send_out(h, kernel_frame_write_done(&h->out, h->answering, done));
}

static struct kernel_done nothing_done(void)
{
    return (struct kernel_done){
        .status = EK_NO_MEMORY,
        .result = {.size = sizeof(struct ek_result), .prompt_tokens = -1, .completion_tokens = -1},
        .error = {.size = sizeof(struct ek_error), .retry_after_s = -1},
    };
}

static void generate(struct host *h, struct str payload)
{
    struct ek_request request;
    const struct ek_sink sink = {
        .size = sizeof sink, .ctx = h, .piece = on_piece, .pause = on_pause};
    struct kernel_done done = nothing_done();
    enum status st = kernel_frame_read_request(payload, h->arena, &request);
    if (st == ST_INVALID) {
        _exit(EXIT_PROTOCOL);
    }
    if (st == ST_OK) {
        request.cancel = &h->cancel;
        done.status = h->abi.generate(h->instance, &request, &sink, &done.result, &done.error);
        count_prompt(h, &request, &done.result);
    }
    say_done(h, &done);
    arena_reset(h->arena);
}

static int64_t count_text(struct host *h, struct str text)
{
    uint64_t tokens = 0;
    bool is_counted =
        h->abi.count != NULL && h->abi.count(h->instance, kernel_text(text), &tokens) == EK_OK;
    return is_counted ? (int64_t)(tokens & INT64_MAX) : -1;
}

static void embed(struct host *h, struct str payload)
{
    struct kernel_asked asked;
    struct kernel_done done = nothing_done();
    if (kernel_frame_read_asked(payload, &asked) != ST_OK) {
        _exit(EXIT_PROTOCOL);
    }
    struct ek_vectors v = {.size = sizeof v,
                           .capacity = KERNEL_WIDTH_MAX,
                           .dimensions = (size_t)asked.dimensions,
                           .tokens = -1,
                           .deadline_ns = asked.deadline_ns,
                           .cancel = &h->cancel,
                           .ctx = h,
                           .pause = on_pause};
    const struct ek_text text = kernel_text(asked.text);
    h->values = h->values == NULL ? mem_alloc(KERNEL_WIDTH_MAX * sizeof *h->values) : h->values;
    v.values = h->values;
    if (h->abi.embed == NULL) {
        done.status = EK_UNSUPPORTED;
    } else if (h->values != NULL) {
        done.status = h->abi.embed(h->instance, &text, 1, &v, &done.error);
    }
    if (done.status == EK_OK && (v.width == 0 || v.width > KERNEL_WIDTH_MAX)) {
        done.status = kernel_fail(&done.error, EK_FAILED, "the expert made no vector of numbers");
    }
    if (done.status == EK_OK) {
        struct str numbers = {(const char *)v.values, v.width * sizeof *v.values};
        send_out(h, kernel_frame_write(&h->out, KERNEL_FRAME_VECTOR, h->answering, numbers));
        done.result.prompt_tokens = v.tokens >= 0 ? v.tokens : count_text(h, asked.text);
    }
    say_done(h, &done);
}

static _Noreturn void serve(struct host *h)
{
    struct buf payload;
    buf_init(&payload, KERNEL_FRAME_TO_HOST_MAX);
    for (;;) {
        (void)pthread_mutex_lock(&h->lock);
        while (!h->has_request) {
            (void)pthread_cond_wait(&h->changed, &h->lock);
        }
        struct buf empty = payload;
        payload = h->mailbox;
        h->mailbox = empty;
        h->has_request = false;
        h->answering = h->call;
        bool is_text = h->type == KERNEL_FRAME_EMBED;
        (void)pthread_mutex_unlock(&h->lock);
        if (is_text) {
            embed(h, buf_str(&payload));
        } else {
            generate(h, buf_str(&payload));
        }
        buf_reset(&payload);
    }
}

/* ---- start ---- */

static _Noreturn void refuse(struct host *h, const char *why)
{
    send_out(h, kernel_frame_write(&h->out, KERNEL_FRAME_REFUSED, 0, str_from(why)));
    _exit(EXIT_REFUSED);
}

/* Loads the kernel and makes its instance; says why not and ends the process. */
static void make_instance(struct host *h, const struct kernel_hello *hello, const char *path)
{
    char why[KERNEL_WHY_BYTES];
    struct ek_error error = {.size = sizeof error, .retry_after_s = -1};
    const struct ek_config config = {.size = sizeof config,
                                     .threads = hello->threads,
                                     .options = kernel_text(hello->options),
                                     .folder = kernel_text(hello->folder),
                                     .memory_bytes = hello->memory_bytes};
    if (kernel_file_load(path, &services, &h->abi, why) != ST_OK ||
        kernel_file_fits(&h->abi, &config, why) != ST_OK) {
        refuse(h, why);
    }
    enum ek_status status = h->abi.create(&config, &h->instance, &error);
    if (status == EK_OK && h->abi.self_test != NULL) {
        status = h->abi.self_test(h->instance, &error);
    }
    if (status != EK_OK) {
        error.message[sizeof error.message - 1] = '\0';
        refuse(h, error.message[0] != '\0' ? error.message : "it does not say why it cannot start");
    }
}

static enum status say_ready(struct host *h)
{
    const struct ek_info *info = h->abi.info();
    const struct kernel_ready ready = {KERNEL_FRAME_VERSION, info->capabilities,
                                       kernel_str(info->name), kernel_str(info->version)};
    return kernel_frame_write_ready(&h->out, &ready);
}

/* A crash shall be seen as what it is; sanitizers would make an exit of it. */
static void forget_handlers(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaction(numbers[i], &plain, NULL); /* cannot fail for these */
    }
}

static void init(struct host *h, int fd)
{
    pthread_condattr_t monotonic; /* none of these can fail on Linux */
    *h =
        (struct host){.fd = fd, .arena = arena_create(ARENA_BLOCK_BYTES, KERNEL_FRAME_TO_HOST_MAX)};
    buf_init(&h->in, KERNEL_FRAME_TO_HOST_MAX + READ_BYTES * 2UL);
    buf_init(&h->out, KERNEL_FRAME_TO_GATEWAY_MAX);
    buf_init(&h->mailbox, KERNEL_FRAME_TO_HOST_MAX);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

int kernel_host_run(int fd)
{
    static struct host host; /* the process is this */
    struct kernel_hello hello;
    pthread_t reading;
    size_t len = 0;
    forget_handlers();
    init(&host, fd);
    struct kernel_frame frame = next_frame(&host, &len);
    if (host.arena == NULL || frame.type != KERNEL_FRAME_HELLO ||
        kernel_frame_read_hello(frame.payload, &hello) != ST_OK ||
        hello.version != KERNEL_FRAME_VERSION) {
        return EXIT_PROTOCOL;
    }
    /* The payload goes when the reading thread starts. */
    struct arena *kept = arena_create(ARENA_BLOCK_BYTES, KERNEL_FRAME_TO_HOST_MAX);
    char *path = kept != NULL ? arena_copy_z(kept, hello.file) : NULL;
    hello.options = kept != NULL ? arena_copy(kept, hello.options) : hello.options;
    hello.folder = kept != NULL ? arena_copy(kept, hello.folder) : hello.folder;
    if (path == NULL || hello.options.ptr == NULL || hello.folder.ptr == NULL) {
        return EXIT_PROTOCOL;
    }
    buf_consume(&host.in, len);
    if (kernel_jail_enter(hello.memory_bytes) != ST_OK) {
        return EXIT_JAIL;
    }
    if (pthread_create(&reading, NULL, read_frames, &host) != 0) {
        refuse(&host, "no memory for a thread: the limit is too low");
    }
    make_instance(&host, &hello, path);
    send_out(&host, say_ready(&host));
    serve(&host);
}
