/* The impact of a changed configuration: what came lately, known by its signals, is decided by the
 * configuration in use and by the candidate, and what differs is counted. No texts, no keys; what the
 * signals do not tell is called a guess. Neither the loop's nor the request path's: a preview takes a few
 * microseconds for each request.
 *
 * Budgets are played from the first request to the last, for both sides alike: each request spends what
 * its first expert was estimated to cost. A window that is still open begins with what was spent in it
 * before the first of these requests. */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "gateway/snapshot.h"
#include "router/gaps.h"
#include "router/signals.h"

enum {
    PREVIEW_REQUESTS_MAX = 10000,
    PREVIEW_MOVES_MAX = 32, /* the first pairs of categories that are listed */
};

struct preview_request {
    int64_t made_ms; /* since 1970 */
    struct signals signals;
};

struct preview_source {
    struct preview_request *requests; /* put in order */
    size_t count;
    int64_t now_s;
};

struct preview_name { /* a category or an expert of either configuration */
    struct str name;  /* "": requests that were refused, or named an expert */
    int64_t before;   /* requests */
    int64_t after;
    int64_t before_nano_usd; /* of experts: as estimated */
    int64_t after_nano_usd;
};

struct preview_list {
    struct preview_name *items;
    size_t count;
};

struct preview_spending { /* of a budget in one configuration */
    bool is_there;
    int64_t limit_nano_usd;
    int64_t already_nano_usd; /* in the window that is open now, before these requests */
    int64_t nano_usd;         /* what these cost it */
    int64_t hits;             /* requests that it kept from an expert */
    int64_t refused;          /* requests that had nobody left, and this is one reason */
};

struct preview_budget {
    struct str name;
    struct preview_spending sides[2]; /* before, after */
};

struct preview_move {
    struct str from;
    struct str to;
    int64_t requests;
};

struct preview {
    const struct snapshot *before;
    const struct snapshot *after;
    int64_t requests;
    int64_t guesses; /* of them */
    int64_t gaps[GAP_KINDS_COUNT];
    int64_t new_categories; /* requests that get another one */
    int64_t new_experts;    /* requests whose first expert is another one */
    struct preview_list categories;
    struct preview_list experts; /* "": refused */
    struct preview_budget *budgets;
    size_t budget_count;
    struct preview_move moves[PREVIEW_MOVES_MAX];
    size_t move_count;
    int64_t moves_unlisted; /* requests */
    struct str *rules;      /* of the candidate, new ones on texts or headers: not tried */
    size_t rule_count;
};

/* Decides each request by both, the oldest first. The result borrows from the snapshots and the arena.
 * ST_NO_MEMORY. */
MUST_CHECK enum status preview_run(const struct snapshot *before, const struct snapshot *after,
                                   const struct preview_source *source, struct arena *arena,
                                   struct preview *ret);

/* As JSON. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status preview_write(const struct preview *p, struct buf *out);

/* As a table for people. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status preview_write_text(const struct preview *p, struct buf *out);
