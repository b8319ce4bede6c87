/* What a configuration says without effect: rules that never fire, experts that nobody is sent to, the
 * same upstream twice in a row of fall-backs, thresholds out of reach. A file that says something which
 * cannot happen misleads whoever reads it. */
#pragma once

#include "base/keys.h"

struct routes;

/* Of tables without mistakes, after thresholds_build. What is surely not meant is an error, what has no
 * effect a warning; both go to reader->diags with their places. */
void advise(const struct routes *routes, struct key_reader *reader, struct str file);
