/* The options of a command as a table: what each is called, and where its value goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cmd_option_kind {
    CMD_FLAG,   /* bool: it is there */
    CMD_HELP,   /* the same, and the rest is not read */
    CMD_TEXT,   /* const char *, of argv */
    CMD_NUMBER, /* int64_t from min to max */
    CMD_REAL,   /* double */
    CMD_CALL,   /* what `take` makes of it; false: the value is wrong */
};

struct cmd_option {
    const char *name; /* as in --name */
    enum cmd_option_kind kind;
    void *place; /* of the value; for CMD_CALL whatever `take` wants */
    char letter; /* as in -n; 0: none */
    int64_t min;
    int64_t max;
    bool (*take)(void *place, const char *value);
};

enum {
    CMD_OPTIONS_MAX = 24,
};

/* Reads all of argv behind the command's name. False: the usage is to be shown, because of an option that is
 * unknown or has a wrong value (places may have changed), or of a word that is no option. */
bool cmd_options_read(int argc, char **argv, const struct cmd_option *options, size_t count);
