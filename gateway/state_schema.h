/* The tables of the state file, as the steps that lead to them. A step that was released never
 * changes: what must change is a new step. */
#pragma once

#include <stddef.h>

enum {
    STATE_SCHEMA_VERSION = 4
};

extern const char *const state_schema[STATE_SCHEMA_VERSION]; /* for db_migrate */
