/* See caching.h. */
#include "backends/caching.h"

static const struct key rows[] = {
    {.name = "ttl_s",
     .type = KEY_INT,
     .offset = offsetof(struct caching, ttl_s),
     .min = 1,
     .max = 2592000,
     .is_required = true,
     .sentence = "seconds that an answer is kept",
     .example = "3600"},
    {.name = "sampled",
     .type = KEY_BOOL,
     .offset = offsetof(struct caching, sampled),
     .fallback = "false",
     .sentence = "answers to requests whose temperature is not 0 are kept as well: asking again "
                 "gets the same answer, not another one"},
};

const struct keys caching_keys = {"caching", sizeof(struct caching), rows,
                                  sizeof rows / sizeof rows[0], "Answers that are kept."};
