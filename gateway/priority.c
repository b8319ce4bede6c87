/* See priority.h. */
#include "gateway/priority.h"

const char *const priority_words[] = {"low", "normal", "high", NULL};

enum status priority_read(struct str text, enum expert_priority of_tenant, bool may_raise,
                          enum expert_priority *ret_priority)
{
    int found = (int)of_tenant;
    if (text.len > 0) {
        found = 0;
        while (priority_words[found] != NULL && !str_eq(text, str_from(priority_words[found]))) {
            found++;
        }
        if (priority_words[found] == NULL) {
            return ST_INVALID;
        }
    }
    if (found > (int)of_tenant && !may_raise) {
        return ST_CLOSED;
    }
    *ret_priority = (enum expert_priority)found;
    return ST_OK;
}
