/* ${NAME} and ${NAME:-default} in the scalars of a configuration. Works on parsed text, so that a
 * value can never change the structure of the file. Used by base/yaml.c alone. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* Replaces ${NAME} by the variable's value, ${NAME:-default} by the default where the variable is
 * missing or empty (the default ends at the first brace and is taken as it stands), and $$ by a
 * dollar. Any other dollar stays. *ret_text lives in the arena, or is `text` itself when nothing had
 * to be replaced.
 * ST_INVALID with *ret_why, a message that names the variable and never its value: a malformed
 * reference, a variable that is missing or empty and has no default, or one that is not UTF-8.
 * ST_NO_MEMORY. */
MUST_CHECK enum status yaml_env_expand(struct str text, struct arena *arena, struct str *ret_text,
                                       bool *ret_is_from_env, struct str *ret_why);
