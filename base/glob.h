/* Patterns of names: `*` stands for any run of characters, also none and also slashes; everything else
 * for itself. No classes, no `?`, no escapes: names contain none of these. Pure. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* Whether the whole text fits. Time is at most the product of both lengths. */
bool glob_matches(struct str pattern, struct str text);
