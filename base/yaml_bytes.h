/* The bytes of a YAML file before libyaml sees them. Used by base/yaml.c alone. */
#pragma once

#include "base/diag.h"

/* Refuses what must not reach the parser: too many bytes, NUL, invalid UTF-8, UTF-16, %TAG lines.
 * ST_INVALID with a diagnostic. */
MUST_CHECK enum status yaml_bytes_check(struct str text, struct str file, struct diags *diags);

/* Line and column (in code points) of a byte of the text. */
struct pos yaml_bytes_pos(struct str text, size_t offset);
