/* The commands of the command line: each parses its own options, prints its own help, returns the
 * exit status (0 good, 1 it failed, 2 wrong usage). argv[0] is the command's name. */
#pragma once

#include <stdbool.h>

#include "base/db.h"

struct snapshot;

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_route(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_feedback(int argc, char **argv);
int cmd_ledger(int argc, char **argv);
int cmd_heads(int argc, char **argv);
int cmd_optimize(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_selftest(int argc, char **argv);

/* expertd check --against OLD: what changes for the requests of OLD's receipts. The exit status. */
int cmd_check_against(const struct snapshot *candidate, const struct snapshot *old, bool is_json);

/* expertd route --replay ID: a decision derived again from its receipt. Returns the exit status. */
int cmd_route_replay(const struct snapshot *s, const char *request_id);

/* expertd check --explain: who answers what. */
void cmd_check_explain(const struct snapshot *s);

/* The state file that a configuration names, or that stands at `path`. NULL: it cannot be used, which is
 * said on standard error in the name of the command. The caller closes it. */
struct db *cmd_open_state(const char *command, const struct snapshot *s, enum db_mode mode);
struct db *cmd_open_file(const char *command, const char *path, enum db_mode mode);
