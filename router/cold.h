/* Who answers when the best expert's process is not loaded, in a decision: the rule of the category
 * (policies/warm.h), once decide() has made a plan and the candidates' wait_ms are set. Pure. */
#pragma once

struct decision;

/* 0: the best one. WARM_NOBODY: nobody, the decision keeps its order. Else the runner-up, who now comes
 * first; those that were before it follow in their order, the best one with the reason. */
int cold_apply(struct decision *d);
