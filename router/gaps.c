/* See gaps.h. */
#include "router/gaps.h"

static const char *const words[] = {
#define GAPS_WORD(name, word, sentence) [GAP_##name] = word,
    GAPS(GAPS_WORD)
#undef GAPS_WORD
};

static const char *const sentences[] = {
#define GAPS_SENTENCE(name, word, sentence) [GAP_##name] = sentence,
    GAPS(GAPS_SENTENCE)
#undef GAPS_SENTENCE
};

void gaps_add(struct gaps *gaps, enum gap_kind kind, struct str name)
{
    size_t noted = gaps->count < GAPS_MAX ? gaps->count : GAPS_MAX;
    for (size_t i = 0; i < noted; i++) {
        if (gaps->items[i].kind == kind && str_eq(gaps->items[i].name, name)) {
            return;
        }
    }
    if (noted < GAPS_MAX) {
        gaps->items[noted] = (struct gap){kind, name};
    }
    gaps->count++;
}

const char *gap_word(enum gap_kind kind)
{
    return words[kind];
}

const char *gap_sentence(enum gap_kind kind)
{
    return sentences[kind];
}
