/* See limits.h. */
#include "backends/limits.h"

#include <inttypes.h>

static const struct key breaker_rows[] = {
    {.name = "failures",
     .type = KEY_INT,
     .offset = offsetof(struct limits_breaker, failures),
     .min = 0,
     .max = 64,
     .fallback = "5",
     .sentence =
         "failed attempts (no connection, time-out, 5xx, cut answer) that open it; 0: none"},
    {.name = "window_ms",
     .type = KEY_INT,
     .offset = offsetof(struct limits_breaker, window_ms),
     .min = 0,
     .max = 3600000,
     .unit = "ms",
     .fallback = "0",
     .sentence = "time in which they must lie; 0: in a row, without a success between"},
    {.name = "open_ms",
     .type = KEY_INT,
     .offset = offsetof(struct limits_breaker, open_ms),
     .min = 1,
     .max = 3600000,
     .unit = "ms",
     .fallback = "10000",
     .sentence = "how long it stays open before a probe is let through; doubles each time that it "
                 "opens again soon"},
    {.name = "open_max_ms",
     .type = KEY_INT,
     .offset = offsetof(struct limits_breaker, open_max_ms),
     .min = 1,
     .max = 86400000,
     .unit = "ms",
     .fallback = "300000",
     .sentence = "and how long at most; open_ms, where that is longer"},
    {.name = "half_open",
     .type = KEY_INT,
     .offset = offsetof(struct limits_breaker, half_open),
     .min = 1,
     .max = 100,
     .fallback = "1",
     .sentence = "requests that are let through as probes, and must go well to close it"},
    {.name = "cool_down",
     .type = KEY_BOOL,
     .offset = offsetof(struct limits_breaker, cool_down),
     .fallback = "true",
     .sentence = "whether a 429 or 503 with Retry-After keeps requests away until then"},
};

const struct keys limits_breaker_keys = {"breaker", sizeof(struct limits_breaker), breaker_rows,
                                         sizeof breaker_rows / sizeof breaker_rows[0],
                                         "When an expert gets no more requests for a while."};

static const struct key concurrency_rows[] = {
    {.name = "min",
     .type = KEY_INT,
     .offset = offsetof(struct limits_concurrency, min),
     .min = 1,
     .max = 100000,
     .fallback = "1",
     .sentence = "the least that the limit falls to"},
    {.name = "max",
     .type = KEY_INT,
     .offset = offsetof(struct limits_concurrency, max),
     .min = 1,
     .max = 100000,
     .fallback = "200",
     .sentence = "the most that it rises to"},
    {.name = "adaptive",
     .type = KEY_BOOL,
     .offset = offsetof(struct limits_concurrency, adaptive),
     .fallback = "true",
     .sentence = "whether it follows the time to the first token; false: it is max"},
};

const struct keys limits_concurrency_keys = {"concurrency", sizeof(struct limits_concurrency),
                                             concurrency_rows,
                                             sizeof concurrency_rows / sizeof concurrency_rows[0],
                                             "How many requests an expert has at the same time."};

static const struct key probe_rows[] = {
    {.name = "path",
     .type = KEY_TEXT,
     .offset = offsetof(struct limits_probe, path),
     .sentence = "what is asked with GET, from the root of the host; 2xx is healthy. Absent: no "
                 "probes",
     .example = "/health"},
    {.name = "interval_ms",
     .type = KEY_INT,
     .offset = offsetof(struct limits_probe, interval_ms),
     .min = 10,
     .max = 86400000,
     .unit = "ms",
     .fallback = "10000",
     .sentence = "from the end of one probe to the next"},
    {.name = "timeout_ms",
     .type = KEY_INT,
     .offset = offsetof(struct limits_probe, timeout_ms),
     .min = 1,
     .max = 600000,
     .unit = "ms",
     .fallback = "2000",
     .sentence = "how long one may take"},
    {.name = "unhealthy",
     .type = KEY_INT,
     .offset = offsetof(struct limits_probe, unhealthy),
     .min = 1,
     .max = 1000,
     .fallback = "3",
     .sentence = "failed probes in a row after which it gets no requests"},
    {.name = "healthy",
     .type = KEY_INT,
     .offset = offsetof(struct limits_probe, healthy),
     .min = 1,
     .max = 1000,
     .fallback = "2",
     .sentence = "good ones in a row after which it gets them again"},
};

const struct keys limits_probe_keys = {"health", sizeof(struct limits_probe), probe_rows,
                                       sizeof probe_rows / sizeof probe_rows[0],
                                       "How an expert is probed."};

enum status limits_decode_breaker(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    struct limits_breaker *breaker = field;
    enum status st = keys_decode(&limits_breaker_keys, reader, node, breaker);
    breaker->is_given = true;
    return st == ST_NO_MEMORY ? st : ST_OK;
}

enum status limits_decode_concurrency(struct key_reader *reader, const struct yaml_node *node,
                                      void *field)
{
    struct limits_concurrency *c = field;
    int64_t max = 0;
    if (node->kind != YAML_SCALAR) {
        enum status st = keys_decode(&limits_concurrency_keys, reader, node, c);
        if (st == ST_OK && c->min > c->max) {
            diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                      "concurrency.min %" PRId64 " is more than its max %" PRId64, c->min, c->max);
        }
        return st == ST_NO_MEMORY ? st : ST_OK;
    }
    if (str_to_int(node->text, &max) != ST_OK || max < 1 || max > 100000) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"concurrency\" must be a number from 1 to 100000, or a block with min, max and "
                  "adaptive");
    }
    *c = (struct limits_concurrency){.min = 1, .max = max};
    return ST_OK;
}
