/* The body of an embeddings request (OpenAI dialect), read once, strictly, as byte ranges: for the gateway,
 * which passes it on, and for kernels, which answer it. Decodes nothing but the name of the model. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum {
    EMBED_INPUTS_MAX = 2048, /* of one request, as in OpenAI's API */
    EMBED_DIMENSIONS_MAX = 1 << 20,
};

struct embed_input {
    struct str
        raw; /* a string with its quotes, or an array of token numbers; borrows from the body */
    size_t tokens;   /* of an array; 0: a text */
    bool is_escaped; /* the string has a backslash */
};

struct embed_body {
    struct str model;     /* decoded */
    struct str raw_model; /* its value in the body, quotes included */
    struct embed_input *inputs;
    size_t count;
    int64_t dimensions; /* 0: none are asked for */
    bool is_base64;     /* encoding_format */
};

struct embed_fault { /* what is wrong with a body */
    struct str message;
    const char *param; /* static; "": it is no JSON, or no object */
    bool is_json;      /* the body is none */
    bool is_missing;   /* the parameter */
};

/* ST_INVALID with ret_fault; ST_NO_MEMORY. The body is borrowed, lists lie in the arena. */
MUST_CHECK enum status embed_body_read(struct str body, struct arena *arena,
                                       struct embed_body *ret_body, struct embed_fault *ret_fault);

/* The text of an input that is one: borrowed, or decoded into the arena. ST_NO_MEMORY. */
MUST_CHECK enum status embed_body_text(const struct embed_input *input, struct arena *arena,
                                       struct str *ret_text);
