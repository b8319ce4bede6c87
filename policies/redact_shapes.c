/* Numbers with a checksum or a fixed form: cards, accounts, national and insurance numbers. A number
 * is read from the start of its token through its shape; separators between groups are optional
 * unless the shape demands one. Owns the table of national numbers. */
#include "policies/redact_char.h"
#include "policies/redact_checksum.h"
#include "policies/redact_finders.h"

enum {
    COMPACT_MAX = 40,
    CARD_MIN = 13,
    CARD_MAX = 19,
};

struct compact {
    char bytes[COMPACT_MAX];
    size_t len;
};

/* Shapes: 9 a digit, A a letter, H either, - an optional separator, = a separator that must be there
 * (also +, as in Swedish and Finnish numbers of the very old). */
static const struct shape {
    const char *name;
    const char *shape;
    redact_checksum_fn check;
    enum redact_kind kind;
} shapes[] = {
    {"US social security number", "999=99=9999", redact_checksum_us_ssn, REDACT_NATIONAL_ID},
    {"UK NHS number", "999-999-9999", redact_checksum_uk_nhs, REDACT_NATIONAL_ID},
    {"UK national insurance", "AA-99-99-99-A", redact_checksum_uk_nino, REDACT_NATIONAL_ID},
    {"DE Steuer-ID", "99-999-999-999", redact_checksum_de_steuer, REDACT_NATIONAL_ID},
    {"FR NIR", "9-99-99-9H-999-999-99", redact_checksum_fr_nir, REDACT_NATIONAL_ID},
    {"ES DNI", "99-999-999-A", redact_checksum_es_dni, REDACT_NATIONAL_ID},
    {"ES NIE", "A-9999999-A", redact_checksum_es_dni, REDACT_NATIONAL_ID},
    {"IT codice fiscale", "AAA-AAA-HHA-HH-AHHHA", redact_checksum_it_cf, REDACT_NATIONAL_ID},
    {"NL BSN", "9999-99-999", redact_checksum_nl_bsn, REDACT_NATIONAL_ID},
    {"BE national number", "99-99-99-999-99", redact_checksum_be_nn, REDACT_NATIONAL_ID},
    {"PL PESEL", "99999999999", redact_checksum_pl_pesel, REDACT_NATIONAL_ID},
    {"PT NIF", "999-999-999", redact_checksum_pt_nif, REDACT_NATIONAL_ID},
    {"BR CPF", "999-999-999-99", redact_checksum_br_cpf, REDACT_NATIONAL_ID},
    {"IN Aadhaar", "9999-9999-9999", redact_checksum_in_aadhaar, REDACT_NATIONAL_ID},
    {"SE personnummer", "999999=9999", redact_checksum_se_pnr, REDACT_NATIONAL_ID},
    {"SE personnummer", "99999999=9999", redact_checksum_se_pnr, REDACT_NATIONAL_ID},
    {"SE personnummer", "9999999999", redact_checksum_se_pnr, REDACT_NATIONAL_ID},
    {"SE personnummer", "999999999999", redact_checksum_se_pnr, REDACT_NATIONAL_ID},
    {"CH AHV", "756-9999-9999-99", redact_checksum_ch_ahv, REDACT_NATIONAL_ID},
    {"CN resident id", "999999-99999999-999H", redact_checksum_cn_id, REDACT_NATIONAL_ID},
    {"FI HETU", "999999=999H", redact_checksum_fi_hetu, REDACT_NATIONAL_ID},
    {"AT social insurance", "9999-999999", redact_checksum_at_svnr, REDACT_NATIONAL_ID},
    {"DE health insurance", "A-999-999-999", redact_checksum_de_kvnr, REDACT_INSURANCE_ID},
};

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

static bool fits(char want, char c)
{
    switch (want) {
    case '9':
        return redact_char_is_digit(c);
    case 'A':
        return redact_char_is_letter(c);
    case 'H':
        return redact_char_is_alnum(c);
    default: /* stands for itself */
        return want == c;
    }
}

/* Neither inside a longer word nor inside a number with a decimal point. */
static bool ends_well(struct str text, size_t end)
{
    char c = redact_char_at(text, end);
    return !redact_char_is_alnum(c) &&
           !(c == '.' && redact_char_is_digit(redact_char_at(text, end + 1)));
}

static bool starts_well(struct str text, size_t start)
{
    return !(redact_char_before(text, start) == '.' && start >= 2 &&
             redact_char_is_digit(text.ptr[start - 2]));
}

/* Reads the shape from `at` on. Returns where it ends, or 0. */
static size_t read_shape(struct str text, size_t at, const char *shape, struct compact *ret)
{
    ret->len = 0;
    for (; *shape != '\0'; shape++) {
        if (*shape == '-' || *shape == '=') {
            size_t gap = redact_char_gap(text, at);
            gap = gap == 0 && *shape == '=' && redact_char_at(text, at) == '+' ? 1 : gap;
            if (gap == 0 && *shape == '=') {
                return 0;
            }
            at += gap;
            continue;
        }
        char c = redact_char_at(text, at);
        if (!fits(*shape, c)) {
            return 0;
        }
        ret->bytes[ret->len++] = upper(c);
        at++;
    }
    return at;
}

static struct str compact_str(const struct compact *c)
{
    return (struct str){c->bytes, c->len};
}

/* Where letters stand that a separator parts from the token, as in X-1234567-L; else the token. */
static size_t letters_before(const struct redact_place *place, size_t token)
{
    struct str text = place->text;
    size_t at = token;
    if (at < place->floor + 2 || (text.ptr[at - 1] != ' ' && text.ptr[at - 1] != '-')) {
        return token;
    }
    at--;
    while (at > place->floor && token - at < 8 && redact_char_is_letter(text.ptr[at - 1])) {
        at--;
    }
    return at + 1 < token && !redact_char_is_alnum(redact_char_before(text, at)) ? at : token;
}

/* The longest number of the table that begins at `at`. Returns its length, or 0. */
static size_t number_at(const struct redact_place *place, size_t at, enum redact_kind *ret_kind)
{
    size_t longest = 0;
    struct compact compact;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct shape *s = &shapes[i];
        if ((place->kinds & 1U << s->kind) == 0) {
            continue;
        }
        size_t end = read_shape(place->text, at, s->shape, &compact);
        if (end > at + longest && ends_well(place->text, end) && s->check(compact_str(&compact))) {
            longest = end - at;
            *ret_kind = s->kind;
        }
    }
    return longest;
}

bool redact_shapes_number(const struct redact_place *place, struct redact_span *ret_span)
{
    size_t start = place->token;
    for (int words = 0; words < 3; words++) { /* as in AB 12 34 56 C, and RSS MRA 85T10 A562S */
        enum redact_kind kind = REDACT_NATIONAL_ID;
        size_t len = starts_well(place->text, start) ? number_at(place, start, &kind) : 0;
        if (len > 0) {
            *ret_span = (struct redact_span){start, len, kind};
            return start + len > place->at;
        }
        start = letters_before(place, start);
    }
    return false;
}

/* Beginnings of card numbers and the lengths that issuers give them (ISO/IEC 7812). */
static const struct issuer {
    int first; /* of four digits */
    int last;
    size_t min;
    size_t max;
} issuers[] = {
    {2200, 2720, 16, 16}, {3000, 3999, 14, 16}, {4000, 4999, 13, 19},
    {5000, 5999, 16, 19}, {6000, 6999, 16, 19},
};

static bool is_issued(struct str compact)
{
    int first = 0;
    for (size_t i = 0; i < 4; i++) {
        first = first * 10 + (compact.ptr[i] - '0');
    }
    for (size_t i = 0; i < sizeof issuers / sizeof issuers[0]; i++) {
        const struct issuer *issuer = &issuers[i];
        if (first >= issuer->first && first <= issuer->last) {
            return compact.len >= issuer->min && compact.len <= issuer->max;
        }
    }
    return false;
}

bool redact_shapes_card(const struct redact_place *place, struct redact_span *ret_span)
{
    struct compact compact = {.len = 0};
    struct str text = place->text;
    size_t longest = 0;
    if (redact_char_is_digit(redact_char_before(text, place->at)) ||
        !starts_well(text, place->at)) {
        return false;
    }
    for (size_t at = place->at; compact.len < CARD_MAX && at < text.len;) {
        if (!redact_char_is_digit(text.ptr[at])) {
            size_t gap = redact_char_gap(text, at);
            if (gap == 0 || !redact_char_is_digit(redact_char_at(text, at + gap))) {
                break;
            }
            at += gap;
            continue;
        }
        compact.bytes[compact.len++] = text.ptr[at++];
        if (compact.len >= CARD_MIN && ends_well(text, at) && is_issued(compact_str(&compact)) &&
            redact_checksum_luhn(compact_str(&compact))) {
            longest = at - place->at;
        }
    }
    *ret_span = (struct redact_span){place->at, longest, REDACT_CARD};
    return longest > 0;
}

bool redact_shapes_iban(const struct redact_place *place, struct redact_span *ret_span)
{
    enum {
        IBAN_MAX = 34
    };

    struct compact compact = {.len = 0};
    struct str text = place->text;
    size_t at = place->token;
    if (place->at != place->token + 2 || !redact_char_is_letter(text.ptr[at]) ||
        !redact_char_is_letter(text.ptr[at + 1])) {
        return false;
    }
    while (compact.len < IBAN_MAX && at < text.len) {
        if (!redact_char_is_alnum(text.ptr[at])) {
            size_t gap = redact_char_gap(text, at);
            if (gap == 0 || !redact_char_is_alnum(redact_char_at(text, at + gap))) {
                break;
            }
            at += gap;
            continue;
        }
        compact.bytes[compact.len++] = upper(text.ptr[at++]);
        if (redact_checksum_iban(compact_str(&compact)) &&
            !redact_char_is_alnum(redact_char_at(text, at))) {
            *ret_span = (struct redact_span){place->token, at - place->token, REDACT_IBAN};
            return true;
        }
    }
    return false;
}
