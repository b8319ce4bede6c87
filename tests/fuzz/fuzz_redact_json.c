/* Any text that is JSON: it is redacted, or refused, and what was no JSON is not taken for it. The first
 * input byte says whether it stands for arguments. */
#include <stdint.h>

#include "base/assert.h"
#include "gateway/redact_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TEXT_MAX = 4096,
    OUT_MAX = 64 * TEXT_MAX,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TEXT_MAX) {
        return 0;
    }
    struct str text = {(const char *)data + 1, size - 1};
    bool is_arguments = data[0] % 2 == 1;
    if (!redact_json_is(text, is_arguments)) {
        return 0;
    }
    struct str labels[REDACT_KINDS];
    struct redact_set set = {.kinds = REDACT_ALL};
    struct arena *arena = arena_create(4096, 64 * 1024 * 1024);
    ASSERT(arena != NULL);
    for (size_t i = 0; i < REDACT_KINDS; i++) {
        labels[i] = str_from(redact_kind_label((enum redact_kind)i));
    }
    struct redact_vault *vault = redact_vault_create(labels, REDACT_KINDS, arena);
    ASSERT(vault != NULL);
    struct buf out;
    buf_init(&out, OUT_MAX);
    redact_vault_avoid(vault, text);
    enum status st = redact_json(&set, NULL, vault, text, is_arguments, &out);
    ASSERT(st == ST_OK || st == ST_TOO_BIG);
    ASSERT(st != ST_OK || !redact_vault_is_empty(vault) || str_eq(buf_str(&out), text));
    buf_fini(&out);
    redact_vault_destroy(vault);
    arena_destroy(arena);
    return 0;
}
