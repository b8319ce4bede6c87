/* What the process gives up for good once its configuration is read and before it starts threads, so
 * that whoever takes it over gets little: new privileges, memory dumps, files outside a list
 * (Landlock), system calls outside a list (seccomp). Children inherit all of it.
 *
 * Exceptions are needs: whatever has one says so in struct sandbox_needs, in process.c, and has a row
 * in docs/operations.md. */
#pragma once

#include <stdbool.h>

#include "base/keys.h"
#include "base/status.h"

enum sandbox_mode {
    SANDBOX_AUTO, /* what this kernel gives */
    SANDBOX_ON,   /* all of it, or no start */
    SANDBOX_OFF,
};

extern const char *const sandbox_modes[]; /* the same as words, NULL at the end */

struct sandbox_needs {
    const char *conf_path;           /* its folder may be read */
    const struct key_path *files;    /* so may theirs; list, NULL: none */
    const struct key_texts *folders; /* so may these */
    struct str state_file;           /* its folder may be written; "": none */
    struct str logs[2];              /* files that may be appended to; "": none */
    bool exec;                       /* starts programs */
    const char *groups; /* folder of the control groups that it makes; NULL, "": none */
};

/* Enters it, and logs in one line what holds. ST_INVALID: mode ON and something does not hold, which was
 * logged. One thread; irreversible. */
MUST_CHECK enum status sandbox_enter(enum sandbox_mode mode, const struct sandbox_needs *needs);

/* Whether files are confined: a reload that cannot read one may want to know. */
bool sandbox_confines_files(void);
