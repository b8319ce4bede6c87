/* Proves the guarantees of a configuration: walks every way on which it lets a prompt reach an expert
 * (categories and all their experts, the categories of unsure prompts, conformal sets, rules, aliases)
 * and finds those that leave what a guarantee permits. What only a client can bring about (an expert
 * named outright, another category named, the expert of the conversation before) is no path of the
 * file: there policies/guarantee.c drops the expert. */
#pragma once

#include "base/keys.h"

struct routes;

/* After guarantees_build, of tables without mistakes. Paths that leave a guarantee go to
 * reader->diags as errors, each with the place where it is written. */
void prove(const struct routes *routes, struct key_reader *reader, struct str file);

/* The same for the guarantees that ask whether private data is replaced, which prove() leaves out:
 * once routes->redaction is set. */
void prove_redaction(const struct routes *routes, struct key_reader *reader, struct str file);
