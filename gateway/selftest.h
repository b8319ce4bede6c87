/* The self-test: the sixteen failover scenarios (docs/failover.md) played on an operator's own
 * configuration, without network and without touching what is his. For each of them, plain and as a
 * stream, a gateway is started in this process whose experts are kernels, the first of them failing by
 * the scenario's script; it is asked over the loopback, its ledger is read, and a verdict given.
 * Blocks; for the command line, on one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/yaml.h"
#include "gateway/snapshot.h"

enum {
    SELFTEST_EXPERTS_MAX = 64,
    SELFTEST_TEXT_BYTES = 256,
};

struct selftest { /* what is tested; borrowed while it runs */
    const struct yaml_node *root;
    const struct snapshot *s;
    struct str folder; /* empty, for temporary files; left empty */
    FILE *out;         /* what is wrong with the configurations that are made of it */
};

struct selftest_target { /* a model that clients name, with the experts behind it */
    struct str model;
    const struct expert *experts[SELFTEST_EXPERTS_MAX]; /* that policies.min_score leaves */
    size_t count;
    const struct expert *first; /* who is asked first; set by selftest_probe */
};

struct selftest_result {
    const char *id;   /* "S01" */
    const char *name; /* what happens */
    char did[64];     /* the script of the expert that fails */
    bool is_stream;
    char got[SELFTEST_TEXT_BYTES]; /* what the client saw */
    int64_t attempts;
    char log[SELFTEST_TEXT_BYTES]; /* of attempts; of the last request, where there are several */
    int64_t rows;                  /* of the ledger */
    int64_t cost_nano_usd;         /* of those with a price */
    int64_t unpriced;
    int64_t told_nano_usd; /* what the client was told that it cost; -1: nothing */
    bool is_passed;
    char why[SELFTEST_TEXT_BYTES]; /* it is not */
};

/* The targets of a configuration: categories, then aliases; one of several with the same experts in
 * the same order, and one of those that have a single expert, unless all are wanted. Without either, the first expert. Fills at most max; returns how many. */
size_t selftest_targets(const struct snapshot *s, bool wants_all, struct selftest_target *targets,
                        size_t max);

/* Asks a gateway in which nobody fails, and notes who answers. ST_INVALID: nobody does, ret_why says
 * what came; ST_IO, ST_NO_MEMORY, ST_TIMEOUT: the machine did not let us. */
MUST_CHECK enum status selftest_probe(const struct selftest *t, struct selftest_target *target,
                                      char ret_why[SELFTEST_TEXT_BYTES]);

/* How many runs there are for a target, and one of them. As selftest_probe but for ST_INVALID: what
 * is wrong is in the result. */
size_t selftest_runs(void);
MUST_CHECK enum status selftest_run(const struct selftest *t, const struct selftest_target *target,
                                    size_t run, struct selftest_result *ret_result);
