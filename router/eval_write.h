/* An evaluation as text for people, as JSON and as a picture. Pure: appends to a buffer. */
#pragma once

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "router/eval.h"
#include "router/eval_table.h"

/* Appends a JSON object: "file": name, every figure of the report by its name in eval.h, "scores"
 * (out-of-scope figures by score), "reliability", "curve", "per_label", "labels", "confusion".
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_json(struct eval *e, const struct eval_report *report,
                                       struct str name, struct buf *out);

/* The object's "file" and figures only, without the closing brace. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_figures(const struct eval_report *report, struct str name,
                                          struct buf *out);

/* Appends an array of objects as eval_write_figures makes them, with "name" in place of "file",
 * most rows first. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_table_json(struct eval_table *table, struct buf *out);

/* The figures in some lines. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_text(const struct eval_report *report, struct str name,
                                       struct buf *out);

/* A line per entry under a heading, most rows first. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_table_text(struct eval_table *table, struct str heading,
                                             struct buf *out);

/* Out-of-scope scores, reliability, coverage-precision, labels and confusion, a table each.
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_details(struct eval *e, const struct eval_report *report,
                                          struct buf *out);

/* One self-contained SVG: reliability, coverage-precision, labels, confusion; readable on light and
 * on dark ground. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_svg(struct eval *e, const struct eval_report *report,
                                      struct str name, struct buf *out);
