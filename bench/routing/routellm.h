/* Table 1: a weak and a strong model (RouteLLM's recorded answers), routers fitted on a tenth of the
 * questions and judged on the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/status.h"
#include "bench/routing/curve.h"
#include "bench/routing/data.h"
#include "router/classifier.h"

enum routellm_router {
    ROUTELLM_RANDOM,
    ROUTELLM_DOMAINS,  /* shipped classifier, then a table domain -> gain */
    ROUTELLM_SUBJECTS, /* a subject router trained on the tenth, then a table subject -> gain */
    ROUTELLM_LEARNER,  /* the shipped learner on who is right, no categories */
    ROUTELLM_BLEND,    /* all of them and the shape of the text, by ridge regression */
    ROUTELLM_ORACLE,
};

enum {
    ROUTELLM_ROUTERS = ROUTELLM_ORACLE + 1,
    ROUTELLM_SEEDS = 5,
};

struct routellm_result {
    size_t questions;
    size_t dropped;
    size_t fitted; /* questions that routers are fitted on */
    double weak;   /* share right */
    double strong;
    bool has_subjects; /* else ROUTELLM_SUBJECTS says nothing and is not shown */
    struct curve curves[ROUTELLM_ROUTERS][ROUTELLM_SEEDS];
};

/* Measures. ST_NO_MEMORY, ST_IO, ST_INVALID. */
MUST_CHECK enum status routellm_run(const struct data_pairs *pairs,
                                    const struct classifier *domains, struct diags *diags,
                                    struct routellm_result *ret_result);

/* The table as text; `is_mmlu`: with the published figures beside. */
void routellm_print(const struct routellm_result *r, bool is_mmlu, FILE *out);

MUST_CHECK enum status routellm_write_json(const struct routellm_result *r, struct buf *out);

/* The curves of the first seed as a picture. */
MUST_CHECK enum status routellm_write_svg(const struct routellm_result *r, struct buf *out);
