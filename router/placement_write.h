/* What placement.h found, for people and for the configuration. Each appends to the buffer:
 * ST_NO_MEMORY, ST_TOO_BIG. */
#pragma once

#include "base/buf.h"
#include "router/placement.h"
#include "router/routes.h"

/* Names as the command line and the messages have them. */
struct str placement_trait_name(enum score_trait trait); /* of the table's column */

/* Experts, cells (n, raw, shrunk; the chosen ones marked), the frontier, the choice. */
MUST_CHECK enum status placement_write_text(const struct placement *p,
                                            const struct placement_point *point,
                                            const struct placement_frontier *frontier,
                                            struct buf *out);

/* A sentence for each expert whose answers look wrong; `prefix` starts each line. */
MUST_CHECK enum status placement_write_warnings(const struct placement *p, struct str prefix,
                                                struct buf *out);

/* The block `categories:`, each number with where it came from. `routes` (NULL: none) is the present
 * configuration: titles and thresholds stay, and categories that the table lacks stay as they are. */
MUST_CHECK enum status placement_write_yaml(const struct placement *p,
                                            const struct placement_point *point,
                                            const struct routes *routes, struct buf *out);

/* Quality over cost: the frontier, single experts, the choice. No script, no font file, no link. */
MUST_CHECK enum status placement_write_svg(const struct placement *p,
                                           const struct placement_point *point,
                                           const struct placement_frontier *frontier,
                                           struct buf *out);
