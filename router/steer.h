/* Is a verdict the prompt's own, or that of words put in front of it? The attack of reroute.h moves
 * nine prompts of ten with ten words before them. What it cannot do is speak in the prompt's second
 * half: a verdict that finds no support there is doubtful, and the general category is the answer
 * that costs the least.
 *
 * A trade, not a cure, hence not part of classifier_score: honest prompts whose first words say it all
 * ("translate: ...") are doubted too. Figures for both sides: docs/evaluation.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "router/classifier.h"

/* True when the second half of the text gives the best label of `result` (of the whole text) less
 * than the probability `least`. Texts of fewer than six words are never doubted. Costs another
 * classifier_score of half the text. `least` 0: never. */
bool steer_is_doubtful(const struct classifier *c, struct classifier_scratch *s, struct str text,
                       const struct classifier_result *result, float least);

/* Makes a doubtful verdict the general one: more than half of the probability goes there, the rest
 * keeps its order. Nothing happens when there is no label of the index `general`. */
void steer_doubt(struct classifier_result *result, size_t general);
