/* Whatever the text: spans are in order and inside it, what is redacted can be restored byte for byte,
 * in one piece and in pieces. The first input byte decides the size of the pieces. */
#include <stdint.h>

#include "base/assert.h"
#include "policies/redact_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TEXT_MAX = 16384,
    OUT_MAX = 32 * TEXT_MAX,
};

static void check_spans(struct str text)
{
    struct redact_scan scan;
    struct redact_span span = {0, 0, 0};
    size_t end = 0;
    redact_scan_init(&scan, text, REDACT_ALL);
    while (redact_next(&scan, &span)) {
        ASSERT(span.start >= end && span.len > 0 && span.kind < REDACT_KINDS);
        end = span.start + span.len;
        ASSERT(end <= text.len);
    }
}

static void check_restored(const struct redact_vault *vault, struct str redacted, struct str text,
                           size_t step)
{
    struct buf held;
    struct buf out;
    size_t left = 0;
    buf_init(&held, OUT_MAX);
    buf_init(&out, OUT_MAX);
    for (size_t at = 0; at < redacted.len; at += step) {
        enum redact_restore how = at + step >= redacted.len ? REDACT_WHOLE : REDACT_GOES_ON;
        ASSERT(buf_append(&held, str_slice(redacted, at, step)) == ST_OK);
        ASSERT(redact_vault_restore(vault, buf_str(&held), how, false, &out, &left) == ST_OK);
        ASSERT(left < REDACT_PLACEHOLDER_MAX && (how == REDACT_GOES_ON || left == 0));
        buf_consume(&held, held.len - left);
    }
    ASSERT(str_eq(buf_str(&out), text));
    buf_fini(&held);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TEXT_MAX) {
        return 0;
    }
    struct str text = {(const char *)data + 1, size - 1};
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
    check_spans(text);
    redact_vault_avoid(vault, text);
    enum status st = redact_text(&set, NULL, vault, text, &out);
    ASSERT(st == ST_OK || st == ST_TOO_BIG); /* it has the highest number of a placeholder */
    if (st == ST_OK) {
        check_restored(vault, buf_str(&out), text, OUT_MAX);
        check_restored(vault, buf_str(&out), text, (size_t)data[0] % 17 + 1);
    }
    buf_fini(&out);
    redact_vault_destroy(vault);
    arena_destroy(arena);
    return 0;
}
