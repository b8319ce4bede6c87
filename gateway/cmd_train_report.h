/* The report of `expertd train`: every row judged by the model that saw nothing of its group of
 * sources, with all the figures of router/eval.h and a centroid that saw as little. */
#pragma once

#include "base/buf.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"
#include "router/prompts.h"
#include "router/train.h"

/* Calls on_prompt for each row that was added to the trainer, in that order; called more than once.
 * Returns what reading or on_prompt returned. */
typedef enum status (*cmd_train_each_fn)(void *ctx, prompts_fn on_prompt, void *prompt_ctx);

/* After train_run: appends the report to `json` as one object {"left_out": [a report for each
 * group], "pooled", "sources", "languages"} and the same to `text` for people. ST_INVALID: there was
 * but one group; ST_NO_MEMORY, ST_TOO_BIG, or what `each` returned. */
MUST_CHECK enum status cmd_train_report(const struct trainer *trainer, cmd_train_each_fn each,
                                        void *ctx, struct buf *json, struct buf *text);
