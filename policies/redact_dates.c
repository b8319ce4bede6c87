/* Whole dates, in digits or with the name of a month: 12/03/1985, 1985-03-12, 12. März 1985, March 12,
 * 1985, 12 de marzo de 1985. A year or a month alone is none. */
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

static const char months[] =
    "|january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|"
    "januar|jänner|februar|märz|maerz|mai|juni|juli|oktober|dezember|mär|okt|dez|"
    "janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre|"
    "janv|févr|avr|juil|déc|"
    "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre|"
    "diciembre|ene|abr|ago|dic|";

struct figure {
    int value;
    size_t len;
};

static struct figure read_figure(struct str text, size_t at)
{
    struct figure f = {0, 0};
    while (f.len < 5 && redact_char_is_digit(redact_char_at(text, at + f.len))) {
        f.value = f.value * 10 + (text.ptr[at + f.len++] - '0');
    }
    return f;
}

static bool is_year(struct figure f)
{
    return f.len == 4 && f.value >= 1850 && f.value <= 2150;
}

static bool is_day(struct figure f)
{
    return f.len >= 1 && f.len <= 2 && f.value >= 1 && f.value <= 31;
}

static bool is_plausible(const struct figure f[3])
{
    bool is_month = (f[1].value >= 1 && f[1].value <= 12) || (f[0].value >= 1 && f[0].value <= 12);
    if (is_year(f[0])) {
        return is_day(f[1]) && is_day(f[2]) && f[1].value <= 12;
    }
    bool is_short = f[0].len == 2 && f[1].len == 2 && f[2].len == 2;
    return is_day(f[0]) && is_day(f[1]) && is_month && (is_year(f[2]) || is_short);
}

/* Three figures with the same separator. Returns the end, or 0. */
static size_t numeric_end(struct str text, size_t at)
{
    struct figure f[3];
    char separator = '\0';
    for (int i = 0; i < 3; i++) {
        f[i] = read_figure(text, at);
        at += f[i].len;
        char c = redact_char_at(text, at);
        if (i < 2) {
            if ((c != '/' && c != '-' && c != '.') || (i == 1 && c != separator)) {
                return 0;
            }
            separator = c;
            at++;
            at += c == '.' && redact_char_at(text, at) == ' ';
        }
    }
    return is_plausible(f) ? at : 0;
}

static size_t word_len(struct str text, size_t at)
{
    size_t len = 0;
    while (len < 16 && at + len < text.len && redact_char_is_word(text.ptr[at + len]) &&
           !redact_char_is_digit(text.ptr[at + len])) {
        len++;
    }
    return len;
}

static bool is_month(struct str word)
{
    char wanted[20] = "|";
    if (word.len < 3 || word.len > 16) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        wanted[i + 1] = redact_char_lower(word.ptr[i]);
    }
    wanted[word.len + 1] = '|';
    return str_find((struct str){months, sizeof months - 1}, (struct str){wanted, word.len + 2}) <
           sizeof months - 1;
}

static size_t skip(struct str text, size_t at, struct str bytes)
{
    while (at < text.len && str_find_char(bytes, text.ptr[at]) < bytes.len) {
        at++;
    }
    return at;
}

/* Steps over the word if it is one of a list "|a|b|" and what follows it is a blank. */
static size_t skip_word(struct str text, size_t at, struct str list)
{
    size_t len = word_len(text, at);
    char wanted[8] = "|";
    for (size_t i = 0; i < len && i < 6; i++) {
        wanted[i + 1] = redact_char_lower(text.ptr[at + i]);
        wanted[i + 2] = '|';
    }
    bool is_it = len > 0 && len < 6 && str_find(list, (struct str){wanted, len + 2}) < list.len;
    return is_it ? skip(text, at + len, STR(" .")) : at;
}

/* A year after separators, of four digits. Returns the end, or 0. */
static size_t year_end(struct str text, size_t at)
{
    at = skip(text, at, STR(" .,-"));
    at = skip_word(text, at, STR("|de|del|"));
    struct figure year = read_figure(text, at);
    return is_year(year) ? at + year.len : 0;
}

/* 12. März 1985, 1er mars 1985, 12th of March, 1985, 12 de marzo de 1985, 12-Mar-1985 */
static size_t day_first_end(struct str text, size_t at)
{
    struct figure day = read_figure(text, at);
    if (!is_day(day)) {
        return 0;
    }
    at = skip_word(text, at + day.len, STR("|st|nd|rd|th|er|"));
    at = skip(text, at, STR(" .-"));
    at = skip_word(text, at, STR("|de|of|"));
    size_t len = word_len(text, at);
    return is_month(str_slice(text, at, len)) ? year_end(text, at + len) : 0;
}

/* March 12, 1985: the place is the day. Returns where the month begins, or at. */
static size_t month_before(struct str text, size_t at, size_t floor)
{
    size_t end = at;
    while (end > floor && (text.ptr[end - 1] == ' ' || text.ptr[end - 1] == '.')) {
        end--;
    }
    size_t start = end;
    while (start > floor && redact_char_is_word(text.ptr[start - 1]) && end - start < 17) {
        start--;
    }
    return start < end && end < at && is_month(str_slice(text, start, end - start)) ? start : at;
}

bool redact_dates_find(const struct redact_place *place, struct redact_span *ret_span)
{
    struct str text = place->text;
    size_t start = place->at;
    char before = redact_char_before(text, start);
    if (place->token != place->at || before == '.' || before == '/') {
        return false;
    }
    size_t end = numeric_end(text, start);
    end = end == 0 ? day_first_end(text, start) : end;
    if (end == 0) {
        struct figure day = read_figure(text, start);
        size_t after = skip_word(text, start + day.len, STR("|st|nd|rd|th|"));
        start = month_before(text, start, place->floor);
        end = is_day(day) && start < place->at ? year_end(text, after) : 0;
    }
    if (end == 0 || redact_char_is_alnum(redact_char_at(text, end))) {
        return false;
    }
    bool is_birth = (place->kinds & 1U << REDACT_BIRTH_DATE) != 0 &&
                    redact_context_before(text, start, REDACT_BIRTH_DATE);
    *ret_span =
        (struct redact_span){start, end - start, is_birth ? REDACT_BIRTH_DATE : REDACT_DATE};
    return is_birth || (place->kinds & 1U << REDACT_DATE) != 0;
}
