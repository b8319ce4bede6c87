/* Options of kernels: from the configuration's YAML to the JSON that kernels read. */
#pragma once

#include "base/buf.h"
#include "base/status.h"
#include "base/yaml.h"

/* Appends a node as JSON: plain scalars that are numbers, true, false or null as such, all others as
 * text; NULL as {}. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status kernel_options_write(const struct yaml_node *node, struct buf *out);

/* The node that a path like "folder", "faults[2]" or "a.b[0].c" names, or the nearest one around it
 * that there is. NULL only for a NULL root. */
const struct yaml_node *kernel_options_find(const struct yaml_node *root, struct str path);
