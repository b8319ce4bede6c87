/* Rows from which a head is fitted: what the classifier finds in labelled prompts (prompts.h), and
 * what the head should say of them. Rows of one source family are left out together; where all are
 * of one family, every fifth of them in their order.
 * One owner, one thread. */
#pragma once

#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"
#include "router/fit_head.h"
#include "router/heads.h"
#include "router/prompts.h"

struct head_rows;

/* Both are borrowed until destroy. NULL: no memory. */
struct head_rows *head_rows_create(const struct classifier *c, const struct heads *shape);
void head_rows_destroy(struct head_rows *rows); /* NULL allowed */

/* Adds a prompt for the head of that name: its "value", or else 1 where the name is its label or
 * among "accept", and 0 where it is not. ST_NO_MEMORY; ST_TOO_BIG: more than FIT_HEAD_GROUPS_MAX
 * source families. */
MUST_CHECK enum status head_rows_add(struct head_rows *rows, struct str name,
                                     const struct prompts_row *prompt);

/* Everything that was added, with its groups; borrowed until the next add. */
struct fit_head_task head_rows_task(struct head_rows *rows, enum head_kind kind);

/* The source family of a group, or "fifth" where all are of one. */
struct str head_rows_group(const struct head_rows *rows, size_t group);
