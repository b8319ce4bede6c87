/* Bytes as a configuration file: yaml_parse, then keys_decode with a table that has every type of
 * key. Holds what callers rely on: a status that fits the diagnostics, messages of one line, a tree
 * within its ceilings, fields within their ranges. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "tests/support/keys_sample.h"

enum {
    ARENA_MAX = 64 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_diags(const struct diags *diags, enum status st)
{
    ASSERT(st == ST_OK || st == ST_INVALID || st == ST_NO_MEMORY);
    ASSERT(st == ST_NO_MEMORY || (st == ST_INVALID) == (diags->errors > 0));
    for (size_t i = 0; i < diags->count; i++) {
        struct str message = diags->items[i].message;
        ASSERT(message.len > 0 && str_find_char(message, '\n') == message.len);
        ASSERT(utf8_valid_prefix(message) == message.len);
    }
}

static void check_sample(const struct sample *sample)
{
    ASSERT(sample->workers >= 1 && sample->workers <= 64);
    ASSERT(sample->router.threshold >= 0.0 && sample->router.threshold <= 1.0);
    ASSERT(sample->offset >= -5);
    const struct sample_expert *experts = sample->experts.items;
    for (size_t i = 0; i < sample->experts.count; i++) {
        ASSERT(experts[i].id.name.len > 0 && experts[i].id.pos.line > 0);
        ASSERT(experts[i].dialect >= 0 && experts[i].dialect <= 2);
        ASSERT(experts[i].price_nano_usd >= 0);
        ASSERT(experts[i].window.bytes >= 1024 && experts[i].window.bytes <= 8388608);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(16384, ARENA_MAX);
    if (arena == NULL) {
        return 0;
    }
    struct diags diags;
    diags_init(&diags, arena);
    struct yaml_node *root = NULL;
    struct str text = {(const char *)data, size};
    enum status st = yaml_parse(text, STR("fuzz"), arena, &diags, &root);
    check_diags(&diags, st);
    if (st == ST_OK) {
        struct key_reader reader = {.arena = arena, .diags = &diags, .root = STR("/srv")};
        struct sample sample;
        st = keys_decode(&sample_keys, &reader, root, &sample);
        check_diags(&diags, st);
        if (st == ST_OK) {
            check_sample(&sample);
        }
    }
    arena_destroy(arena);
    return 0;
}
