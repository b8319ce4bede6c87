/* Postal addresses: a house number beside the name of a street, and the town after it. Streets are
 * known by the words for them in English, German, French and Spanish. */
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

enum {
    NUMBER_DIGITS_MAX = 5,
    WORDS_MAX = 6,
    WORD_MAX = 48,
    PARTS_MAX = 3, /* ", 75001 Paris, France" */
    BACK_MAX = 60,
};

static const char english[] = "|street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|"
                              "ct|way|place|pl|square|sq|terrace|close|crescent|parkway|pkwy|"
                              "highway|hwy|row|hill|gardens|grove|mews|walk|";
static const char french[] = "|rue|avenue|av|boulevard|bd|place|chemin|allée|allee|impasse|quai|"
                             "route|cours|square|passage|faubourg|sentier|villa|";
static const char spanish[] = "|calle|c|avenida|avda|av|plaza|pza|paseo|camino|carretera|ronda|"
                              "travesía|callejón|glorieta|urbanización|";
static const char particles[] = "|de|la|du|des|le|les|del|las|los|el|l|d|et|y|sur|the|of|";
static const char *const german[] = {"straße", "strasse", "str",  "weg",  "platz",   "allee",
                                     "gasse",  "ring",    "damm", "ufer", "chaussee"};

struct word {
    size_t start;
    size_t len;
};

static bool is_listed(const char *list, struct str word)
{
    char wanted[24] = "|";
    if (word.len == 0 || word.len + 2 > sizeof wanted) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        wanted[i + 1] = redact_char_lower(word.ptr[i]);
    }
    wanted[word.len + 1] = '|';
    struct str all = str_from(list);
    return str_find(all, (struct str){wanted, word.len + 2}) < all.len;
}

static struct str word_str(struct str text, struct word w)
{
    return str_slice(text, w.start, w.len);
}

static struct word word_at(struct str text, size_t at)
{
    struct word w = {at, 0};
    while (at + w.len < text.len && w.len < WORD_MAX &&
           (redact_char_is_word(text.ptr[at + w.len]) ||
            (w.len > 0 && text.ptr[at + w.len] == '-' &&
             redact_char_is_word(redact_char_at(text, at + w.len + 1))))) {
        w.len++;
    }
    return w;
}

static struct word word_before(struct str text, size_t end, size_t floor)
{
    size_t start = end;
    while (start > floor &&
           (redact_char_is_word(text.ptr[start - 1]) || text.ptr[start - 1] == '-')) {
        start--;
    }
    return (struct word){start, end - start};
}

/* Begins with a capital letter, or with one beyond ASCII. */
static bool is_proper(struct str word)
{
    return word.len > 0 && (redact_char_is_upper(word.ptr[0]) || word.ptr[0] == '\xc3');
}

/* Blanks, apostrophes and full stops of abbreviations between the words of a street. */
static size_t skip_between(struct str text, size_t at)
{
    size_t start = at;
    while (at - start < 3 && str_find_char(STR(" .'"), redact_char_at(text, at)) < 3) {
        at++;
    }
    return str_starts_with(str_slice(text, at, 3), STR("\xe2\x80\x99")) ? at + 3 : at;
}

/* Proper words and the particles between them. Returns the end of the last proper one, or `at`. */
static size_t proper_end(struct str text, size_t at)
{
    size_t end = at;
    for (int i = 0; i < WORDS_MAX; i++) {
        struct word w = word_at(text, at);
        bool is_particle = is_listed(particles, word_str(text, w));
        if (!is_particle && !is_proper(word_str(text, w))) {
            break;
        }
        end = is_particle ? end : w.start + w.len;
        at = skip_between(text, w.start + w.len);
    }
    return end;
}

/* 12 Main Street; 12 rue de la Paix; 12 bis, avenue Foch. Returns the end, or 0. */
static size_t number_first_end(struct str text, size_t at)
{
    struct word w = word_at(text, at);
    if (is_listed("|bis|ter|quater|", word_str(text, w))) {
        at = skip_between(text, w.start + w.len);
        w = word_at(text, at);
    }
    if (redact_char_at(text, at) == ',') {
        at = skip_between(text, at + 1);
        w = word_at(text, at);
    }
    if (is_listed(french, word_str(text, w))) {
        size_t name = skip_between(text, w.start + w.len);
        size_t end = proper_end(text, name);
        if (end > name) {
            return end;
        }
    }
    for (int i = 0; i < WORDS_MAX && is_proper(word_str(text, w)); i++) {
        if (i > 0 && is_listed(english, word_str(text, w))) {
            return w.start + w.len;
        }
        w = word_at(text, skip_between(text, w.start + w.len));
    }
    return 0;
}

static bool is_german(struct str word)
{
    for (size_t i = 0; i < sizeof german / sizeof german[0]; i++) {
        struct str tail = str_from(german[i]);
        bool is_tail = word.len >= tail.len &&
                       str_eq_nocase(str_slice(word, word.len - tail.len, tail.len), tail);
        if (is_tail && (word.len > tail.len + 2 || is_proper(word))) {
            return true;
        }
    }
    return false;
}

/* Hauptstraße 12; Calle de Alcalá, 12. Returns where the street begins, or `at`. */
static size_t street_before(struct str text, size_t at, size_t floor)
{
    size_t end = at;
    size_t first = at > floor + BACK_MAX ? at - BACK_MAX : floor;
    while (end > first && str_find_char(STR(" .,"), text.ptr[end - 1]) < 3) {
        end--;
    }
    struct word w = word_before(text, end, first);
    if (end < at && is_german(word_str(text, w))) {
        return w.start;
    }
    for (int i = 0; end < at && i < WORDS_MAX && w.len > 0; i++) {
        if (i > 0 && is_listed(spanish, word_str(text, w))) {
            return w.start;
        }
        bool is_part = is_proper(word_str(text, w)) || is_listed(particles, word_str(text, w)) ||
                       is_listed("|n|núm|número|", word_str(text, w));
        size_t stop = w.start;
        while (is_part && stop > first && str_find_char(STR(" ./,'"), text.ptr[stop - 1]) < 5) {
            stop--;
        }
        if (stop == w.start) {
            break;
        }
        w = word_before(text, stop, first);
    }
    return at;
}

/* A word of a town's part: proper, or a postcode. */
static bool is_town_word(struct str word)
{
    return word.len > 0 && word.len < 24 && (is_proper(word) || redact_char_is_digit(word.ptr[0]));
}

/* ", 75001 Paris, France". Returns the end of it, or `at`. */
static size_t town_end(struct str text, size_t at)
{
    size_t end = at;
    for (int part = 0; part < PARTS_MAX; part++) {
        size_t next = end;
        while (next - end < 2 && str_find_char(STR(", \n"), redact_char_at(text, next)) < 3) {
            next++;
        }
        bool is_comma = redact_char_at(text, end) == ',' || redact_char_at(text, end) == '\n';
        bool is_code = redact_char_is_digit(redact_char_at(text, next));
        size_t from = next;
        for (int i = 0; (is_comma || is_code) && i < 4; i++) {
            struct word w = word_at(text, next);
            if (!is_town_word(word_str(text, w))) {
                break;
            }
            end = w.start + w.len;
            next = redact_char_at(text, end) == ' ' ? end + 1 : end;
        }
        if (next == from) {
            break;
        }
    }
    return end;
}

bool redact_address_find(const struct redact_place *place, struct redact_span *ret_span)
{
    struct str text = place->text;
    size_t end = place->at;
    while (redact_char_is_digit(redact_char_at(text, end))) {
        end++;
    }
    if (place->token != place->at || end - place->at > NUMBER_DIGITS_MAX) {
        return false;
    }
    end += redact_char_is_letter(redact_char_at(text, end)); /* 12a */
    if (redact_char_is_alnum(redact_char_at(text, end))) {
        return false;
    }
    size_t start = street_before(text, place->at, place->floor);
    if (start == place->at) {
        end = number_first_end(text, skip_between(text, end));
    }
    if (end == 0) {
        return false;
    }
    end = town_end(text, end);
    *ret_span = (struct redact_span){start, end - start, REDACT_ADDRESS};
    return true;
}
