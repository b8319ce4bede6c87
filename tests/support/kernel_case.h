/* One kernel made from YAML, asked on the test's own thread: its text, its pauses, its result. In a
 * header because test_support does not link backends. */
#pragma once

#include "backends/kernel.h"
#include "base/buf.h"
#include "tests/support/test.h"

enum {
    KERNEL_CASE_PAUSES = 16
};

struct kernel_case {
    struct arena *arena;
    struct diags diags;
    struct kernel *kernel; /* NULL when create failed */
    enum status st;        /* of create */
    struct buf text;       /* pieces of the last answer, each followed by a | */
    int64_t pauses[KERNEL_CASE_PAUSES];
    size_t pause_count;
    size_t pieces_max; /* the sink says stop after this many; 0: never */
    size_t pieces;
    enum ek_status status; /* of the last answer, like the two below */
    struct ek_result result;
    struct ek_error error;
};

static inline int kernel_case_on_piece(void *ctx, struct ek_text piece)
{
    struct kernel_case *c = ctx;
    if (c->pieces_max > 0 && c->pieces == c->pieces_max) {
        return 1;
    }
    c->pieces++;
    assert_int_equal(buf_append(&c->text, kernel_str(piece)), ST_OK);
    assert_int_equal(buf_append_char(&c->text, '|'), ST_OK);
    return 0;
}

static inline int kernel_case_on_pause(void *ctx, int64_t ms)
{
    struct kernel_case *c = ctx;
    assert_true(c->pause_count < KERNEL_CASE_PAUSES);
    c->pauses[c->pause_count++] = ms;
    return 0;
}

/* options: YAML of the block under the kernel's name. root: where relative paths start. */
static inline void kernel_case_open(struct kernel_case *c, const struct kernel_builtin *type,
                                    const char *options, const char *root)
{
    *c = (struct kernel_case){.arena = arena_create(4096, 16 << 20)};
    assert_non_null(c->arena);
    buf_init(&c->text, 1 << 20);
    diags_init(&c->diags, c->arena);
    struct key_reader reader = {.arena = c->arena, .diags = &c->diags, .root = str_from(root)};
    struct yaml_node *node = NULL;
    assert_int_equal(yaml_parse(str_from(options), STR("k.yaml"), c->arena, &c->diags, &node),
                     ST_OK);
    c->st = kernel_create(type, &reader, node, &c->kernel);
    /* a kernel must own what it keeps: the configuration goes away first */
    if (c->st == ST_OK) {
        arena_reset(c->arena);
    }
}

static inline void kernel_case_close(struct kernel_case *c)
{
    kernel_unref(c->kernel);
    buf_fini(&c->text);
    arena_destroy(c->arena);
}

static inline void kernel_case_ask_all(struct kernel_case *c, const struct ek_message *messages,
                                       size_t count)
{
    const struct kernel_request request = {
        .ek = {.size = sizeof request.ek, .messages = messages, .message_count = count},
        .cancel_fd = -1};
    const struct ek_sink sink = {.size = sizeof sink,
                                 .ctx = c,
                                 .piece = kernel_case_on_piece,
                                 .pause = kernel_case_on_pause};
    buf_reset(&c->text);
    c->pause_count = 0;
    c->pieces = 0;
    c->status = kernel_generate(c->kernel, &request, &sink, &c->result, &c->error);
}

static inline void kernel_case_ask(struct kernel_case *c, const char *question)
{
    struct ek_message message = {kernel_text(STR("user")), kernel_text(str_from(question))};
    kernel_case_ask_all(c, &message, 1);
}

/* "line:column: message" of the first diagnostic. */
static inline struct str kernel_case_diag(struct kernel_case *c)
{
    assert_true(c->diags.count > 0);
    const struct diag *d = &c->diags.items[0];
    return arena_printf(c->arena, "%d:%d: %.*s", d->pos.line, d->pos.column, STR_ARG(d->message));
}
