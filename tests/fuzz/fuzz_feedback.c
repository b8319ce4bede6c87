/* Feedback that is accepted is about one thing, says something, and says it in known words. */
#include <stdint.h>

#include "base/assert.h"
#include "base/json_scan.h"
#include "gateway/feedback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct feedback f;
    struct chat_error error = {PROBLEM_NONE, STR(""), STR("")};
    struct arena *arena = arena_create(4096, 1 << 24);
    ASSERT(arena != NULL);
    enum status st = feedback_parse(body, arena, &f, &error);
    if (st == ST_OK) {
        ASSERT(json_validate(body, NULL, NULL) == ST_OK);
        ASSERT((f.request_id.len > 0) != (f.prompt.len > 0));
        ASSERT(f.category.len + f.rating.len + f.expert.len + f.score_count > 0);
        ASSERT(f.rating.len == 0 || str_eq(f.rating, STR("good")) || str_eq(f.rating, STR("bad")));
        for (size_t i = 0; i < f.score_count; i++) {
            ASSERT(f.scores[i].value == 0 || f.scores[i].value == 1);
        }
    } else {
        ASSERT(st == ST_INVALID && error.problem != PROBLEM_NONE);
    }
    arena_destroy(arena);
    return 0;
}
