/* See scripts.h. */
#include "router/scripts.h"

#include <stddef.h>

struct range {
    uint32_t first;
    uint32_t last;
    enum script script;
};

/* Ascending. */
static const struct range ranges[] = {
    {0x0041, 0x005a, SCRIPT_LATIN},      {0x0061, 0x007a, SCRIPT_LATIN},
    {0x00aa, 0x00aa, SCRIPT_LATIN},      {0x00ba, 0x00ba, SCRIPT_LATIN},
    {0x00c0, 0x00d6, SCRIPT_LATIN},      {0x00d8, 0x00f6, SCRIPT_LATIN},
    {0x00f8, 0x02af, SCRIPT_LATIN},      {0x0370, 0x0373, SCRIPT_GREEK},
    {0x0376, 0x037d, SCRIPT_GREEK},      {0x0386, 0x0386, SCRIPT_GREEK},
    {0x0388, 0x03ff, SCRIPT_GREEK},      {0x0400, 0x0481, SCRIPT_CYRILLIC},
    {0x0483, 0x052f, SCRIPT_CYRILLIC},   {0x0531, 0x0556, SCRIPT_ARMENIAN},
    {0x0560, 0x0588, SCRIPT_ARMENIAN},   {0x0591, 0x05f4, SCRIPT_HEBREW},
    {0x0620, 0x065f, SCRIPT_ARABIC},     {0x066e, 0x06d3, SCRIPT_ARABIC},
    {0x06d5, 0x06dc, SCRIPT_ARABIC},     {0x06e1, 0x06ef, SCRIPT_ARABIC},
    {0x06fa, 0x06ff, SCRIPT_ARABIC},     {0x0750, 0x077f, SCRIPT_ARABIC},
    {0x08a0, 0x08ff, SCRIPT_ARABIC},     {0x0900, 0x0963, SCRIPT_DEVANAGARI},
    {0x0971, 0x097f, SCRIPT_DEVANAGARI}, {0x0980, 0x09e3, SCRIPT_BENGALI},
    {0x0a01, 0x0a5e, SCRIPT_GURMUKHI},   {0x0a70, 0x0a76, SCRIPT_GURMUKHI},
    {0x0a81, 0x0ae3, SCRIPT_GUJARATI},   {0x0b01, 0x0b63, SCRIPT_ORIYA},
    {0x0b82, 0x0bd7, SCRIPT_TAMIL},      {0x0c00, 0x0c63, SCRIPT_TELUGU},
    {0x0c80, 0x0ce3, SCRIPT_KANNADA},    {0x0d00, 0x0d63, SCRIPT_MALAYALAM},
    {0x0d81, 0x0ddf, SCRIPT_SINHALA},    {0x0e01, 0x0e3a, SCRIPT_THAI},
    {0x0e40, 0x0e4e, SCRIPT_THAI},       {0x0e81, 0x0ecd, SCRIPT_LAO},
    {0x0f40, 0x0fbc, SCRIPT_TIBETAN},    {0x1000, 0x103f, SCRIPT_MYANMAR},
    {0x1050, 0x108f, SCRIPT_MYANMAR},    {0x10a0, 0x10fa, SCRIPT_GEORGIAN},
    {0x10fc, 0x10ff, SCRIPT_GEORGIAN},   {0x1100, 0x11ff, SCRIPT_HANGUL},
    {0x1200, 0x135f, SCRIPT_ETHIOPIC},   {0x1780, 0x17d3, SCRIPT_KHMER},
    {0x1e00, 0x1eff, SCRIPT_LATIN},      {0x1f00, 0x1fff, SCRIPT_GREEK},
    {0x3041, 0x309f, SCRIPT_KANA},       {0x30a1, 0x30fa, SCRIPT_KANA},
    {0x30fc, 0x30ff, SCRIPT_KANA},       {0x3131, 0x318e, SCRIPT_HANGUL},
    {0x31f0, 0x31ff, SCRIPT_KANA},       {0x3400, 0x4dbf, SCRIPT_HAN},
    {0x4e00, 0x9fff, SCRIPT_HAN},        {0xac00, 0xd7a3, SCRIPT_HANGUL},
    {0xf900, 0xfaff, SCRIPT_HAN},        {0xfb50, 0xfdff, SCRIPT_ARABIC},
    {0xfe70, 0xfefc, SCRIPT_ARABIC},     {0xff66, 0xff9d, SCRIPT_KANA},
    {0x20000, 0x3134f, SCRIPT_HAN},
};

enum script scripts_of(uint32_t code_point)
{
    size_t from = 0;
    size_t to = sizeof ranges / sizeof ranges[0];
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (code_point > ranges[middle].last) {
            from = middle + 1;
        } else if (code_point < ranges[middle].first) {
            to = middle;
        } else {
            return ranges[middle].script;
        }
    }
    return SCRIPT_NONE;
}

struct str scripts_name(enum script script)
{
    static const struct str names[] = {
#define SCRIPTS_NAME(name, text, language) STR_INIT(text),
        SCRIPTS(SCRIPTS_NAME)
#undef SCRIPTS_NAME
    };
    return names[script];
}

struct str scripts_language(enum script script)
{
    static const struct str languages[] = {
#define SCRIPTS_LANGUAGE(name, text, language) STR_INIT(language),
        SCRIPTS(SCRIPTS_LANGUAGE)
#undef SCRIPTS_LANGUAGE
    };
    return languages[script];
}
