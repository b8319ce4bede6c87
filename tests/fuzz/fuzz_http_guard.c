/* Request heads through the guard: method and version on the first line, then headers. What it lets pass
 * has one meaning: names are tokens, values have no control characters, one Host, one way to tell
 * where the body ends. */
#include <stdint.h>

#include "base/assert.h"
#include "gateway/http_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen { /* by other means than the guard's */
    int hosts;
    int lengths;
    int encodings;
    bool is_clean;
};

static void look_at(struct seen *seen, struct str name, struct str value)
{
    seen->hosts += str_eq_nocase(name, STR("host"));
    seen->lengths += str_eq_nocase(name, STR("content-length"));
    seen->encodings += str_eq_nocase(name, STR("transfer-encoding"));
    seen->is_clean = seen->is_clean && name.len > 0 && str_find_char(name, ' ') == name.len &&
                     str_find_char(value, '\r') == value.len &&
                     str_find_char(value, '\n') == value.len &&
                     str_find_char(value, '\0') == value.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str line = STR("");
    struct str version = STR("");
    struct str method = STR("");
    struct http_guard guard;
    struct seen seen = {.is_clean = true};
    (void)str_split(rest, '\n', &line, &rest);
    (void)str_split(line, ' ', &method, &version);
    http_guard_start(&guard, method, version);
    while (str_split(rest, '\n', &line, &rest)) {
        size_t at = str_find_char(line, ':');
        struct str name = str_slice(line, 0, at);
        struct str value = str_slice(line, at + 1, line.len);
        http_guard_header(&guard, name, value);
        look_at(&seen, name, value);
    }
    if (http_guard_finish(&guard) == PROBLEM_NONE) {
        ASSERT(seen.is_clean && http_guard_is_token(method));
        ASSERT(seen.hosts <= 1 && seen.lengths <= 1 && seen.encodings <= 1);
        ASSERT(seen.lengths + seen.encodings <= 1);
        ASSERT(guard.content_length >= -1 && (seen.lengths > 0 || guard.content_length <= 0));
    } else {
        ASSERT(http_guard_why(&guard) != NULL);
    }
    return 0;
}
