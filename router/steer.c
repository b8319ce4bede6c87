/* See steer.h. */
#include "router/steer.h"

#include "router/softmax.h"

enum {
    WORDS_MIN = 6, /* the half of fewer says too little */
};

static const float doubt = 0.55F; /* the share that goes to general: the usual threshold */

static size_t count_words(struct str text)
{
    size_t words = 0;
    struct str rest = text;
    struct str word;
    while (words < WORDS_MIN && str_split(rest, ' ', &word, &rest)) {
        words += word.len > 0;
    }
    return words;
}

bool steer_is_doubtful(const struct classifier *c, struct classifier_scratch *s, struct str text,
                       const struct classifier_result *result, float least)
{
    if (!(least > 0.0F) || count_words(text) < WORDS_MIN) {
        return false;
    }
    size_t half = text.len / 2;
    half += str_find_char(str_slice(text, half, text.len), ' ');
    struct classifier_segment segment = {str_slice(text, half, text.len), 1.0F};
    struct classifier_result tail;
    classifier_score(c, s, &segment, 1, &tail);
    return tail.p[result->best] < least;
}

void steer_doubt(struct classifier_result *result, size_t general)
{
    if (general >= result->count) {
        return;
    }
    for (size_t i = 0; i < result->count; i++) {
        result->p[i] *= 1.0F - doubt;
    }
    result->p[general] += doubt;
    result->best = general;
    result->entropy = softmax_entropy(result->p, result->count);
}
