/* A kernel for tests: gives the last user message back (or a fixed text) in pieces, with scripted
 * delays and faults. The faults are used up one per request, in the order in which requests start;
 * the last one stays. */
#include <stdatomic.h>
#include <string.h>

#include "backends/kernels/echo_fault.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct echo {
    struct kernel base;
    char *text; /* NULL: the last user message */
    size_t text_len;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t words; /* per piece */
    struct echo_fault *faults;
    size_t fault_count;
    _Atomic size_t requests; /* started so far; written by every generate */
};

struct echo_options {
    struct str text;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t pieces;
    struct key_texts faults;
};

#define FIELD(member) offsetof(struct echo_options, member)

static const struct key echo_rows[] = {
    {
        .name = "text",
        .type = KEY_TEXT,
        .offset = FIELD(text),
        .sentence = "a fixed answer; without it the last user message comes back",
        .example = "pong",
    },
    {
        .name = "delay_ms",
        .type = KEY_INT,
        .offset = FIELD(delay_ms),
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .fallback = "0",
        .sentence = "pause before the first piece",
    },
    {
        .name = "token_delay_ms",
        .type = KEY_INT,
        .offset = FIELD(token_delay_ms),
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .fallback = "0",
        .sentence = "pause between pieces",
    },
    {
        .name = "pieces",
        .type = KEY_INT,
        .offset = FIELD(pieces),
        .min = 1,
        .max = 1000000,
        .unit = "words",
        .fallback = "1",
        .sentence = "size of the pieces that the answer comes in",
    },
    {
        .name = "faults",
        .type = KEY_TEXT_LIST,
        .offset = FIELD(faults),
        .sentence =
            "what goes wrong, one per request, the last one for all that follow: ok, a status "
            "as in 429@retry=2, cut@3 (pieces), stall@5s",
        .example = "[429@retry=2, 500, cut@3, stall@5s, ok]",
    },
};

static const struct keys echo_keys = {
    .name = "echo",
    .size = sizeof(struct echo_options),
    .rows = echo_rows,
    .count = sizeof echo_rows / sizeof echo_rows[0],
    .sentence = "answers with the question, for tests of everything around experts",
};

static void destroy(struct kernel *kernel)
{
    struct echo *echo = (struct echo *)kernel;
    mem_free(echo->text);
    mem_free(echo->faults);
    mem_free(echo);
}

/* Where the nth fault stands in the file. */
static const struct yaml_node *fault_node(const struct yaml_node *options, size_t n)
{
    const struct yaml_node *faults = yaml_get(options, STR("faults"));
    if (faults != NULL && faults->kind == YAML_SEQUENCE && n < faults->count) {
        return faults->items[n];
    }
    return faults;
}

static enum status load_faults(struct echo *echo, struct key_reader *reader,
                               const struct yaml_node *options, const struct key_texts *texts)
{
    bool is_valid = true;
    if (texts->count == 0) {
        return ST_OK;
    }
    echo->faults = mem_zalloc(texts->count, sizeof *echo->faults);
    if (echo->faults == NULL) {
        return ST_NO_MEMORY;
    }
    echo->fault_count = texts->count;
    for (size_t i = 0; i < texts->count; i++) {
        const char *why = NULL;
        if (echo_fault_parse(texts->items[i], &echo->faults[i], &why) != ST_OK) {
            const struct yaml_node *node = fault_node(options, i);
            diags_add(reader->diags, DIAG_ERROR, node != NULL ? node->file : STR(""),
                      node != NULL ? node->pos : (struct pos){0, 0},
                      "fault \"%.*s\" is not known: %s", STR_ARG(texts->items[i]), why);
            is_valid = false;
        }
    }
    return is_valid ? ST_OK : ST_INVALID;
}

static enum status load_text(struct echo *echo, struct str text, bool is_fixed)
{
    if (!is_fixed) {
        return ST_OK;
    }
    echo->text = mem_alloc(text.len);
    if (echo->text == NULL) {
        return ST_NO_MEMORY;
    }
    if (text.len > 0) {
        memcpy(echo->text, text.ptr, text.len);
    }
    echo->text_len = text.len;
    return ST_OK;
}

static enum status create(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel)
{
    struct echo_options decoded;
    enum status st = keys_decode(&echo_keys, reader, options, &decoded);
    if (st != ST_OK) {
        return st;
    }
    struct echo *echo = mem_zalloc(1, sizeof *echo);
    if (echo == NULL) {
        return ST_NO_MEMORY;
    }
    kernel_init(&echo->base, &echo_kernel_type);
    echo->delay_ms = decoded.delay_ms;
    echo->token_delay_ms = decoded.token_delay_ms;
    echo->words = decoded.pieces;
    st = load_text(echo, decoded.text, yaml_get(options, STR("text")) != NULL);
    if (st == ST_OK) {
        st = load_faults(echo, reader, options, &decoded.faults);
    }
    if (st != ST_OK) {
        destroy(&echo->base);
        return st;
    }
    *ret_kernel = &echo->base;
    return ST_OK;
}

static struct echo_fault next_fault(struct echo *echo)
{
    size_t request = atomic_fetch_add(&echo->requests, 1);
    if (echo->fault_count == 0) {
        return (struct echo_fault){.kind = ECHO_FAULT_NONE, .retry_after_s = -1};
    }
    return echo->faults[request < echo->fault_count ? request : echo->fault_count - 1];
}

/* The first `words` words of text with the blanks around them. */
static struct str first_words(struct str text, int64_t words)
{
    size_t at = 0;
    for (int64_t i = 0; i < words && at < text.len; i++) {
        while (at < text.len && text.ptr[at] == ' ') {
            at++;
        }
        while (at < text.len && text.ptr[at] != ' ') {
            at++;
        }
    }
    while (at < text.len && text.ptr[at] == ' ') {
        at++;
    }
    return str_slice(text, 0, at);
}

/* Sends the text; stops after `pieces_max` pieces (-1: all). *ret_is_cut says that it did. */
static enum status send(const struct echo *echo, struct str text, int64_t pieces_max,
                        const struct kernel_sink *sink, bool *ret_is_cut)
{
    enum status st = ST_OK;
    int64_t sent = 0;
    while (st == ST_OK && text.len > 0 && sent != pieces_max) {
        if (sent > 0 && echo->token_delay_ms > 0) {
            st = sink->pause(sink->ctx, echo->token_delay_ms);
        }
        struct str piece = first_words(text, echo->words);
        if (st == ST_OK) {
            st = sink->text(sink->ctx, piece);
        }
        text = str_slice(text, piece.len, text.len);
        sent++;
    }
    *ret_is_cut = sent == pieces_max;
    return st;
}

static void generate(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result)
{
    struct echo *echo = (struct echo *)kernel;
    struct echo_fault fault = next_fault(echo);
    int64_t delay_ms = echo->delay_ms + (fault.kind == ECHO_FAULT_STALL ? fault.stall_ms : 0);
    enum status st = delay_ms > 0 ? sink->pause(sink->ctx, delay_ms) : ST_OK;
    if (st == ST_OK && fault.kind == ECHO_FAULT_STATUS) {
        kernel_fail(ret_result, fault.http_status, "scripted fault");
        ret_result->retry_after_s = fault.retry_after_s;
        return;
    }
    struct str text = echo->text != NULL ? (struct str){echo->text, echo->text_len}
                                         : kernel_last_question(prompt);
    bool is_cut = false;
    if (st == ST_OK) {
        st = send(echo, text, fault.kind == ECHO_FAULT_CUT ? fault.pieces : -1, sink, &is_cut);
    }
    kernel_finish(ret_result, st);
    if (is_cut && st == ST_OK) {
        ret_result->finish = KERNEL_CUT;
    }
}

const struct kernel_type echo_kernel_type = {
    .name = "echo",
    .sentence = "gives the question back, with scripted delays and faults, for tests",
    .keys = &echo_keys,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};
