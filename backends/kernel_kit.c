/* What kernels share: the second half of kernel.h. Apart from kernel.c, so that a kernel of its own file
 * can be linked with it and without the table of all built-in ones. */
#include <stdarg.h>
#include <stdio.h>

#include "backends/kernel.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "base/yaml.h"

enum {
    ARENA_BLOCK_BYTES = 4096,
    OPTIONS_MAX_BYTES = 16 * 1024 * 1024, /* more than any configuration may have */
};

struct str kernel_last_question(const struct ek_request *request)
{
    for (size_t i = request->message_count; i > 0; i--) {
        const struct ek_message *message = &request->messages[i - 1];
        if (str_eq(kernel_str(message->role), STR("user"))) {
            return kernel_str(message->text);
        }
    }
    return STR("");
}

enum ek_status kernel_say(const struct ek_sink *sink, struct str text)
{
    return sink->piece(sink->ctx, kernel_text(text)) == 0 ? EK_OK : EK_CANCELLED;
}

enum ek_status kernel_fail(struct ek_error *ret_error, enum ek_status status, const char *format,
                           ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(ret_error->message, sizeof ret_error->message, format, args);
    va_end(args);
    struct str whole = utf8_truncate(str_from(ret_error->message), sizeof ret_error->message - 1);
    ret_error->message[utf8_valid_prefix(whole)] = '\0';
    return status;
}

enum ek_status kernel_refuse_dimensions(struct ek_error *ret_error, size_t width, bool shortens)
{
    (void)snprintf(ret_error->option, sizeof ret_error->option, "dimensions");
    return kernel_fail(ret_error, EK_UNSUPPORTED,
                       "This model's embeddings have %zu dimensions and no %s number.", width,
                       shortens ? "higher" : "other");
}

struct arena *kernel_arena(struct ek_error *ret_error)
{
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, OPTIONS_MAX_BYTES * 8UL);
    if (arena == NULL) {
        (void)kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the options");
    }
    return arena;
}

/* JSON is YAML but for the dollar, which the one takes for a variable's. */
static enum status write_as_yaml(struct str json, struct buf *out)
{
    enum status st = ST_OK;
    while (st == ST_OK && json.len > 0) {
        size_t n = str_find_char(json, '$');
        st = buf_append(out, str_slice(json, 0, n));
        if (st == ST_OK && n < json.len) {
            st = buf_append(out, STR("$$"));
            n++;
        }
        json = str_slice(json, n, json.len);
    }
    return st;
}

enum ek_status kernel_decode(const struct ek_config *config, const struct keys *keys,
                             struct arena *arena, void *ret, struct ek_error *ret_error)
{
    struct buf text;
    struct yaml_node *node = NULL;
    struct diags *diags = arena_alloc(arena, sizeof *diags);
    if (diags == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the options");
    }
    diags_init(diags, arena);
    struct key_reader reader = {.arena = arena, .diags = diags, .root = kernel_str(config->folder)};
    buf_init(&text, OPTIONS_MAX_BYTES);
    enum status st = write_as_yaml(kernel_str(config->options), &text);
    st = st == ST_OK ? yaml_parse(buf_str(&text), STR("options"), arena, diags, &node) : st;
    st = st == ST_OK ? keys_decode(keys, &reader, node, ret) : st;
    buf_fini(&text);
    if (st == ST_INVALID) {
        struct str why = diags->count > 0 ? diags->items[0].message : STR("not a JSON object");
        return kernel_fail(ret_error, EK_BAD_CONFIG, "%.*s", STR_ARG(why));
    }
    return st == ST_OK ? EK_OK : kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the options");
}

enum ek_status kernel_make(const struct ek_config *config, const struct keys *keys,
                           enum ek_status (*build)(const void *options, struct arena *arena,
                                                   struct ek_instance **ret_instance,
                                                   struct ek_error *ret_error),
                           struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    struct arena *arena = kernel_arena(ret_error);
    if (arena == NULL) {
        return EK_NO_MEMORY;
    }
    void *options = arena_alloc(arena, keys->size);
    enum ek_status status = options == NULL
                                ? kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the options")
                                : kernel_decode(config, keys, arena, options, ret_error);
    if (status == EK_OK) {
        status = build(options, arena, ret_instance, ret_error);
    }
    arena_destroy(arena);
    return status;
}

/* ---- counting ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

int64_t kernel_count_tokens(struct str text)
{
    struct kernel_tally tally = {0};
    kernel_tally_add(&tally, text);
    return kernel_tally_tokens(&tally);
}

void kernel_tally_add(struct kernel_tally *tally, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_in_word = !is_blank(text.ptr[i]);
        tally->words += is_in_word && !tally->is_in_word ? 1 : 0;
        tally->is_in_word = is_in_word;
    }
    tally->bytes += text.len;
}

int64_t kernel_tally_tokens(const struct kernel_tally *tally)
{
    size_t by_words = (tally->words * 4 + 2) / 3;
    size_t by_bytes = (tally->bytes + 3) / 4;
    return (int64_t)(by_words > by_bytes ? by_words : by_bytes);
}
