/* The state file for commands, see cmd.h. */
#include <stdio.h>

#include "gateway/cmd.h"
#include "gateway/snapshot.h"
#include "gateway/state.h"

struct db *cmd_open_file(const char *command, const char *path, enum db_mode mode)
{
    char why[DB_WHY_BYTES];
    struct db *db = NULL;
    if (state_open_file(path, mode, &db, why) != ST_OK) {
        (void)fprintf(stderr, "expertd %s: cannot use the state file \"%s\": %s\n", command, path,
                      why);
        return NULL;
    }
    return db;
}

struct db *cmd_open_state(const char *command, const struct snapshot *s, enum db_mode mode)
{
    if (s->conf.state.path.len == 0) {
        (void)fprintf(stderr, "expertd %s: %.*s has no state block: nothing is stored\n", command,
                      STR_ARG(s->file));
        return NULL;
    }
    return cmd_open_file(command, s->conf.state.path.ptr, mode); /* a KEY_PATH: terminated */
}
