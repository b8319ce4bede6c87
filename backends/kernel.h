/* Kernels as the gateway has them: an instance behind the interface of kernel_abi.h, and what every
 * user of one needs. The chat API around a kernel is kernel_call.c's part.
 *
 * The built-in kernels are the rows of a table. They speak the same interface as shared objects do;
 * what they have besides is a key table, so that their options are documented and mistakes are shown
 * where they stand. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernel_abi.h"
#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"
#include "base/yaml.h"

struct kernel_builtin {
    const char *name;        /* the key under `kernel:`, e.g. "lookup" */
    const char *sentence;    /* what it is, for the docs */
    const struct keys *keys; /* its options */
    const struct ek_kernel *abi;
    size_t threads; /* see kernel_threads */
    const char *
        parallel; /* the option (KEY_INT) that says how many answers it writes at once; NULL: none */
    const char *list_key; /* a list instead of a block means this key; NULL: none */
};

/* The n-th of them; NULL: there are no more. */
const struct kernel_builtin *kernel_builtin(size_t n);

/* Makes a built-in of a layer above known, as the last one: before the first configuration is read, once
 * for the life of the process. Any thread. */
void kernel_lend(const struct kernel_builtin *builtin);

struct kernel;

/* Makes a kernel from the options under its name (NULL: none; a scalar: the first option, if that must be
 * given). Mistakes go to reader->diags with
 * ST_INVALID; ST_NO_MEMORY. For a trial the options are checked as far as their table goes, and *ret_kernel
 * becomes NULL. Keeps nothing of the configuration. The caller holds one reference. */
MUST_CHECK enum status kernel_create(const struct kernel_builtin *builtin,
                                     struct key_reader *reader, const struct yaml_node *options,
                                     struct kernel **ret_kernel);

struct kernel_pool;

/* What kernel_abi.h shows of a request, and what only the host knows. */
struct kernel_request {
    struct ek_request ek;
    size_t thread; /* of the pool, on which the caller is */
    int cancel_fd; /* readable once it is cancelled; -1: not needed, or never */
};

/* The kernel's own threads, where calls must run; NULL: any threads. */
struct kernel_pool *kernel_own_pool(const struct kernel *kernel);

/* Threads that compute while it answers, for kernel_turn.h; 0: it answers at once. */
size_t kernel_threads(const struct kernel *kernel);

enum {
    KERNEL_GRACE_MS = 10000, /* for a call to return once it is called off; kernel_turn.h */
};

struct kernel_turn;

/* Sets what a turn of an answer begins with; the rest is zero. */
void kernel_set_turn(struct kernel *kernel, struct kernel_turn *ret_turn);

/* Whether a call that was called off has not returned for too long: it gets no others meanwhile. */
bool kernel_is_stuck(const struct kernel *kernel);

/* Whether it lives in a child process; generate wants a cancel_fd then. */
bool kernel_is_child(const struct kernel *kernel);

/* Around an instance that there is already, which the kernel takes. NULL: no memory, nothing taken. */
struct kernel *kernel_wrap(const struct ek_kernel *abi, struct ek_instance *instance);

/* From any thread. The last unref destroys; NULL allowed. */
void kernel_ref(struct kernel *kernel);
void kernel_unref(struct kernel *kernel);

/* enum ek_capability. */
uint32_t kernel_capabilities(const struct kernel *kernel);

/* Answers, on the calling thread. Fills *ret_result, or *ret_error where it does not return EK_OK. */
MUST_CHECK enum ek_status kernel_generate(struct kernel *kernel,
                                          const struct kernel_request *request,
                                          const struct ek_sink *sink, struct ek_result *ret_result,
                                          struct ek_error *ret_error);

enum {
    KERNEL_WIDTH_MAX = 12288, /* numbers of a vector: a frame of kernel_frame.h holds so many */
};

/* What kernel_abi.h shows of vectors to make, and what only the host knows. */
struct kernel_vectors {
    struct ek_vectors ek;
    size_t thread; /* of the pool, on which the caller is */
    int cancel_fd; /* as in struct kernel_request */
};

/* Makes the vector of one text, on the calling thread: vectors->ek comes with values, capacity and what is
 * asked for. On EK_OK all numbers are finite and the width is the one asked for, else *ret_error is filled. */
MUST_CHECK enum ek_status kernel_embed(struct kernel *kernel, struct kernel_vectors *vectors,
                                       struct str text, struct ek_error *ret_error);

/* Tokens of a text as the kernel counts them, or roughly where it does not. */
int64_t kernel_count(struct kernel *kernel, size_t thread, struct str text);

/* What only built-ins may put into ek_result.finish: replies that are wrong on purpose. */
enum kernel_finish {
    KERNEL_FINISH_NO_DONE = 0x100, /* the end of the reply is left away */
    KERNEL_FINISH_MALFORMED,       /* what is no JSON, and then an end */
};

/* ---- for kernels ---- */

static inline struct str kernel_str(struct ek_text text)
{
    return (struct str){text.ptr, text.len};
}

static inline struct ek_text kernel_text(struct str text)
{
    return (struct ek_text){text.ptr, text.len};
}

/* The struct ek_info of a built-in: a literal and enum ek_capability. */
#define KERNEL_FACTS(label, can)                                                                   \
    {                                                                                              \
        .size = sizeof(struct ek_info), .capabilities = (can), .name = STR_INIT(label),            \
        .version = STR_INIT("1"), .license = STR_INIT("Apache-2.0"),                               \
    }

/* Text of the last message whose role is "user", or the empty string. */
struct str kernel_last_question(const struct ek_request *request);

/* Hands a text to the sink: EK_OK, or EK_CANCELLED. */
MUST_CHECK enum ek_status kernel_say(const struct ek_sink *sink, struct str text);

/* Fills *ret_error; returns `status`. */
enum ek_status kernel_fail(struct ek_error *ret_error, enum ek_status status, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));

/* EK_UNSUPPORTED: vectors have this width and no other; or, with `shortens`, none that is higher. */
enum ek_status kernel_refuse_dimensions(struct ek_error *ret_error, size_t width, bool shortens);

/* Scratch memory for create. NULL with *ret_error. */
struct arena *kernel_arena(struct ek_error *ret_error);

/* Decodes the options of a built-in by its key table into *ret (keys->size bytes), which borrows from
 * the arena. EK_BAD_CONFIG, EK_NO_MEMORY with *ret_error. */
MUST_CHECK enum ek_status kernel_decode(const struct ek_config *config, const struct keys *keys,
                                        struct arena *arena, void *ret, struct ek_error *ret_error);

/* The create of a built-in: decodes its options by its key table, and lets `build` make the instance of
 * them. What they borrow and the arena are there only meanwhile. On success *ret_instance is the caller's.
 * The statuses of kernel_decode and of build. */
MUST_CHECK enum ek_status
kernel_make(const struct ek_config *config, const struct keys *keys,
            enum ek_status (*build)(const void *options, struct arena *arena,
                                    struct ek_instance **ret_instance, struct ek_error *ret_error),
            struct ek_instance **ret_instance, struct ek_error *ret_error);

/* ---- counting ---- */

/* A rough count of tokens in English-like text: the larger of words * 4 / 3 and bytes / 4, rounded up.
 * Used where no tokenizer is known; marked as an estimate by whoever shows it. */
int64_t kernel_count_tokens(struct str text);

/* The same for text that comes in pieces. Zero-initialise. */
struct kernel_tally {
    size_t words;
    size_t bytes;
    bool is_in_word;
};

void kernel_tally_add(struct kernel_tally *tally, struct str text);
int64_t kernel_tally_tokens(const struct kernel_tally *tally);
