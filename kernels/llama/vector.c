/* See vector.h. */
#include "kernels/llama/vector.h"

#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel.h"
#include "base/mem.h"

enum {
    SPARE_TOKENS = 8, /* that a vocabulary puts around a text */
};

struct ids { /* of the text */
    int32_t *at;
    size_t count;
};

static enum ek_status refuse(size_t most, size_t tokens, struct ek_error *ret_error)
{
    (void)snprintf(ret_error->code, sizeof ret_error->code, "context_length_exceeded");
    (void)snprintf(ret_error->option, sizeof ret_error->option, "input");
    return kernel_fail(ret_error, EK_TOO_LONG,
                       "This model's maximum context length is %zu tokens. However, a text of your "
                       "input has at least %zu.",
                       most, tokens);
}

/* What clients wrote never becomes a control token. */
static enum ek_status tokenize(const struct engine *e, struct ek_text text, size_t most,
                               struct ids *ret_ids, struct ek_error *ret_error)
{
    size_t least = text.len / e->longest_token;
    size_t room = text.len + SPARE_TOKENS;
    if (least > most) {
        return refuse(most, least, ret_error);
    }
    ret_ids->at = mem_zalloc(room, sizeof *ret_ids->at);
    if (ret_ids->at == NULL || room > INT32_MAX) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the tokens");
    }
    int32_t n = llama_tokenize(e->vocab, text.ptr, (int32_t)text.len, ret_ids->at, (int32_t)room,
                               true, false);
    if (n <= 0) {
        return kernel_fail(ret_error, EK_BAD_REQUEST, "the model's vocabulary cannot write a text");
    }
    ret_ids->count = (size_t)n;
    return ret_ids->count > most ? refuse(most, ret_ids->count, ret_error) : EK_OK;
}

static bool add(const float *state, size_t width, float *sum)
{
    for (size_t i = 0; state != NULL && i < width; i++) {
        sum[i] += state[i];
    }
    return state != NULL;
}

static enum ek_status normalise(float *vector, size_t width, struct ek_error *ret_error)
{
    double squares = 0;
    for (size_t i = 0; i < width; i++) {
        squares += (double)vector[i] * (double)vector[i];
    }
    double length = sqrt(squares);
    if (!(length > 0) || !isfinite(length)) {
        return kernel_fail(ret_error, EK_FAILED, "the model computes no numbers");
    }
    for (size_t i = 0; i < width; i++) {
        vector[i] = (float)((double)vector[i] / length);
    }
    return EK_OK;
}

/* Reads the text and adds up what the model gives. */
static enum ek_status read(struct engine *e, const struct ids *ids, size_t width, float *sum,
                           struct ek_error *ret_error)
{
    bool is_pooled = llama_pooling_type(e->llama) != LLAMA_POOLING_TYPE_NONE;
    for (size_t done = 0; done < ids->count;) {
        size_t left = ids->count - done;
        size_t n = left < ENGINE_BATCH_TOKENS ? left : ENGINE_BATCH_TOKENS;
        enum ek_status status = engine_feed(e, ids->at + done, n, ret_error);
        if (status != EK_OK) {
            return status;
        }
        bool is_there = true;
        for (size_t i = 0; i < n && !is_pooled; i++) {
            is_there = add(llama_get_embeddings_ith(e->llama, (int32_t)i), width, sum) && is_there;
        }
        is_there = is_pooled ? add(llama_get_embeddings_seq(e->llama, 0), width, sum) : is_there;
        if (!is_there) {
            return kernel_fail(ret_error, EK_FAILED, "libllama gives no vector for this model");
        }
        done += n;
    }
    return EK_OK;
}

static enum ek_status run(struct engine *e, const struct ids *ids, struct ek_vectors *v,
                          struct ek_error *ret_error)
{
    bool is_whole = ek_vectors_is_whole(v) != 0;
    const struct ek_request watched = {.size = sizeof watched,
                                       .deadline_ns = is_whole ? v->deadline_ns : 0,
                                       .cancel = is_whole ? v->cancel : NULL};
    memset(v->values, 0, v->width * sizeof *v->values);
    e->request = &watched; /* for the abort callback */
    engine_forget(e);
    llama_set_embeddings(e->llama, true);
    enum ek_status status = read(e, ids, v->width, v->values, ret_error);
    llama_set_embeddings(e->llama, false);
    engine_forget(e);
    e->request = NULL;
    return status == EK_OK ? normalise(v->values, v->width, ret_error) : status;
}

enum ek_status vector_make(struct engine *e, struct ek_text text, struct ek_vectors *ret_vectors,
                           struct ek_error *ret_error)
{
    struct ek_vectors *v = ret_vectors;
    bool is_pooled = llama_pooling_type(e->llama) != LLAMA_POOLING_TYPE_NONE;
    size_t most = is_pooled && e->context > ENGINE_BATCH_TOKENS ? ENGINE_BATCH_TOKENS : e->context;
    struct ids ids = {NULL, 0};
    v->width = (size_t)llama_model_n_embd_out(e->model);
    if (ek_vectors_is_whole(v) && v->dimensions > 0 && v->dimensions != v->width) {
        return kernel_refuse_dimensions(ret_error, v->width, false);
    }
    enum ek_status status = v->width > v->capacity ? EK_TOO_LONG : EK_OK;
    if (status == EK_OK) {
        status = tokenize(e, text, most, &ids, ret_error);
    }
    if (status == EK_OK) {
        status = run(e, &ids, v, ret_error);
    }
    if (ek_vectors_is_whole(v)) {
        v->tokens = (int64_t)ids.count;
    }
    mem_free(ids.at);
    return status;
}
