/* The receipt of one exchange: begun when it is decided, written once it is known what came of it,
 * before the last byte of the answer where the durability promises that (attempt_must_wait). Nothing
 * happens, and nothing is allocated, with state.receipts off. Worker's thread. */
#pragma once

#include "gateway/recent.h"

struct exchange;
struct receipt;

/* Begins it, and gives the place where what was decided is to be described; NULL: there is no receipt
 * to be made, or no memory for it, which is logged. Lost rows count in expertd_state_rows_total. */
struct recent_decision *receipt_begin(struct exchange *x);

/* Hands the receipt to the state file; no-op where it was, or none was begun. */
void receipt_send(struct exchange *x);

/* Whether it is on its way to the disk. The exchange is woken when it is there. */
bool receipt_is_on_its_way(const struct exchange *x);

/* Lets go of it: what is on its way is stored, nobody is told. */
void receipt_forget(struct exchange *x);
