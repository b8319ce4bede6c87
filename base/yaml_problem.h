/* What libyaml says, in words for the operator of a server. Used by base/yaml.c alone. */
#pragma once

enum yaml_problem_place {
    YAML_PROBLEM_HERE,  /* report where the parser stopped */
    YAML_PROBLEM_START, /* report where the thing that it was reading starts */
    YAML_PROBLEM_BOTH,  /* where it stopped, and name the line where the thing starts */
};

struct yaml_problem {
    const char *problem;  /* libyaml's text */
    const char *sentence; /* ours; NULL: not known, say libyaml's */
    enum yaml_problem_place place;
};

/* The row for a problem as libyaml words it; never NULL. */
const struct yaml_problem *yaml_problem_find(const char *problem);
