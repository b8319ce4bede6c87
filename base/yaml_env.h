/* ${NAME} and ${NAME:-default} in the scalars of a configuration. Works on parsed text, so that a
 * value can never change the structure of the file. Used by base/yaml.c alone. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/str.h"

struct yaml_env {
    struct str text; /* in the arena, or the text itself when nothing had to be replaced */
    bool is_used;    /* a variable's value is in it */
    struct str why;  /* of ST_INVALID: a message that names the variable and never its value */
};

/* Replaces ${NAME} by the variable's value, ${NAME:-default} by the default where the variable is
 * missing or empty (the default ends at the first brace and is taken as it stands), and $$ by a
 * dollar. Any other dollar stays. `diags` are told of values, so that no later message shows one.
 * ST_INVALID: a malformed reference, a variable that is missing or empty and has no default, or one
 * that is not UTF-8. ST_NO_MEMORY. */
MUST_CHECK enum status yaml_env_expand(struct str text, struct arena *arena, struct diags *diags,
                                       struct yaml_env *ret);
