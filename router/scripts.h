/* Scripts: which writing system a code point belongs to, and the language that a script alone gives
 * away. Only letters and the signs that go with them have a script; digits, blanks, marks, symbols
 * and emoji have none. Source: the block table of Unicode 15; punctuation inside blocks left out. */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* X(NAME, text, language): the language in ISO 639-1 where nearly all who write the script use one,
 * else "" */
#define SCRIPTS(X)                                                                                 \
    X(NONE, "none", "")                                                                            \
    X(LATIN, "Latin", "")                                                                          \
    X(CYRILLIC, "Cyrillic", "")                                                                    \
    X(ARABIC, "Arabic", "")                                                                        \
    X(DEVANAGARI, "Devanagari", "")                                                                \
    X(HAN, "Han", "zh")                                                                            \
    X(KANA, "Kana", "ja")                                                                          \
    X(HANGUL, "Hangul", "ko")                                                                      \
    X(GREEK, "Greek", "el")                                                                        \
    X(HEBREW, "Hebrew", "he")                                                                      \
    X(THAI, "Thai", "th")                                                                          \
    X(ARMENIAN, "Armenian", "hy")                                                                  \
    X(GEORGIAN, "Georgian", "ka")                                                                  \
    X(BENGALI, "Bengali", "bn")                                                                    \
    X(GURMUKHI, "Gurmukhi", "pa")                                                                  \
    X(GUJARATI, "Gujarati", "gu")                                                                  \
    X(ORIYA, "Oriya", "or")                                                                        \
    X(TAMIL, "Tamil", "ta")                                                                        \
    X(TELUGU, "Telugu", "te")                                                                      \
    X(KANNADA, "Kannada", "kn")                                                                    \
    X(MALAYALAM, "Malayalam", "ml")                                                                \
    X(SINHALA, "Sinhala", "si")                                                                    \
    X(LAO, "Lao", "lo")                                                                            \
    X(TIBETAN, "Tibetan", "bo")                                                                    \
    X(MYANMAR, "Myanmar", "my")                                                                    \
    X(ETHIOPIC, "Ethiopic", "am")                                                                  \
    X(KHMER, "Khmer", "km")

enum script {
#define SCRIPTS_MEMBER(name, text, language) SCRIPT_##name,
    SCRIPTS(SCRIPTS_MEMBER)
#undef SCRIPTS_MEMBER
};

enum {
    SCRIPT_COUNT = SCRIPT_KHMER + 1
};

enum script scripts_of(uint32_t code_point);
struct str scripts_name(enum script script);
struct str scripts_language(enum script script); /* "": several languages share it */
