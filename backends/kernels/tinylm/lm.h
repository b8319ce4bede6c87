/* A language model of llama's architecture (and Qwen 2's) over a GGUF file: its sizes, its weights,
 * which stay in the mapped file, and its vocabulary. Computes nothing: lm_session does. Immutable
 * after lm_open; any number of sessions on any threads share one.
 *
 * Layer l, for the state x of one token (n = embedding, h = heads, g = heads of keys and values):
 *   a = rms(x) * attn_norm;  q = Wq a (h * head), k = Wk a, v = Wv a (g * head);  rope(q), rope(k)
 *   x = x + Wo attention(q, all k, all v);  b = rms(x) * ffn_norm
 *   x = x + Wdown (silu(Wgate b) * (Wup b));  after the last layer: logits = Wout (rms(x) * norm) */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/tinylm/dot.h"
#include "backends/kernels/tinylm/vocab.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    LM_CONTEXT_MAX = 1 << 20,
    LM_LAYERS_MAX = 512,
    LM_WIDTH_MAX = 1 << 18, /* of any vector but the logits */
    LM_HEADS_MAX = 1024,
    LM_HEAD_MAX = 1024,
};

struct lm_matrix { /* rows of `cols` weights */
    const char *data;
    const struct dot_kind *kind;
    size_t rows;
    size_t cols;
    size_t row_bytes;
};

struct lm_layer { /* biases are NULL where the model has none */
    const float *attn_norm;
    const float *ffn_norm;
    const float *q_bias;
    const float *k_bias;
    const float *v_bias;
    struct lm_matrix q, k, v, out;
    struct lm_matrix gate, up, down;
};

struct lm_shape {
    size_t layers;
    size_t width;  /* embedding */
    size_t hidden; /* feed-forward */
    size_t heads;
    size_t kv_heads;
    size_t head;    /* width of one head */
    size_t rotary;  /* of them, how many are rotated; even */
    size_t context; /* what the model was trained for */
    size_t vocabulary;
    float epsilon;
    float rope_base;
    float rope_scale;    /* positions are multiplied by it */
    bool rotates_halves; /* "neox": i with i + rotary / 2; else 2i with 2i + 1 */
};

struct lm { /* all members read-only to callers */
    struct lm_shape shape;
    const struct dot_ops *ops;
    struct vocab *vocab;
    struct lm_matrix embedding;
    struct lm_matrix output; /* the embedding again where the file has no other */
    const float *output_norm;
    const float *rope_factors; /* rotary / 2, or NULL: frequencies are divided by them */
    struct lm_layer *layers;
    struct str chat_template; /* tokenizer.chat_template, or empty */
    struct str name;          /* general.name, or empty */
    size_t file_bytes;
    struct gguf gguf;
    struct arena *arena;
    struct str bytes; /* the map */
};

/* Bytes: what a model costs. weights: the mapped file, shared by all sessions and with the page
 * cache; session: of each session, of which kv, `context` tokens long, is touched as it fills. */
struct lm_cost {
    size_t weights_bytes;
    size_t session_bytes;
    size_t kv_bytes;
};

/* Maps and checks a file: every tensor that the model needs must be there with the right shape, and
 * none that is not known. Mistakes go to diags: ST_INVALID. ST_IO, ST_NO_MEMORY. */
MUST_CHECK enum status lm_open(const char *path, struct diags *diags, struct lm **ret_lm);

/* The same for bytes in memory, which must outlive the model and are aligned for any object. */
MUST_CHECK enum status lm_read(struct str bytes, struct str name, struct diags *diags,
                               struct lm **ret_lm);
void lm_destroy(struct lm *lm); /* NULL allowed */

/* Computes with the plain functions from now on: for tests and measurements. No session may be in
 * use. */
void lm_use_plain(struct lm *lm);

/* What sessions of `context` tokens cost; known without making one. */
struct lm_cost lm_cost(const struct lm *lm, size_t context);
