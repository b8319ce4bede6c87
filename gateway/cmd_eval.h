/* `expertd eval`: the figures of a classifier on labelled prompts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

struct classifier;

struct cmd_eval_request {
    double threshold;   /* below it the category is `general` */
    struct str general; /* the label that means no expert */
    const char *const *files;
    size_t file_count;
    const char *const *baseline_files; /* rows that the centroid baseline is fitted to */
    size_t baseline_count;             /* 0: no centroid */
    const char *svg;                   /* where the picture of all files goes; NULL: none */
    double second_look; /* support that the second half of a text must give: router/steer.h */
    bool is_json;
    bool is_perturbed; /* also: how often the best label of English rows changes, by perturb.h */
};

int cmd_eval(int argc, char **argv); /* returns the exit status */

/* Scores the files and prints one report for each, and for all of them together one with tables by
 * source and language. ST_IO and ST_INVALID with a diagnostic; ST_NO_MEMORY. */
MUST_CHECK enum status cmd_eval_run(const struct classifier *c,
                                    const struct cmd_eval_request *request, struct diags *diags,
                                    FILE *out);
