/* See perturb.h. */
#include "router/perturb.h"

#include <stdbool.h>

enum {
    WORD_MIN = 4,     /* letters: shorter words turn into other words */
    ONE_WORD_OF = 12, /* is hit */
};

static const struct {
    const char *name;
    struct str before;
    struct str after;
} kinds[PERTURB_KINDS] = {
    [PERTURB_SWAP] = {"swap", STR_INIT(""), STR_INIT("")},
    [PERTURB_DROP] = {"drop", STR_INIT(""), STR_INIT("")},
    [PERTURB_DOUBLE] = {"double", STR_INIT(""), STR_INIT("")},
    [PERTURB_LOWER] = {"lower", STR_INIT(""), STR_INIT("")},
    [PERTURB_UPPER] = {"upper", STR_INIT(""), STR_INIT("")},
    [PERTURB_GREETING] = {"greeting", STR_INIT("hi, quick question: "), STR_INIT("")},
    [PERTURB_PLEASE] = {"please", STR_INIT("Please help me with this. "), STR_INIT("")},
    [PERTURB_THANKS] = {"thanks", STR_INIT(""), STR_INIT(" thanks!")},
    [PERTURB_BRIEFLY] = {"briefly", STR_INIT(""), STR_INIT(" answer briefly")},
    [PERTURB_SPACES] = {"spaces", STR_INIT("\n "), STR_INIT(" \n\n")},
    [PERTURB_QUOTES] = {"quotes", STR_INIT("\""), STR_INIT("\"")},
};

static uint64_t next(uint64_t *seed) /* splitmix64 */
{
    *seed += 0x9e3779b97f4a7c15U;
    uint64_t z = *seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of the run of letters at `at`. */
static size_t word_at(struct str text, size_t at)
{
    size_t end = at;
    while (end < text.len && is_letter(text.ptr[end])) {
        end++;
    }
    return end - at;
}

static size_t count_words(struct str text)
{
    size_t words = 0;
    for (size_t i = 0; i < text.len;) {
        size_t length = word_at(text, i);
        words += length >= WORD_MIN;
        i += length > 0 ? length : 1;
    }
    return words;
}

/* A word with one change inside; the first and the last letter stay. */
static enum status misspell(enum perturb_kind kind, struct str word, uint64_t random,
                            struct buf *out)
{
    size_t inner = word.len - (kind == PERTURB_SWAP ? 3 : 2); /* places where it may happen */
    size_t at = 1 + (size_t)(random % inner);
    char changed[2] = {word.ptr[at], word.ptr[at]};
    size_t length = kind == PERTURB_DROP ? 0 : 2;
    if (kind == PERTURB_SWAP) {
        changed[0] = word.ptr[at + 1];
    }
    enum status st = buf_append(out, str_slice(word, 0, at));
    if (st == ST_OK) {
        st = buf_append(out, (struct str){changed, length});
    }
    size_t rest = at + (kind == PERTURB_SWAP ? 2 : 1);
    return st == ST_OK ? buf_append(out, str_slice(word, rest, word.len)) : st;
}

static enum status misspell_some(enum perturb_kind kind, struct str text, uint64_t seed,
                                 struct buf *out)
{
    size_t words = count_words(text);
    size_t first =
        words > 0 ? (size_t)(next(&seed) % (words < ONE_WORD_OF ? words : ONE_WORD_OF)) : 0;
    enum status st = ST_OK;
    size_t word = 0;
    for (size_t i = 0; st == ST_OK && i < text.len;) {
        size_t length = word_at(text, i);
        size_t step = length > 0 ? length : 1;
        bool is_hit = length >= WORD_MIN && word % ONE_WORD_OF == first;
        st = is_hit ? misspell(kind, str_slice(text, i, step), next(&seed), out)
                    : buf_append(out, str_slice(text, i, step));
        word += length >= WORD_MIN;
        i += step;
    }
    return st;
}

static char folded(enum perturb_kind kind, char c)
{
    if (kind == PERTURB_LOWER && c >= 'A' && c <= 'Z') {
        return (char)(c + ('a' - 'A'));
    }
    return kind == PERTURB_UPPER && c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* Everything that treats all characters alike, between what stands before and after. */
static enum status copy(enum perturb_kind kind, struct str text, struct buf *out)
{
    enum status st = buf_append(out, kinds[kind].before);
    for (size_t i = 0; st == ST_OK && i < text.len; i++) {
        st = buf_append_char(out, folded(kind, text.ptr[i]));
        if (st == ST_OK && kind == PERTURB_SPACES && text.ptr[i] == ' ') {
            st = buf_append_char(out, ' ');
        }
    }
    return st == ST_OK ? buf_append(out, kinds[kind].after) : st;
}

const char *perturb_name(enum perturb_kind kind)
{
    return kinds[kind].name;
}

enum status perturb(enum perturb_kind kind, struct str text, uint64_t seed, struct buf *out)
{
    return kind <= PERTURB_DOUBLE ? misspell_some(kind, text, seed, out) : copy(kind, text, out);
}
