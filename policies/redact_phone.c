/* Telephone numbers: international ones by their prefix, national ones by how they are grouped, any
 * where the words before say so. */
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

enum {
    GROUPS_MAX = 8,
    DIGITS_MAX = 15, /* ITU-T E.164 */
    DIGITS_MIN = 6,
};

struct groups {
    size_t lens[GROUPS_MAX];
    size_t count;
    size_t digits;
    size_t end;
};

/* Up to three separators, brackets among them, that a digit follows; else 0. */
static size_t gap_at(struct str text, size_t at)
{
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        char c = redact_char_at(text, at + len);
        size_t gap = c == '(' || c == ')' ? 1 : redact_char_gap(text, at + len);
        len += gap;
    }
    return redact_char_is_digit(redact_char_at(text, at + len)) ? len : 0;
}

static void read_groups(struct str text, size_t at, struct groups *ret)
{
    *ret = (struct groups){.end = at};
    while (ret->count < GROUPS_MAX) {
        size_t len = 0;
        while (redact_char_is_digit(redact_char_at(text, at + len))) {
            len++;
        }
        if (len == 0 || ret->digits + len > DIGITS_MAX) {
            return;
        }
        ret->lens[ret->count++] = len;
        ret->digits += len;
        ret->end = at + len;
        size_t gap = gap_at(text, ret->end);
        if (gap == 0) {
            return;
        }
        at = ret->end + gap;
    }
}

static bool has_lens(const struct groups *g, size_t from, const char *lens)
{
    size_t i = from;
    for (; *lens != '\0' && i < g->count; i++, lens++) {
        if (g->lens[i] != (size_t)(*lens - '0')) {
            return false;
        }
    }
    return *lens == '\0' && i == g->count;
}

/* How numbers are written inside a country. */
static bool is_national(struct str text, size_t at, const struct groups *g, bool has_bracket)
{
    static const char *const american[] = {"334", "37"};
    char first = text.ptr[at];
    for (size_t i = 0; i < 2; i++) {
        if (has_lens(g, 0, american[i]) && (first >= '2' || has_bracket)) {
            return true;
        }
    }
    if (first == '1' && has_lens(g, 0, "1334")) {
        return true;
    }
    if (first == '0') {
        bool is_area = g->lens[0] >= 3 && g->lens[0] <= 6 && g->count >= 2 && g->count <= 5;
        bool is_whole = g->count == 1 && redact_char_at(text, at + 1) != '0';
        return has_lens(g, 0, "22222") || (is_area && g->digits >= 8 && g->digits <= 13) ||
               (is_whole && g->digits >= 10 && g->digits <= 12);
    }
    if (first >= '6' && first <= '9') {
        return has_lens(g, 0, "333") || has_lens(g, 0, "3222");
    }
    return has_bracket && g->digits >= 7 && g->lens[0] <= 5;
}

bool redact_phone_find(const struct redact_place *place, struct redact_span *ret_span)
{
    struct str text = place->text;
    size_t start = place->at;
    struct groups g;
    char before = redact_char_before(text, start);
    if (place->token != place->at ||
        (before == '.' && start >= 2 && redact_char_is_digit(text.ptr[start - 2]))) {
        return false;
    }
    while (start > place->floor && place->at - start < 2 &&
           (text.ptr[start - 1] == '(' || text.ptr[start - 1] == '+')) {
        start--;
    }
    read_groups(text, place->at, &g);
    if (g.digits < DIGITS_MIN || redact_char_is_alnum(redact_char_at(text, g.end))) {
        return false;
    }
    struct str mark = str_slice(text, start, place->at - start);
    bool is_plus = str_find_char(mark, '+') < mark.len;
    bool is_double_zero =
        g.lens[0] >= 3 && str_starts_with(str_slice(text, place->at, 2), STR("00"));
    bool is_international = (is_plus || is_double_zero) && g.digits >= 8;
    *ret_span = (struct redact_span){start, g.end - start, REDACT_PHONE};
    return is_international || is_national(text, place->at, &g, mark.len > 0) ||
           redact_context_before(text, start, REDACT_PHONE);
}
