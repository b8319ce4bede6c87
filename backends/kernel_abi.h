/* Expert kernels: the interface between expertd and code that answers prompts, version 1.1.
 *
 * A kernel is a shared object (or a built-in) that exports one function, EK_ENTRY_SYMBOL. expertd
 * speaks the chat API for it: HTTP, JSON, streaming, deadlines, usage, errors. The kernel turns messages
 * into text. This header is all that it needs: C11 or C++11, no library. docs/writing-a-kernel.md is
 * the tutorial, tests/kernel_example/ a whole kernel in seventy lines.
 *
 * VERSIONS. Both sides say EK_ABI_MAJOR and EK_ABI_MINOR. Another major is refused. A newer minor
 * only appends members to structs and values to enums, so older and newer meet: each struct starts with
 * `size`, its size as its maker knows it, and nobody reads or writes beyond the smaller of both
 * sizes. A pointer to a function that a side does not have is NULL or beyond the size. `size`,
 * `abi_major` and `abi_minor` stand where they are for ever, and so do the types without a size.
 *
 * THREADS. An instance belongs to one thread: create, self_test, generate, embed, count, cost and
 * destroy of one instance are called on it, one after another. Several instances are called at once,
 * on a thread each; so what is global in a kernel needs its own lock. info and estimate may be called on
 * any thread at any time. Kernels that say EK_CAP_PARALLEL have one instance that is called by many
 * threads at once. Calls of the sink are made on the thread that runs generate, and not after it
 * returned. `cancel` is written by another thread at any moment.
 *
 * MEMORY. What is handed over is borrowed until the function returns, both ways. What a kernel
 * allocates it frees. Text is UTF-8 and not terminated.
 *
 * FAILURE. Functions return a status; where it is not EK_OK they say why in *ret_error, for people, in
 * lower case and without a full stop. Never write a prompt or a secret into a message: it is logged. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    include <atomic>
typedef std::atomic<uint32_t> ek_flag;
extern "C" {
#else
#    include <stdatomic.h>
typedef _Atomic uint32_t ek_flag;
#endif

#define EK_ABI_MAJOR 1u
#define EK_ABI_MINOR 1u

/* The function that a kernel exports: const struct ek_kernel *ek_kernel_entry(const struct ek_host *) */
#define EK_ENTRY_SYMBOL "ek_kernel_entry"
#define EK_EXPORT       __attribute__((visibility("default")))

struct ek_text { /* never grows */
    const char *ptr;
    size_t len;
};

struct ek_message {      /* never grows */
    struct ek_text role; /* system, developer, user, assistant, tool */
    struct ek_text text; /* the text parts of its content, joined by newlines */
};

enum ek_status { /* and the HTTP status of the reply, where the error names none */
    EK_OK = 0,
    EK_BAD_REQUEST = 1, /* 400: this request cannot be answered by this kernel, ever */
    EK_BAD_CONFIG = 2,  /* create, estimate: the options are wrong */
    EK_NO_MEMORY = 3,   /* 503 */
    EK_BUSY = 4,        /* 503: try again later */
    EK_CANCELLED = 5,   /* the sink or the flag said stop */
    EK_LATE = 6,        /* 504: the deadline passed */
    EK_TOO_LONG = 7,    /* 400 context_length_exceeded */
    EK_UNSUPPORTED = 8, /* 400: the kernel cannot do this kind of thing */
    EK_FAILED = 9,      /* 500 */
};

enum ek_capability { /* bits of ek_info.capabilities */
    EK_CAP_GENERATE = 1u << 0,
    EK_CAP_EMBED = 1u << 1,
    EK_CAP_COUNT = 1u << 2,
    EK_CAP_DETERMINISTIC = 1u << 3, /* the same request and seed give the same text */
    EK_CAP_PARALLEL = 1u << 4,      /* one instance serves many threads at once */
    EK_CAP_REFUSAL = 1u << 5,       /* what it says is why there is no answer */
};

enum ek_finish {
    EK_FINISH_STOP = 0,   /* said all it had to say */
    EK_FINISH_LENGTH = 1, /* cut at max_tokens or at the end of the context */
    EK_FINISH_FILTER = 2, /* held back: "content_filter" */
    EK_FINISH_CUT = 3,    /* broke down inside the answer: the reply is broken off, never ended */
};

struct ek_host { /* lent from the entry function on until the process ends */
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;
    void (*log)(struct ek_text line); /* from any thread; for people who look for a fault */
    uint64_t (*now_ns)(void);         /* the clock of all deadlines: monotonic */
};

struct ek_info { /* static: answered without loading anything */
    uint32_t size;
    uint32_t capabilities; /* enum ek_capability */
    struct ek_text name;
    struct ek_text version;
    struct ek_text license;
};

struct ek_config {
    uint32_t size;
    uint32_t threads;       /* CPU threads that an instance may use besides its own; 0: none */
    struct ek_text options; /* a JSON object: what stands under `options` in the configuration */
    struct ek_text folder;  /* relative paths in options start here */
    uint64_t memory_bytes;  /* ceiling of what the instance may take; 0: none */
};

struct ek_cost { /* estimate: what an instance will take; cost: what it takes now. 0: not known */
    uint32_t size;
    uint32_t is_exact;
    uint64_t resident_bytes;  /* private memory */
    uint64_t shared_bytes;    /* mapped files, once for all instances */
    uint64_t load_bytes;      /* the most while loading */
    uint64_t context_tokens;  /* longest prompt and answer together */
    uint64_t bytes_per_token; /* what a token of context adds */
    uint64_t load_ms;
};

struct ek_error { /* the host gives it with `size` filled and all else empty */
    uint32_t size;
    int32_t http_status;   /* 400-599; 0: by the status */
    int64_t retry_after_s; /* -1: none */
    char message[256];     /* all three are terminated */
    char code[64];         /* for programs, as in "context_length_exceeded"; "": none */
    char option[64];       /* create: the option that is wrong, as in "path" or "faults[2]";
                              embed: the parameter of the request, as in "dimensions" */
};

struct ek_request {
    uint32_t size;
    uint32_t stop_count;
    const struct ek_message *messages;
    size_t message_count;
    const struct ek_text *stop; /* texts that end the answer; they are not part of it */
    int64_t max_tokens;         /* of the answer; 0: none given. EK_CAP_COUNT: keep to it;
                           of other kernels the host cuts by a rough count */
    double temperature;         /* -1: none given, like top_p */
    double top_p;
    uint64_t seed;
    uint32_t has_seed;
    uint32_t reserved;
    uint64_t deadline_ns;  /* by ek_host.now_ns; 0: none */
    const ek_flag *cancel; /* not 0: stop. Look at least once a token and every 50 ms of prompt */
    struct ek_text body;   /* the chat request as it came, for options of the kernel's own */
};

struct ek_sink { /* where an answer goes */
    uint32_t size;
    uint32_t reserved;
    void *ctx;
    /* Hands over whole code points, copied. Waits while the client's queue is full. Not 0: stop, and
     * return EK_CANCELLED (or EK_OK). */
    int (*piece)(void *ctx, struct ek_text piece);
    /* Sleeps. Not 0: stop, as above; it returns early then. */
    int (*pause)(void *ctx, int64_t ms);
};

struct ek_result { /* given with `size` filled, EK_FINISH_STOP and counts of -1 */
    uint32_t size;
    uint32_t finish;       /* enum ek_finish */
    int64_t prompt_tokens; /* -1: the host counts */
    int64_t completion_tokens;
};

struct ek_vectors { /* embed: text i fills values[i * width ...] */
    uint32_t size;
    uint32_t reserved;
    float *values;
    size_t capacity; /* floats that fit */
    size_t width;    /* set by the kernel, also when it says EK_TOO_LONG: they do not fit */
    /* since 1.1 */
    size_t dimensions; /* the width that is asked for; 0: the kernel's own. EK_UNSUPPORTED where it
                              has no such vectors; the host passes no other width on */
    int64_t tokens;    /* of the texts, set by the kernel; given as -1: the host counts */
    uint64_t deadline_ns;  /* as in ek_request, like cancel */
    const ek_flag *cancel; /* not 0: stop and say EK_CANCELLED */
    void *ctx;
    int (*pause)(void *ctx, int64_t ms); /* as in ek_sink */
};

struct ek_instance; /* the kernel's own */

struct
    ek_kernel { /* static; info, create, destroy and generate must be there, the others may be NULL */
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;
    const struct ek_info *(*info)(void);
    /* What an instance would take. Reads no more than the head of a file. */
    enum ek_status (*estimate)(const struct ek_config *config, struct ek_cost *ret_cost,
                               struct ek_error *ret_error);
    /* May take minutes, within the load deadline of the configuration. */
    enum ek_status (*create)(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error);
    void (*destroy)(struct ek_instance *instance); /* no call is under way; NULL is not passed */
    enum ek_status (*generate)(struct ek_instance *instance, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error);
    /* Vectors of texts; numbers that are finite. The host asks for one text at a time. */
    enum ek_status (*embed)(struct ek_instance *instance, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error);
    /* Tokens of a text: for usage, where generate reports none. */
    enum ek_status (*count)(struct ek_instance *instance, struct ek_text text,
                            uint64_t *ret_tokens);
    enum ek_status (*cost)(struct ek_instance *instance, struct ek_cost *ret_cost);
    /* Right after create: does the instance do what it should? Within the load deadline. */
    enum ek_status (*self_test)(struct ek_instance *instance, struct ek_error *ret_error);
};

/* What EK_ENTRY_SYMBOL names. NULL: the kernel does not want this host. */
typedef const struct ek_kernel *(*ek_entry_fn)(const struct ek_host *host);

/* Hosts of version 1.0 say neither when to stop nor what width they want. */
static inline int ek_vectors_is_whole(const struct ek_vectors *vectors)
{
    return vectors->size >= sizeof *vectors;
}

static inline int ek_is_cancelled(const struct ek_request *request)
{
#ifdef __cplusplus
    return request->cancel != nullptr && request->cancel->load() != 0;
#else
    return request->cancel != NULL && atomic_load(request->cancel) != 0;
#endif
}

#ifdef __cplusplus
}
#endif
