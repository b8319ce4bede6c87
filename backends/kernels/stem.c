/* See stem.h. The rules are few and meant to err on the side of leaving a word as it is. */
#include "backends/kernels/stem.h"

#include <string.h>

/* Words that say nothing about a topic, as question words and courtesies do not either. */
static const char *const stop_words[] = {
    "a",           "about",      "after",     "again",    "all",       "also",       "am",
    "an",          "and",        "any",       "anyone",   "are",       "as",         "ask",
    "at",          "be",         "been",      "before",   "being",     "best",       "but",
    "by",          "can",        "cannot",    "could",    "d",         "did",        "do",
    "does",        "doing",      "don",       "each",     "else",      "ever",       "every",
    "for",         "from",       "get",       "gets",     "getting",   "give",       "go",
    "going",       "good",       "got",       "had",      "has",       "have",       "having",
    "he",          "hello",      "help",      "her",      "here",      "hey",        "hi",
    "him",         "his",        "how",       "i",        "if",        "in",         "into",
    "is",          "it",         "its",       "just",     "know",      "let",        "like",
    "ll",          "m",          "make",      "many",     "may",       "me",         "might",
    "more",        "most",       "much",      "must",     "my",        "need",       "no",
    "not",         "now",        "of",        "off",      "oh",        "ok",         "okay",
    "on",          "one",        "only",      "or",       "other",     "our",        "out",
    "over",        "please",     "properly",  "re",       "really",    "right",      "s",
    "say",         "see",        "shall",     "she",      "should",    "so",         "some",
    "somebody",    "someone",    "something", "still",    "such",      "suppose",    "supposed",
    "sure",        "t",          "take",      "tell",     "than",      "thank",      "thanks",
    "that",        "the",        "their",     "them",     "then",      "there",      "these",
    "they",        "thing",      "things",    "think",    "this",      "those",      "to",
    "too",         "understand", "up",        "us",       "use",       "ve",         "very",
    "want",        "was",        "way",       "we",       "well",      "were",       "what",
    "whats",       "when",       "where",     "which",    "while",     "who",        "why",
    "will",        "with",       "without",   "would",    "yes",       "you",        "your",
    "explain",     "mean",       "means",     "husband",  "wife",      "friend",     "friends",
    "colleague",   "partner",    "neighbour", "neighbor", "mother",    "father",     "mum",
    "mom",         "dad",        "brother",   "sister",   "son",       "daughter",   "guy",
    "man",         "woman",      "person",    "people",   "boyfriend", "girlfriend", "grandmother",
    "grandfather", "learn",      "perform",   "work",     "works",     "working",    "happen",
    "happens",     "happened",   "just",      "quickly",  "actually",
};

static bool is_vowel(char c)
{
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y';
}

static bool ends_with(const char *word, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len >= n && memcmp(word + len - n, suffix, n) == 0;
}

static bool has_vowel(const char *word, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_vowel(word[i])) {
            return true;
        }
    }
    return false;
}

static size_t cut_plural(char *word, size_t len)
{
    if (len > 4 && ends_with(word, len, "ies")) {
        word[len - 3] = 'y';
        return len - 2;
    }
    bool is_es = ends_with(word, len, "sses") || ends_with(word, len, "xes") ||
                 ends_with(word, len, "zes") || ends_with(word, len, "ches") ||
                 ends_with(word, len, "shes");
    if (len > 4 && is_es) {
        return len - 2;
    }
    bool is_s = ends_with(word, len, "s") && !ends_with(word, len, "ss") &&
                !ends_with(word, len, "us") && !ends_with(word, len, "is");
    return len > 3 && is_s ? len - 1 : len;
}

/* "stopping" gives "stop", but "falling" "fall". */
static size_t undouble(const char *word, size_t len)
{
    char last = word[len - 1];
    bool is_double = len >= 3 && last == word[len - 2] && !is_vowel(last);
    return is_double && last != 'l' && last != 's' && last != 'z' ? len - 1 : len;
}

static size_t cut_verb(const char *word, size_t len)
{
    if (len > 5 && ends_with(word, len, "ing") && has_vowel(word, len - 3)) {
        return undouble(word, len - 3);
    }
    if (len > 4 && ends_with(word, len, "ed") && word[len - 3] != 'e' && has_vowel(word, len - 2)) {
        if (word[len - 3] == 'i') {
            return len - 2; /* "applied": the y of "apply" is an i below */
        }
        return undouble(word, len - 2);
    }
    return len;
}

size_t stem_word(char *word, size_t len)
{
    len = cut_plural(word, len);
    len = cut_verb(word, len);
    if (len > 3 && word[len - 1] == 'e') {
        len--;
    }
    if (len > 3 && word[len - 1] == 'y') {
        word[len - 1] = 'i';
    }
    return len;
}

static bool is_stop_word(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof stop_words / sizeof stop_words[0]; i++) {
        if (strlen(stop_words[i]) == len && memcmp(stop_words[i], word, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

/* A right quotation mark is the apostrophe of "don't" in typeset text. */
static bool is_quote(struct str rest)
{
    return str_starts_with(rest, STR("\xE2\x80\x98")) ||
           str_starts_with(rest, STR("\xE2\x80\x99")) ||
           str_starts_with(rest, STR("\xE2\x80\x9C")) ||
           str_starts_with(rest, STR("\xE2\x80\x9D")) ||
           str_starts_with(rest, STR("\xE2\x80\x93")) || str_starts_with(rest, STR("\xE2\x80\x94"));
}

static void take_word(struct stem_words *w)
{
    w->len = 0;
    while (w->rest.len > 0 && is_word_byte(w->rest.ptr[0]) && !is_quote(w->rest)) {
        char c = w->rest.ptr[0];
        if (w->len < STEM_WORD_MAX) {
            w->word[w->len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        w->rest = str_slice(w->rest, 1, w->rest.len);
    }
}

void stem_start(struct stem_words *w, struct str text)
{
    w->rest = text;
    w->len = 0;
}

bool stem_next(struct stem_words *w)
{
    while (w->rest.len > 0) {
        if (is_quote(w->rest)) {
            w->rest = str_slice(w->rest, 3, w->rest.len);
            continue;
        }
        if (!is_word_byte(w->rest.ptr[0])) {
            w->rest = str_slice(w->rest, 1, w->rest.len);
            continue;
        }
        take_word(w);
        if (!is_stop_word(w->word, w->len)) {
            w->len = stem_word(w->word, w->len);
            return true;
        }
    }
    return false;
}
