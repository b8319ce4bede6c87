/* expertd route --replay: derives a decision again from its receipt, and compares. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "gateway/cmd.h"
#include "gateway/explain.h"
#include "gateway/receipts.h"
#include "gateway/replay.h"
#include "gateway/snapshot.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_MAX_BYTES = 16 * 1024 * 1024,
    TEXT_MAX_BYTES = 1024 * 1024,
};

struct receipt_copy { /* what a receipt said, copied out of the query */
    const struct snapshot *snapshot;
    struct arena *arena;
    bool is_same_conf;
    bool is_same_weights;
    bool is_whole; /* the bytes of its signals are */
    struct signals signals;
    struct buf was; /* the decision, without the words of reasons, which name budgets */
};

/* Of a decision as explain_write_decision writes it. */
static enum status copy_without_reasons(struct buf *out, struct str text)
{
    static const struct str reason = STR_INIT(",\"reason\":\"");
    enum status st = ST_OK;
    size_t at = 0;
    while (st == ST_OK && at < text.len) {
        if (!str_starts_with(str_slice(text, at, text.len), reason)) {
            st = buf_append_char(out, text.ptr[at++]);
            continue;
        }
        at += reason.len;
        while (at < text.len && text.ptr[at] != '"') {
            at += text.ptr[at] == '\\' ? 2 : 1;
        }
        at++;
    }
    return st;
}

static enum status take(void *ctx, const struct receipt_row *row)
{
    struct receipt_copy *r = ctx;
    const struct classifier *c = r->snapshot->conf.routes.classifier;
    char made[CLOCK_TEXT_SIZE];
    char conf[DIGEST_TEXT_BYTES];
    clock_text(row->made_ms, made);
    digest_write(&row->conf, conf);
    (void)printf("receipt        %" PRId64 ": %.*s, %s, %.*s by \"%.*s\"\n", row->id,
                 STR_ARG(row->request_id), made, STR_ARG(row->outcome), STR_ARG(row->expert));
    r->is_same_conf = digest_eq(&row->conf, &r->snapshot->digest);
    r->is_same_weights = row->weights == (c == NULL ? 0 : classifier_checksum(c));
    (void)printf("configuration  %s (%s)\n", r->is_same_conf ? "the same" : "another one than then",
                 conf);
    (void)printf("weights        %s (%016" PRIx64 ")\n",
                 r->is_same_weights ? "the same" : "others than then", row->weights);
    enum status st = signals_read(row->signals, r->arena, &r->signals);
    r->is_whole = st == ST_OK;
    if (st == ST_NO_MEMORY) {
        return st;
    }
    return copy_without_reasons(&r->was, row->decision);
}

/* The piece of a decision from *at on, up to the next candidate or the plan. Moves *at. */
static struct str next_piece(struct str text, size_t *at)
{
    static const struct str starts[] = {STR_INIT("{\"expert\":"), STR_INIT("],\"plan\":")};
    size_t from = *at;
    size_t to = from < text.len ? from + 1 : text.len;
    while (to < text.len && !str_starts_with(str_slice(text, to, text.len), starts[0]) &&
           !str_starts_with(str_slice(text, to, text.len), starts[1])) {
        to++;
    }
    *at = to;
    return str_slice(text, from, to - from);
}

/* Prints was and now, piece by piece; whether they are the same. */
static bool compare(struct str was, struct str now)
{
    size_t was_at = 0;
    size_t now_at = 0;
    while (was_at < was.len || now_at < now.len) {
        struct str before = next_piece(was, &was_at);
        struct str after = next_piece(now, &now_at);
        bool is_same = str_eq(before, after);
        if (before.len > 0) {
            (void)printf("%s %.*s\n", is_same ? " " : "-", STR_ARG(before));
        }
        if (!is_same && after.len > 0) {
            (void)printf("+ %.*s\n", STR_ARG(after));
        }
    }
    return str_eq(was, now);
}

/* Appends the decision, as explain_write_decision writes it, to `now`. */
static enum status write_again(struct buf *now, const struct decision *d)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    enum status st = explain_write_decision(&text, d);
    if (st == ST_OK) {
        st = copy_without_reasons(now, buf_str(&text));
    }
    buf_fini(&text);
    return st;
}

static enum status derive(const struct receipt_copy *r, struct buf *now, struct gaps *ret_gaps)
{
    struct decide_scratch scratch;
    struct decision decision;
    struct replay how = {.snapshot = r->snapshot};
    enum status st = decide_scratch_init(&scratch);
    if (st == ST_OK) {
        st = replay_decide(&how, &r->signals, &scratch, r->arena, &decision);
    }
    if (st == ST_OK || st == ST_INVALID) { /* invalid: nobody could take it, which is a decision */
        *ret_gaps = *decision.gaps;
        st = write_again(now, &decision);
    }
    decide_scratch_fini(&scratch);
    return st;
}

/* Says which facts are missing, one a line. */
static void print_gaps(const struct gaps *gaps)
{
    size_t told = gaps->count < GAPS_MAX ? gaps->count : GAPS_MAX;
    for (size_t i = 0; i < told; i++) {
        const struct gap *gap = &gaps->items[i];
        (void)printf("not known      %s%s%.*s\n", gap_sentence(gap->kind),
                     gap->name.len > 0 ? ": " : "", STR_ARG(gap->name));
    }
    if (gaps->count > told) {
        (void)printf("not known      %zu more\n", gaps->count - told);
    }
}

static int judge(const struct receipt_copy *r)
{
    struct buf now;
    struct gaps gaps = {.count = 0};
    if (!r->is_whole || r->was.len == 0) {
        (void)fprintf(stderr, "expertd route: this receipt holds no %s\n",
                      r->is_whole ? "decision to compare with: it was too long to be kept"
                                  : "signals to decide from again: it was made with "
                                    "state.receipts: decision");
        return 1;
    }
    buf_init(&now, TEXT_MAX_BYTES);
    enum status st = derive(r, &now, &gaps);
    if (st != ST_OK) {
        buf_fini(&now);
        (void)fprintf(stderr, "expertd route: %s\n",
                      st == ST_NOT_FOUND ? "the model that was asked for is not in this "
                                           "configuration"
                                         : status_text(st));
        return 1;
    }
    bool is_same = compare(buf_str(&r->was), buf_str(&now));
    print_gaps(&gaps);
    (void)printf("%s%s\n", is_same ? "the decision is the same" : "the decision is another one",
                 gaps.count > 0
                     ? "; a guess: the receipt does not tell all that this configuration "
                       "asks"
                     : "");
    buf_fini(&now);
    return is_same || !r->is_same_conf || !r->is_same_weights ? 0 : 1;
}

/* Finds the receipt and judges it. Returns the exit status. */
static int replay_from(struct db *db, struct receipt_copy *r, const char *request_id)
{
    enum status st = receipts_find(db, str_from(request_id), take, r);
    if (st == ST_OK) {
        return judge(r);
    }
    (void)fprintf(stderr, "expertd route: %s\n",
                  st == ST_NOT_FOUND   ? "there is no receipt of that request"
                  : st == ST_NO_MEMORY ? status_text(st)
                                       : db_why(db));
    return 1;
}

int cmd_route_replay(const struct snapshot *s, const char *request_id)
{
    struct receipt_copy r = {.snapshot = s};
    struct db *db = cmd_open_state("route", s, DB_READ);
    if (db == NULL) {
        return 1;
    }
    r.arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    buf_init(&r.was, TEXT_MAX_BYTES);
    int failed = 1;
    if (r.arena == NULL) {
        (void)fprintf(stderr, "expertd route: %s\n", status_text(ST_NO_MEMORY));
    } else {
        failed = replay_from(db, &r, request_id);
    }
    db_close(db);
    buf_fini(&r.was);
    arena_destroy(r.arena);
    return failed;
}
