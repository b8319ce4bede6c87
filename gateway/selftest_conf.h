/* The configuration that a self-test serves: the operator's policies, categories and aliases, with the
 * experts of his file replaced by kernels that answer, but for one that fails by a script. Says nothing
 * of tenants, budgets, classifier, files: nothing of the operator's is read or written. Pure. */
#pragma once

#include "base/buf.h"
#include "base/yaml.h"
#include "gateway/snapshot.h"

struct selftest_conf {
    const struct yaml_node *root; /* the operator's file */
    const struct snapshot *s;     /* the same, decoded */
    const struct expert *failing; /* of s */
    const char *script;           /* its faults, as a YAML list */
    int64_t divisor;   /* of the deadlines and waits that the scenario runs into; 1: none */
    struct str folder; /* for the state file */
};

/* Appends the file. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status selftest_conf_write(const struct selftest_conf *c, struct buf *out);
