/* See prompt.h. */
#include "router/prompt.h"

#include <string.h>

void prompt_from_text(struct prompt *prompt, struct str model, struct str text)
{
    memset(prompt, 0, sizeof *prompt);
    prompt->model = model;
    prompt->segments[0] = (struct classifier_segment){text, 1.0F};
    prompt->segment_count = 1;
    prompt->text_bytes = (int64_t)text.len;
}

struct str prompt_last_text(const struct prompt *prompt)
{
    return prompt->segment_count == 0 ? STR("") : prompt->segments[0].text;
}

int64_t prompt_tokens_estimate(const struct prompt *prompt)
{
    enum {
        BYTES_PER_TOKEN = 4
    };

    return (prompt->text_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}
