/* An expert: a model that can answer, as the configuration describes it. Immutable after
 * expert_build; owned by the snapshot (which outlives every call). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/caching.h"
#include "backends/edits.h"
#include "backends/expert_tls.h"
#include "backends/limits.h"
#include "backends/process_spec.h"
#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"

struct kernel;
struct managed;
struct kernel_builtin;

enum expert_locality {
    EXPERT_LOCAL,
    EXPERT_REMOTE,
    EXPERT_LOCALITY_UNSET, /* kernels are local, remote endpoints remote */
};

enum expert_capability { /* bits */
    EXPERT_TOOLS = 1,
    EXPERT_JSON = 2,
    EXPERT_VISION = 4,
    EXPERT_AUDIO = 8,
    EXPERT_EMBED = 16, /* never unless it says so */
};

struct expert_price { /* nano-USD per million tokens */
    int64_t input;
    int64_t output;
    int64_t cached_input;
    int64_t reasoning;
    bool is_set; /* it was written down, an explicit zero too; kernels cost nothing unless it was */
};

struct expert_tokens {
    int64_t prompt;
    int64_t cached; /* of the prompt */
    int64_t completion;
    int64_t reasoning; /* of the completion */
};

enum {
    EXPERT_COST_UNKNOWN = -1
};

struct expert_params { /* billions of parameters */
    double total;
    double active;
};

struct expert_deadlines { /* ms */
    int64_t connect_ms;
    int64_t first_token_ms;
    int64_t idle_ms;
    int64_t total_ms;
};

struct expert_kernel {                    /* the `kernel:` key, between decode and build */
    const struct kernel_builtin *builtin; /* NULL: a file, or nothing */
    const struct yaml_node *options;      /* of a built-in; of a file: the whole block */
    bool is_file;
};

struct expert {
    struct key_id id; /* its name */
    struct str url;   /* of the API's root, e.g. https://med.example/v1; empty for kernels */
    struct expert_kernel kernel_spec;
    struct process_spec process_spec; /* without argv: it is not managed */
    int dialect;                      /* index: openai */
    struct str model;                 /* what the upstream calls it; empty: the expert's name */
    struct str key;
    struct str key_file;              /* what stands in it becomes the key */
    struct key_texts forward_headers; /* names, of the client's that it gets */
    struct expert_tls tls;
    int locality; /* enum expert_locality */
    struct expert_price price;
    int64_t context_tokens; /* 0: not known */
    struct key_texts capability_names;
    struct str space;           /* of its embeddings; "": like nobody else's */
    struct key_texts languages; /* ISO 639-1 codes; none: all */
    struct expert_params params_b;
    struct expert_deadlines deadlines;
    int64_t reply_bytes;
    struct str title;   /* for people: what it is good at */
    struct edits edits; /* of the bodies that it gets */
    struct caching caching;
    struct limits limits;

    /* set by expert_build */
    size_t index;          /* among the experts of its snapshot */
    uint64_t serial;       /* unique in the process, never reused */
    unsigned capabilities; /* bits; all but EMBED set when capability_names is absent */
    bool declares_capabilities;
    struct kernel *kernel;   /* NULL for remote experts */
    struct managed *managed; /* of a managed one in a running server, a reference; else NULL */
    bool is_near;            /* http1.h serves its url, else libcurl */
};

extern const struct keys expert_keys;

/* Checks what single keys cannot (url or kernel, not both, a well-formed http(s) URL), fills the
 * derived members, creates the kernel; of a trial (reader->trial) it reads no secrets or certificates
 * and makes no kernel: `kernel` stays NULL. Mistakes go to reader->diags with ST_INVALID; ST_NO_MEMORY.
 * `file` is for messages. */
MUST_CHECK enum status expert_build(struct expert *e, size_t index, struct key_reader *reader,
                                    struct str file);

/* Destroys the kernel and lets go of certificates, if any. The rest lives in the arena. */
void expert_fini(struct expert *e);

/* A number that no expert, nor start of one's process, has had. Any thread. */
uint64_t expert_serial(void);

bool expert_is_managed(const struct expert *e);
bool expert_is_local(const struct expert *e);

/* What tokens cost here, rounded up to a nano-USD; at most INT64_MAX. EXPERT_COST_UNKNOWN where no
 * price was written down. Parts that exceed their whole count as the whole. */
int64_t expert_cost_nano_usd(const struct expert *e, const struct expert_tokens *tokens);

/* What they cost at most, however many of them are cached or reasoning. */
int64_t expert_cost_at_most(const struct expert *e, int64_t prompt, int64_t completion);
