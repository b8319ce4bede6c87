/* See plan_settings.h. */
#include "router/plan_settings.h"

#include <inttypes.h>

/* The bit of a word; 0: there is none. */
static unsigned bit_of(struct str word)
{
    static const struct str words[] = {
#define PLAN_WORD(name, word) [PLAN_##name] = STR_INIT(word),
        PLAN_CAUSES(PLAN_WORD)
#undef PLAN_WORD
    };

    for (size_t i = 0; word.len > 0 && i < sizeof words / sizeof words[0]; i++) {
        if (str_eq(words[i], word)) {
            return 1U << i;
        }
    }
    return 0;
}

enum status plan_settings_decode_causes(struct key_reader *reader, const struct yaml_node *node,
                                        void *field)
{
    unsigned *bits = field;
    const struct yaml_node *const *items = (const struct yaml_node *const *)node->items;
    size_t count = node->kind == YAML_SEQUENCE ? node->count : 1;
    *bits = 0;
    if (node->kind != YAML_SEQUENCE) {
        items = &node;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned bit = items[i]->kind == YAML_SCALAR ? bit_of(items[i]->text) : 0;
        *bits |= bit;
        if (bit == 0) {
            diags_add(reader->diags, DIAG_ERROR, items[i]->file, items[i]->pos,
                      "retry_on has the unknown cause \"%s\" (known: connect, timeout, cut, "
                      "bad_reply, rate_limit, server_error)",
                      yaml_shown(items[i]->text).text);
        }
    }
    return ST_OK;
}

enum status plan_settings_decode_after(struct key_reader *reader, const struct yaml_node *node,
                                       void *field)
{
    static const int64_t MAX_MS = 600000;
    int64_t *after_ms = field;
    int64_t ms = 0;
    bool is_p95 = node->kind == YAML_SCALAR && str_eq(node->text, STR("p95"));
    if (!is_p95 && (node->kind != YAML_SCALAR || str_to_int(node->text, &ms) != ST_OK || ms < 1 ||
                    ms > MAX_MS)) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"after_ms\" must be p95, or a number from 1 to %" PRId64 " ms", MAX_MS);
        ms = 0;
    }
    *after_ms = ms;
    return ST_OK;
}
