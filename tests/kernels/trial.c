/* A kernel for tests of everything around kernels: does what the last message says, well or badly.
 * Built several times, with TRIAL_… defined, for kernels that are wrong from the start. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backends/kernel_abi.h"

#ifndef TRIAL_MAJOR
#    define TRIAL_MAJOR EK_ABI_MAJOR
#endif
#ifndef TRIAL_MINOR
#    define TRIAL_MINOR EK_ABI_MINOR
#endif
#ifndef TRIAL_CAPABILITIES
#    define TRIAL_CAPABILITIES (EK_CAP_GENERATE | EK_CAP_EMBED | EK_CAP_COUNT)
#endif

enum {
    HOST_SOCKET = 3,
    BOMB_BYTES = 16 * 1024 * 1024,
    ENDLESS_PAUSE_MS = 5,
};

struct ek_instance {         /* one for all: atomic, for several may be in one process */
    _Atomic uint64_t pieces; /* that the sink took in the last answer */
    _Atomic uint64_t late;   /* of these: after the answer had been cancelled */
};

static struct ek_instance only;

#ifdef TRIAL_CRASHES_AT_LOAD
__attribute__((constructor)) static void crash_at_load(void)
{
    abort();
}
#endif

#ifdef TRIAL_LEAVES_A_MARK
/* Where the variable says; so that a test sees whether the file was loaded at all. */
__attribute__((constructor)) static void leave_a_mark(void)
{
    const char *path = getenv("EXPERTD_TRIAL_MARK");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) {
        (void)close(fd);
    }
}
#endif

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    (void)nanosleep(&ms, NULL);
}

static _Noreturn void hang(void)
{
    for (;;) {
        nap();
    }
}

/* Of all instances in the process. */
static atomic_int is_released;

/* Hangs, whatever it is told, until another instance is asked for "release". */
static void be_stuck(void)
{
    while (atomic_load(&is_released) == 0) {
        nap();
    }
    atomic_store(&is_released, 0);
}

static int has(struct ek_text text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static enum ek_status fail(struct ek_error *ret_error, enum ek_status status, const char *why)
{
    (void)snprintf(ret_error->message, sizeof ret_error->message, "%s", why);
    return status;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    if (has(config->options, "\"refuse\"")) {
        (void)snprintf(ret_error->option, sizeof ret_error->option, "say");
        return fail(ret_error, EK_BAD_CONFIG, "it was told to refuse");
    }
    if (has(config->options, "\"hang\"")) {
        hang();
    }
    *ret_instance = &only;
    return EK_OK;
}

static void destroy(struct ek_instance *instance)
{
    (void)instance;
}

static enum ek_status estimate(const struct ek_config *config, struct ek_cost *ret_cost,
                               struct ek_error *ret_error)
{
    (void)ret_error;
    ret_cost->resident_bytes = has(config->options, "\"huge\"") ? (uint64_t)300 << 20 : 1 << 20;
    return EK_OK;
}

static enum ek_status self_test(struct ek_instance *instance, struct ek_error *ret_error)
{
    (void)instance;
    (void)ret_error;
    return EK_OK;
}

/* Whether the environment has anything besides what it should have. */
static int has_secrets(char **env)
{
    return env == NULL || env[0] == NULL || strcmp(env[0], "OMP_WAIT_POLICY=passive") != 0 ||
           env[1] != NULL;
}

static enum ek_status say(const struct ek_sink *sink, const char *text)
{
    struct ek_text piece = {text, strlen(text)};
    if (sink->piece(sink->ctx, piece) != 0) {
        return EK_CANCELLED;
    }
    only.pieces++;
    return EK_OK;
}

/* ---- the bad things ---- */

static void crash(void)
{
    raise(SIGSEGV);
}

/* Takes memory until there is none, then believes that it got some. */
static void bomb(void)
{
    for (;;) {
        char *more =
            mmap(NULL, BOMB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED) {
            crash();
        }
        memset(more, 1, BOMB_BYTES);
    }
}

static void write_garbage(void)
{
    static const char junk[] = "HTTP/1.1 200 OK\r\nthis is no frame at all";
    (void)!write(HOST_SOCKET, junk, sizeof junk);
    hang();
}

static void flood_output(void)
{
    static const char line[] = "a line that nobody reads, and another one after it for ever\n";
    for (int i = 0; i < 100000; i++) {
        (void)!write(STDERR_FILENO, line, sizeof line - 1);
    }
}

/* Tries what a kernel must not do; says what came of it. */
static enum ek_status try_to_break_out(const struct ek_sink *sink)
{
    char text[400];
    char *argv[] = {NULL};
    int sock = socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
    int pair[2];
    int unix_pair = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? errno : 0;
    int exec = execve("/bin/true", argv, argv) < 0 ? errno : 0;
    int make = open("/tmp/expertd-trial", O_CREAT | O_WRONLY, 0600) < 0 ? errno : 0;
    int change = open("/dev/null", O_RDWR) < 0 ? errno : 0;
    pid_t child = fork();
    int forked = child < 0 ? errno : 0;
    if (child == 0) {
        _exit(0);
    }
    struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    int limit = setrlimit(RLIMIT_AS, &more) != 0 ? errno : 0;
    int survive = prctl(PR_SET_PDEATHSIG, 0) != 0 ? errno : 0;
    int read_fd = open("/proc/self/stat", O_RDONLY);
    (void)snprintf(text, sizeof text,
                   "socket=%d socketpair=%d exec=%d create=%d rdwr=%d fork=%d limit=%d prctl=%d "
                   "read=%d env=%d fd4=%d nice=%d",
                   sock, unix_pair, exec, make, change, forked, limit, survive, read_fd >= 0,
                   has_secrets(environ), fcntl(4, F_GETFD) >= 0 && read_fd != 4,
                   prctl(PR_GET_NAME, text) == 0);
    return say(sink, text);
}

/* ---- answering ---- */

static enum ek_status talk_for_ever(const struct ek_request *request, const struct ek_sink *sink)
{
    enum ek_status status = EK_OK;
    while (status == EK_OK) {
        bool is_cancelled = atomic_load(request->cancel) != 0;
        status = say(sink, "and on ");
        only.late += is_cancelled && status == EK_OK ? 1 : 0;
        if (sink->pause(sink->ctx, ENDLESS_PAUSE_MS) != 0) {
            status = EK_CANCELLED;
        }
    }
    return status;
}

/* More than any client has room for. */
static enum ek_status pour(const struct ek_sink *sink)
{
    char much[4096];
    memset(much, 'x', sizeof much);
    enum ek_status status = EK_OK;
    while (status == EK_OK) {
        status =
            sink->piece(sink->ctx, (struct ek_text){much, sizeof much}) == 0 ? EK_OK : EK_CANCELLED;
    }
    return status;
}

static enum ek_status generate(struct ek_instance *instance, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    char text[100];
    struct ek_text order = request->messages[request->message_count - 1].text;
    uint64_t pieces = instance->pieces;
    uint64_t late = instance->late;
    instance->pieces = 0;
    instance->late = 0;
    if (has(order, "first words")) {
        (void)say(sink, "first words ");
    }
    if (has(order, "crash")) {
        crash();
    } else if (has(order, "bomb")) {
        bomb();
    } else if (has(order, "garbage")) {
        write_garbage();
    } else if (has(order, "hang")) {
        hang();
    } else if (has(order, "be stuck")) {
        be_stuck();
    } else if (has(order, "release")) {
        atomic_store(&is_released, 1);
    } else if (has(order, "exit")) {
        _exit(7);
    } else if (has(order, "flood")) {
        flood_output();
    } else if (has(order, "endless")) {
        return talk_for_ever(request, sink);
    } else if (has(order, "torrent")) {
        return pour(sink);
    } else if (has(order, "break out")) {
        return try_to_break_out(sink);
    } else if (has(order, "too long")) {
        return fail(ret_error, EK_TOO_LONG, "longer than 8 tokens");
    } else if (has(order, "pieces")) {
        (void)snprintf(text, sizeof text, "pieces=%s late=%llu pid=%d", pieces > 1 ? "many" : "few",
                       (unsigned long long)late, (int)getpid());
        return say(sink, text);
    }
    ret_result->completion_tokens = 2;
    return say(sink, "as told: ") == EK_OK && sink->piece(sink->ctx, order) == 0 ? EK_OK
                                                                                 : EK_CANCELLED;
}

/* A text as its length and its first byte, or as its length alone. */
static enum ek_status embed(struct ek_instance *instance, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error)
{
    struct ek_text text = texts[0];
    struct ek_vectors *v = ret_vectors;
    (void)instance;
    if (has(text, "crash")) {
        crash();
    } else if (has(text, "garbage")) {
        write_garbage();
    } else if (has(text, "hang")) {
        hang();
    } else if (has(text, "wait")) {
        while (atomic_load(v->cancel) == 0) {
            nap();
        }
        return EK_CANCELLED;
    } else if (has(text, "too long")) {
        (void)snprintf(ret_error->option, sizeof ret_error->option, "input");
        return fail(ret_error, EK_TOO_LONG, "longer than 8 tokens");
    } else if (has(text, "empty")) {
        return EK_OK;
    }
    v->width = v->dimensions == 1 ? 1 : 2;
    v->values[0] = has(text, "nan") ? NAN : (float)text.len;
    v->values[1] = (float)(unsigned char)text.ptr[0];
    v->tokens = has(text, "counted") ? 77 : -1;
    return count == 1 ? EK_OK : EK_FAILED;
}

static enum ek_status count(struct ek_instance *instance, struct ek_text text, uint64_t *ret_tokens)
{
    (void)instance;
    *ret_tokens = text.len; /* a byte, a token: nobody else counts like that */
    return EK_OK;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = {
        .size = sizeof facts,
        .capabilities = TRIAL_CAPABILITIES,
        .name = {"trial", 5},
        .version = {"1", 1},
        .license = {"Apache-2.0", 10},
    };
    return &facts;
}

/* A table of a later minor version is longer than ours. */
static const struct {
    struct ek_kernel now;
    void *later[4];
} table = {
    .now =
        {
#ifdef TRIAL_IS_NEWER
            .size = sizeof table,
#else
            .size = sizeof table.now,
#endif
            .abi_major = TRIAL_MAJOR,
            .abi_minor = TRIAL_MINOR,
            .info = info,
            .estimate = estimate,
            .create = create,
            .destroy = destroy,
            .generate = generate,
            .embed = embed,
            .count = count,
            .self_test = self_test,
        },
};

#ifdef TRIAL_ENTRY
#    define ENTRY TRIAL_ENTRY
#else
#    define ENTRY ek_kernel_entry
#endif

EK_EXPORT const struct ek_kernel *ENTRY(const struct ek_host *host);

EK_EXPORT const struct ek_kernel *ENTRY(const struct ek_host *host)
{
#ifdef TRIAL_WANTS_NO_HOST
    return host == NULL ? &table.now : NULL; /* there always is a host */
#else
    return host->abi_major == EK_ABI_MAJOR ? &table.now : NULL;
#endif
}
