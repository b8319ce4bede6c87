/* Drops experts that declare what they can do and lack something the prompt needs, or that declare
 * their languages and lack the prompt's, or that embed in another space than the expert asked for. An expert
 * that declares nothing can do everything but embed. */
#include "policies/policy.h"

static const struct {
    unsigned bit;
    const char *name;
} needs[] = {
    {POLICY_TOOLS, "tools"}, {POLICY_JSON, "json"},        {POLICY_VISION, "vision"},
    {POLICY_AUDIO, "audio"}, {POLICY_EMBED, "embeddings"},
};

enum {
    NEED_COUNT = sizeof needs / sizeof needs[0]
};

static bool speaks(const struct policy_candidate *c, struct str language)
{
    bool is_found = c->language_count == 0 || language.len == 0;
    for (size_t i = 0; i < c->language_count; i++) {
        is_found = is_found || str_eq(c->languages[i], language);
    }
    return is_found;
}

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned missing = request->needs & ~candidates[i].capabilities;
        for (size_t k = 0; k < NEED_COUNT; k++) {
            if ((missing & needs[k].bit) != 0) {
                policy_drop(&candidates[i], &policy_capability,
                            "the prompt needs %s, which the expert does not have", needs[k].name);
            }
        }
        if (candidates[i].unlike.len > 0) {
            policy_drop(&candidates[i], &policy_capability,
                        "its embeddings are not known to be like those of %.*s",
                        STR_ARG(candidates[i].unlike));
        }
        if (!speaks(&candidates[i], request->language)) {
            policy_drop(&candidates[i], &policy_capability,
                        "the prompt is in \"%.*s\", which the expert does not declare",
                        STR_ARG(request->language));
        }
    }
}

const struct policy policy_capability = {
    "capability",
    "drops experts that lack what the prompt needs: tools, json, vision, audio, embeddings, its "
    "language",
    apply};
