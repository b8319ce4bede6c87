/* What people say about decisions: the body of POST /v1/feedback, and its rows in the state file.
 *
 *     {"request_id": "req_..." | "prompt": "...",          one of the two
 *      "category"?: where it should have gone, "rating"?: "good" | "bad",
 *      "expert"?: who should have answered, "scores"?: {"expert": 0 | 1}}   at least one
 *
 * A prompt is looked at for its features and forgotten: rows hold hashes, never text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/db.h"
#include "base/str.h"
#include "gateway/chat_request.h"

enum {
    FEEDBACK_SCORES_MAX = 64,
};

struct feedback_score {
    struct str expert;
    int value; /* 0 or 1 */
};

struct feedback { /* texts are decoded, in the arena or the body */
    struct str request_id;
    struct str prompt;
    bool has_prompt;
    struct str category; /* empty: not said; so with the others */
    struct str rating;   /* good, bad */
    struct str expert;
    struct feedback_score scores[FEEDBACK_SCORES_MAX];
    size_t score_count;
};

/* Reads a body, strictly: no other members, none twice. ST_INVALID with ret_error; ST_NO_MEMORY. */
MUST_CHECK enum status feedback_parse(struct str body, struct arena *arena,
                                      struct feedback *ret_feedback, struct chat_error *ret_error);

struct feedback_row { /* borrowed */
    struct str request_id;
    int64_t created_s;
    struct str category;
    struct str rating;
    struct str expert;
    struct str scores; /* JSON object; empty: none */
    struct str routed_category;
    struct str routed_expert;
    double confidence;
    const uint32_t *hashes;
    size_t hash_count;
};

enum {
    FEEDBACK_HASHES_MAX = 1024, /* more in a row of the file are ignored */
};

/* Writes a row; the last word about a request counts. The statuses of db_run. */
MUST_CHECK enum status feedback_write(struct db *db, const struct feedback_row *row);

/* Calls `see` for each row, oldest first, until it returns something else than ST_OK. Rows whose
 * features were hashed by another scheme come without hashes. The statuses of db_next and of see. */
MUST_CHECK enum status feedback_each(struct db *db,
                                     enum status (*see)(void *ctx, const struct feedback_row *row),
                                     void *ctx);
