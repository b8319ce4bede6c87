/* Hedging: a second call beside one whose first token is late (`policies.hedge`). The first of the two
 * that has something for the client is the answer; the other one is cancelled at once and has a row of
 * its own in the ledger, with the outcome `hedged`.
 *
 * The exchange has all that belongs to an attempt once: expert, call, place, vault, relay, ... While two
 * are at work the other one's are kept here, and hedge_turn exchanges them; nothing has gone to the
 * client then. Whom to ask is the plan's decision (plan_beside), and guarantees, breakers, budgets and
 * limits hold for it as for any attempt; it waits for no place. One second call per request.
 *
 * Policies see no hedging: it happens after the decision, so that a replay is none the wiser. Worker's
 * thread. */
#pragma once

#include <stdbool.h>

struct exchange;

/* A call has begun: sets the timer of the second one, if hedging is on. */
void hedge_arm(struct exchange *x);

/* Whether a second call is at work, and it is not known yet who answers. */
bool hedge_is_open(const struct exchange *x);

/* The current call has nothing: makes the other one current, and starts it first when its time has come.
 * False: there is no other one. */
bool hedge_turn(struct exchange *x);

/* The current call answers. Safe while its relay runs. No-op where that is known, or it is alone. */
void hedge_win(struct exchange *x);

/* Cancels and settles the call that lost, after hedge_win. No-op else. */
void hedge_settle(struct exchange *x);

/* The current attempt has failed and is settled, its call and relay dropped: the other one goes on. */
void hedge_take_over(struct exchange *x);

/* Cancels the timer, and the other call. */
void hedge_forget(struct exchange *x);

/* For the metrics, once: what became of the second call, if there was one. */
void hedge_count(const struct exchange *x);

/* "won" (the second call answered), "lost", "cancelled" (the client left); NULL: there was none. */
const char *hedge_text(const struct exchange *x);
