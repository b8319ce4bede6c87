/* See status.h. */
#include "base/status.h"

#include <assert.h>
#include <stddef.h>

static const char *const texts[] = {
    [ST_OK] = "ok",           [ST_NO_MEMORY] = "no memory", [ST_TOO_BIG] = "too big",
    [ST_INVALID] = "invalid", [ST_NOT_FOUND] = "not found", [ST_IO] = "input or output error",
    [ST_CLOSED] = "closed",   [ST_TIMEOUT] = "timed out",
};
static_assert(sizeof texts / sizeof texts[0] == ST_TIMEOUT + 1, "a text for each status");

const char *status_text(enum status st)
{
    size_t i = (size_t)st;
    return i < sizeof texts / sizeof texts[0] ? texts[i] : "unknown status";
}
