/* An attempt as the ledger sees it: opened before the expert is asked, settled exactly once when it is
 * over, however it ended. Settling decides what it cost - what the expert reported wins, else an
 * estimate of what was delivered - and hands its row to the state file. With durability `commit` the
 * answer's last byte waits for that row (attempt_must_wait). Worker's thread. */
#pragma once

#include <stdbool.h>

#include "backends/call_outcome.h"
#include "base/status.h"

struct budget;
struct exchange;
struct attempt;

/* Opens the attempt at x->leg.expert: reserves what it may cost. ST_TOO_BIG: *ret_budget cannot pay it;
 * ST_NO_MEMORY. */
MUST_CHECK enum status attempt_open(struct exchange *x, const struct budget **ret_budget);

/* Records that the answer of x->leg.expert came from the cache: nothing was used, nothing is due. */
void attempt_record_cached(struct exchange *x);

/* Settles the open attempt; no-op where none is open. `outcome` is how it ended; x->leg.call is still
 * there, or NULL where the expert was never asked. Adds to x->cost_nano_usd, sets x->leg.usage. */
void attempt_settle(struct exchange *x, enum call_outcome outcome);

/* Whether rows of this exchange, its receipt included, are promised to be on disk before the answer
 * ends, and are not yet.
 * Then the exchange is woken when they are, after a few seconds at the latest: an answer is late for a
 * disk that hangs, not lost. */
bool attempt_must_wait(struct exchange *x);

/* Lets go of rows that are on their way: they are stored, nobody is told. */
void attempt_forget(struct exchange *x);
