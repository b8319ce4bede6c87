/* An exchange: one client request and its reply. Private to the gateway's step files; the way of a
 * request is drawn in exchange.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/call.h"
#include "base/arena.h"
#include "base/loop.h"
#include "gateway/chat_edit.h"
#include "gateway/chat_request.h"
#include "gateway/expert_queue.h"
#include "gateway/failover.h"
#include "gateway/http_server.h"
#include "gateway/metrics.h"
#include "gateway/problem.h"
#include "gateway/quota.h"
#include "gateway/relay.h"
#include "gateway/snapshot.h"
#include "gateway/usage.h"
#include "router/decide.h"

struct attempt;
struct receipt;
struct budget_who;
struct editing;
struct exchange;
struct feedback_job;
struct hedge;
struct preview_job;
struct lookup;
struct worker;

enum exchange_step {
    EX_AUTHENTICATE,
    EX_RECEIVE,
    EX_PARSE,
    EX_EMBED,
    EX_ADMIT,
    EX_DECIDE,
    EX_LOOKUP,
    EX_DISPATCH,
    EX_RELAY,
    EX_ANSWER,
    EX_FEEDBACK,
    EX_PREVIEW,
    EX_PAGE,
    EX_REFUSE,
    EX_FINISH,
    EX_ACCOUNT,
    EX_LOG,
};

enum step_result {
    STEP_MORE, /* go on with x->step, which the step has set by exchange_go */
    STEP_WAIT, /* something is armed that will wake it, a deadline always */
    STEP_DONE, /* nothing is left to do: the exchange is destroyed */
};

struct endpoint { /* one row per path; see exchange.c */
    const char *method;
    struct str path;
    bool is_prefix; /* the path goes on with a name */
    bool is_admin;
    bool is_public;
    enum exchange_step first;
    enum status (*write)(struct exchange *x, struct buf *out); /* EX_PAGE: the document */
    const char *content_type;
};

/* What an exchange has of one attempt, the current or the last one. While two experts are asked at once
 * (hedge.h), the other one's is kept apart. */
struct leg {
    const struct expert *expert;
    struct call *call;
    struct attempt *attempt;    /* open: its expert is asked; NULL: none */
    struct expert_place place;  /* at the expert: asked for, waited for, taken */
    struct redact_vault *vault; /* what was replaced for it; NULL: nothing was asked */
    struct restore *restore;    /* in the arena; NULL: there is nothing to restore */
    struct relay relay;         /* if has_relay */
    struct chat_edit_notes edited;
    struct usage usage;
    struct str error_document; /* of an error that came as an event; empty: the call has it */
    int error_status;          /* of an answer that is an error, whatever its head says; 0: none */
    int64_t first_byte_us;     /* of the expert; 0: none */
    int64_t asked_us;          /* when it began; 0: the first one */
    bool is_repeat;            /* the expert was asked before */
    bool is_noted;             /* among the failures (failover.h) */
    bool has_relay;
    bool is_stream;  /* of events */
    bool asks_usage; /* the gateway asked, the client did not */
    bool is_usage_estimated;
};

struct exchange {
    struct worker *worker;
    struct snapshot *snapshot;
    struct http_request *http; /* NULL once it is closed */
    struct arena *arena;
    const struct endpoint *endpoint;
    const struct tenant_key *key; /* NULL: nobody is known, or not yet */
    const struct tenant *tenant;  /* whose key it is, or NULL */
    enum expert_priority priority;
    struct exchange *next_runnable;
    enum exchange_step step;
    bool is_admin;
    bool is_runnable;
    bool is_received; /* the body is complete */
    bool is_gone;     /* the client left */
    bool is_replied;  /* a reply was started */
    char id[24];

    int64_t started_us;
    int64_t received_us;
    int64_t dispatched_us; /* first call; 0: none */
    int64_t ended_us;

    struct chat_request chat;       /* a request for embeddings too */
    struct quota_verdict admission; /* is_allowed: to be released, see step_account.c */
    int64_t reserved_tokens;        /* taken from the tenant's rate at admission */
    uint64_t session;               /* key of the conversation and who has it; 0: none */
    struct decision decision;
    struct lookup *lookup; /* in the cache of answers; NULL: nothing is looked up */
    struct leg leg;
    struct hedge *hedge; /* a second call, or the timer of one; NULL: hedging is off */
    size_t attempts;
    struct failover failover;
    struct attempt *storing;       /* settled, on their way to the disk */
    struct receipt *receipt;       /* begun, or on its way to the disk; NULL: there is none */
    struct loop_timer store_timer; /* ends the wait for them */

    struct feedback_job *feedback; /* waits for the disk; NULL: none */
    struct str feedback_id;        /* of the request it is about; empty: not taken yet */
    size_t feedback_features;
    enum status feedback_status;

    struct preview_job *preview; /* runs, or is done; NULL: none */
    bool is_previewed;           /* it is done */

    struct buf page;       /* a document of our own: pages, errors */
    int64_t cost_nano_usd; /* of all settled attempts */
    bool is_cost_unknown;  /* one of them has no price */
    bool is_answered;      /* all that the expert said has gone out */
    int http_status;
    enum problem problem;
    struct str problem_message;
    struct str problem_param;
    const char *allow; /* PROBLEM_METHOD: what the path takes */
    int64_t retry_after_s;
    enum metrics_outcome outcome;
    const char *reason; /* static text, for the log */
};

/* For http_server_create; the ctx is the worker. */
extern const struct http_hooks exchange_hooks;
extern const struct http_hooks exchange_admin_hooks;

/* Runs the steps until one waits or the exchange is over (then it is freed). */
void exchange_run(struct exchange *x);

/* For the steps. */
void exchange_wake(void *exchange); /* marks it runnable; safe inside callbacks */
void exchange_go(struct exchange *x, enum exchange_step next);
enum step_result exchange_refuse(struct exchange *x, enum problem problem, struct str message,
                                 struct str param); /* message: static or in the arena */
void exchange_drop_call(struct exchange *x);

/* Whose fault it is that there is no good answer, as far as it is known now. */
enum problem_fault exchange_fault(const struct exchange *x);

/* The checksum of the classifier in use; 0: there is none. */
uint64_t exchange_weights(const struct exchange *x);

/* For gateway/editing.h. Borrows from the exchange. */
struct editing exchange_editing(const struct exchange *x);

/* Whose money an attempt at `expert` would be. Borrows from the exchange and its snapshot. */
struct budget_who exchange_who(const struct exchange *x, struct str expert, struct str category);

/* Fills the headers that every reply carries; values live in the arena. */
void exchange_add_headers(struct exchange *x, struct http_reply *reply, const char *content_type);
void exchange_add_header(struct http_reply *reply, const char *name, const char *value);

/* The steps, one file each. */
enum step_result step_authenticate(struct exchange *x);
enum step_result step_receive(struct exchange *x);
enum step_result step_parse(struct exchange *x);
enum step_result step_embed(struct exchange *x); /* step_parse.c */
enum step_result step_admit(struct exchange *x);
enum step_result step_decide(struct exchange *x);
enum step_result step_lookup(struct exchange *x);
enum step_result step_dispatch(struct exchange *x);
enum step_result step_relay(struct exchange *x);
enum step_result step_answer(struct exchange *x);
enum step_result step_feedback(struct exchange *x);
enum step_result step_preview(struct exchange *x);
enum step_result step_page(struct exchange *x);
enum step_result step_refuse(struct exchange *x);
enum step_result step_finish(struct exchange *x);
enum step_result step_account(struct exchange *x);
enum step_result step_log(struct exchange *x);

/* Writes bytes of an event stream to the client, its head first; a relay_write_fn. */
enum status step_answer_write(void *exchange, struct str bytes);

/* Asks x->leg.expert, beside a call that is at work. False: it could not be asked, nothing is open. */
bool step_dispatch_beside(struct exchange *x);

/* Lets go of feedback that waits for the disk: it is stored, nobody is told. */
void step_feedback_forget(struct exchange *x);
/* Lets go of a preview: it ends by itself, nobody is told. */
void step_preview_forget(struct exchange *x);
enum status pages_preview(struct exchange *x, struct buf *out);  /* step_preview.c */
enum status pages_feedback(struct exchange *x, struct buf *out); /* step_feedback.c */
enum status pages_rollback(struct exchange *x, struct buf *out); /* step_feedback.c */

/* Documents of pages (pages.c). */
enum status pages_models(struct exchange *x, struct buf *out);
enum status pages_model(struct exchange *x, struct buf *out); /* ST_NOT_FOUND */
enum status pages_route(struct exchange *x, struct buf *out);
enum status pages_experts(struct exchange *x, struct buf *out);
enum status pages_health(struct exchange *x, struct buf *out);
enum status pages_processes(struct exchange *x, struct buf *out);
enum status pages_expert(struct exchange *x, struct buf *out); /* ST_NOT_FOUND */
enum status pages_metrics(struct exchange *x, struct buf *out);
