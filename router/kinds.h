/* What kinds of prompt this is, as guarantees ask it: more than the decision, which is about the best
 * answer. The whole conversation goes to the expert, so each turn counts, not the last one alone. */
#pragma once

#include "router/decide.h"

/* Fills d->kinds of a decision whose source, category, rule and scores are known. Classifies where
 * the decision did not. Looks at what the classifier looks at: the text of the opening turn, of the
 * last five and of the system prompt; of long texts head and tail. Not at pictures. */
void kinds_find(const struct routes *routes, struct decide_scratch *s, const struct prompt *prompt,
                struct decision *d);
