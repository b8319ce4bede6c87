/* See feedback.h. Does not know which categories and experts there are. */
#include "gateway/feedback.h"

#include <string.h>

#include "base/json_scan.h"
#include "router/features.h"

enum {
    TEXT_MAX = 4 * 1024 * 1024,
};

enum member {
    MEMBER_REQUEST_ID,
    MEMBER_PROMPT,
    MEMBER_CATEGORY,
    MEMBER_RATING,
    MEMBER_EXPERT,
    MEMBER_SCORES,
    MEMBER_OTHER, /* no member of that name */
};

static const struct {
    struct str name;
    size_t offset; /* of its struct str */
} members[] = {
    [MEMBER_REQUEST_ID] = {STR_INIT("request_id"), offsetof(struct feedback, request_id)},
    [MEMBER_PROMPT] = {STR_INIT("prompt"), offsetof(struct feedback, prompt)},
    [MEMBER_CATEGORY] = {STR_INIT("category"), offsetof(struct feedback, category)},
    [MEMBER_RATING] = {STR_INIT("rating"), offsetof(struct feedback, rating)},
    [MEMBER_EXPERT] = {STR_INIT("expert"), offsetof(struct feedback, expert)},
    [MEMBER_SCORES] = {STR_INIT("scores"), 0},
};

struct parser {
    struct json_reader reader;
    struct arena *arena;
    struct feedback *feedback;
    struct chat_error *error;
    unsigned seen; /* bits of enum member */
    enum status st;
};

static void fail(struct parser *p, enum problem problem, const char *message, struct str param)
{
    if (p->st == ST_OK) {
        p->st = ST_INVALID;
        *p->error = (struct chat_error){problem, str_from(message), param};
    }
}

/* A string, decoded. */
static struct str read_text(struct parser *p, struct json_value v, struct str param)
{
    if (v.type != JSON_STRING) {
        fail(p, PROBLEM_BAD_PARAM, "This must be a string.", param);
        return STR("");
    }
    if (!v.escaped) {
        return json_plain(v);
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    enum status st = json_decode(v, &text);
    struct str copy = st == ST_OK ? arena_copy(p->arena, buf_str(&text)) : STR("");
    buf_fini(&text);
    if (st == ST_TOO_BIG) {
        fail(p, PROBLEM_BAD_PARAM, "This text is too long.", param);
    } else if (st != ST_OK || copy.ptr == NULL) {
        p->st = ST_NO_MEMORY;
    }
    return copy;
}

static void add_score(struct parser *p, struct str expert, int value)
{
    struct feedback *f = p->feedback;
    for (size_t i = 0; i < f->score_count; i++) {
        if (str_eq(f->scores[i].expert, expert)) {
            fail(p, PROBLEM_BAD_PARAM, "An expert stands there twice.", STR("scores"));
            return;
        }
    }
    f->scores[f->score_count++] = (struct feedback_score){expert, value};
}

static void read_scores(struct parser *p)
{
    static const struct str param = {"scores", 6};

    struct json_reader *r = &p->reader;
    struct feedback *f = p->feedback;
    struct json_value key;
    struct json_value value;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL); /* errors are sticky and seen by json_close */
        fail(p, PROBLEM_BAD_PARAM, "Scores are an object: {\"expert\": 0 or 1}.", param);
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        int64_t score = -1;
        if (!json_take(r, &value)) {
            return;
        }
        if (value.type != JSON_NUMBER || json_to_int(value, &score) != ST_OK || score < 0 ||
            score > 1) {
            fail(p, PROBLEM_BAD_PARAM, "A score is 0 or 1.", param);
        } else if (f->score_count == FEEDBACK_SCORES_MAX) {
            fail(p, PROBLEM_BAD_PARAM, "There are too many scores.", param);
        } else {
            add_score(p, read_text(p, key, param), (int)score);
        }
    }
}

static enum member member_of(struct json_value key)
{
    size_t i = 0;
    while (i < MEMBER_OTHER && !json_text_is(key, members[i].name)) {
        i++;
    }
    return (enum member)i;
}

static void read_member(struct parser *p, struct json_value key)
{
    enum member m = member_of(key);
    struct json_value value = {0};
    if (m == MEMBER_SCORES) {
        read_scores(p);
    } else {
        (void)json_take(&p->reader, &value); /* errors are sticky and seen by json_close */
    }
    if (m == MEMBER_OTHER) {
        bool is_comment = json_text_is(key, STR("comment"));
        fail(p, PROBLEM_BAD_PARAM,
             is_comment ? "Comments are not taken: nothing that people write is stored."
                        : "There is no such member: feedback has request_id or prompt, category, "
                          "rating, expert and scores.",
             is_comment ? STR("comment") : STR(""));
        return;
    }
    if ((p->seen & 1U << m) != 0) {
        fail(p, PROBLEM_BAD_PARAM, "This member stands there twice.", members[m].name);
    }
    p->seen |= 1U << m;
    if (m != MEMBER_SCORES && p->reader.why == NULL) {
        struct str text = read_text(p, value, members[m].name);
        *(struct str *)(void *)((char *)p->feedback + members[m].offset) = text;
        if (text.len == 0) {
            fail(p, PROBLEM_BAD_PARAM, "This must not be empty.", members[m].name);
        }
    }
}

/* What must hold between members. */
static void check(struct parser *p)
{
    const struct feedback *f = p->feedback;
    bool has_id = (p->seen & 1U << MEMBER_REQUEST_ID) != 0;
    bool says_something =
        f->category.len > 0 || f->rating.len > 0 || f->expert.len > 0 || f->score_count > 0;
    if (has_id == f->has_prompt) {
        fail(p, has_id ? PROBLEM_BAD_PARAM : PROBLEM_MISSING_PARAM,
             "Feedback needs a request_id (the x-request-id of an answer) or a prompt: one of the "
             "two.",
             STR("request_id"));
    } else if (!says_something) {
        fail(p, PROBLEM_MISSING_PARAM,
             "Feedback needs a category, a rating, an expert or scores: at least one.",
             STR("category"));
    }
    if (f->rating.len > 0 && !str_eq(f->rating, STR("good")) && !str_eq(f->rating, STR("bad"))) {
        fail(p, PROBLEM_BAD_PARAM, "A rating is good or bad.", STR("rating"));
    }
}

enum status feedback_parse(struct str body, struct arena *arena, struct feedback *ret_feedback,
                           struct chat_error *ret_error)
{
    struct parser p = {.arena = arena, .feedback = ret_feedback, .error = ret_error};
    struct json_value key;
    memset(ret_feedback, 0, sizeof *ret_feedback);
    json_reader_init(&p.reader, body);
    if (json_peek(&p.reader) != JSON_OBJECT) {
        *ret_error =
            (struct chat_error){PROBLEM_BAD_JSON, STR("The body must be a JSON object."), STR("")};
        return ST_INVALID;
    }
    (void)json_open(&p.reader, JSON_OBJECT);
    while (json_next_member(&p.reader, &key)) {
        read_member(&p, key);
    }
    if (json_close(&p.reader) != ST_OK) {
        *ret_error = (struct chat_error){PROBLEM_BAD_JSON, STR(""), STR("")};
        return p.st == ST_NO_MEMORY ? p.st : ST_INVALID;
    }
    ret_feedback->has_prompt = (p.seen & 1U << MEMBER_PROMPT) != 0;
    if (p.st == ST_OK) {
        check(&p);
    }
    return p.st;
}

/* ---------------------------------------------------------------- rows */

static void bind_optional(struct db_query *q, int index, struct str text)
{
    if (text.len > 0) {
        db_bind_text(q, index, text);
    } else {
        db_bind_null(q, index);
    }
}

enum status feedback_write(struct db *db, const struct feedback_row *row)
{
    uint8_t bytes[4 * FEEDBACK_HASHES_MAX];
    size_t count = row->hash_count < FEEDBACK_HASHES_MAX ? row->hash_count : FEEDBACK_HASHES_MAX;
    for (size_t i = 0; i < 4 * count; i++) { /* little-endian on every machine */
        bytes[i] = (uint8_t)(row->hashes[i / 4] >> i % 4 * 8);
    }
    struct db_query *q = db_query(
        db, "INSERT OR REPLACE INTO feedback (request_id, created_s, category, rating, expert, "
            "scores, routed_category, routed_expert, confidence, scheme, features) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    db_bind_text(q, 1, row->request_id);
    db_bind_int(q, 2, row->created_s);
    bind_optional(q, 3, row->category);
    bind_optional(q, 4, row->rating);
    bind_optional(q, 5, row->expert);
    bind_optional(q, 6, row->scores);
    bind_optional(q, 7, row->routed_category);
    bind_optional(q, 8, row->routed_expert);
    db_bind_real(q, 9, row->confidence);
    db_bind_int(q, 10, FEATURES_SCHEME);
    db_bind_blob(q, 11, bytes, 4 * count);
    return db_run(q, NULL);
}

static size_t read_hashes(struct str blob, uint32_t *hashes)
{
    size_t count = blob.len / 4 < FEEDBACK_HASHES_MAX ? blob.len / 4 : FEEDBACK_HASHES_MAX;
    memset(hashes, 0, count * sizeof *hashes);
    for (size_t i = 0; i < 4 * count; i++) {
        hashes[i / 4] |= (uint32_t)(uint8_t)blob.ptr[i] << i % 4 * 8;
    }
    return count;
}

enum status feedback_each(struct db *db,
                          enum status (*see)(void *ctx, const struct feedback_row *row), void *ctx)
{
    uint32_t hashes[FEEDBACK_HASHES_MAX];
    struct db_query *q = db_query(
        db, "SELECT request_id, created_s, category, rating, expert, scores, routed_category, "
            "routed_expert, confidence, scheme, features FROM feedback "
            "ORDER BY created_s, request_id");
    enum status st = db_next(q);
    while (st == ST_OK) {
        struct feedback_row row = {
            .request_id = db_text(q, 0),
            .created_s = db_int(q, 1),
            .category = db_text(q, 2),
            .rating = db_text(q, 3),
            .expert = db_text(q, 4),
            .scores = db_text(q, 5),
            .routed_category = db_text(q, 6),
            .routed_expert = db_text(q, 7),
            .confidence = db_real(q, 8),
            .hashes = hashes,
        };
        if (db_int(q, 9) == FEATURES_SCHEME) {
            row.hash_count = read_hashes(db_blob(q, 10), hashes);
        }
        st = see(ctx, &row);
        st = st == ST_OK ? db_next(q) : st;
    }
    enum status ended = db_end(q);
    return st == ST_NOT_FOUND ? ended : st;
}
