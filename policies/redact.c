/* See redact.h. Goes from trigger to trigger (a digit, "@", "::", a capital letter, as far as a kind
 * that was asked for needs it) and asks the finders there; the longest finding wins. */
#include "policies/redact.h"

#include "base/assert.h"
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

enum trigger { /* bits */
    TRIGGER_DIGIT = 1,
    TRIGGER_AT = 2,
    TRIGGER_COLON = 4,
    TRIGGER_UPPER = 8,
};

static const struct kind_row {
    const char *name;
    const char *label;
    const char *sentence;
} kind_rows[REDACT_KINDS] = {
    [REDACT_EMAIL] = {"email", "EMAIL", "e-mail addresses"},
    [REDACT_IBAN] = {"iban", "IBAN", "account numbers, by length and checksum (mod 97)"},
    [REDACT_CARD] = {"card", "CARD", "card numbers, by checksum (Luhn)"},
    [REDACT_NATIONAL_ID] =
        {"national_id", "NATIONAL_ID",
         "national numbers of AT BE BR CH CN DE ES FI FR IN IT NL PL PT SE UK US, by "
         "checksum where they have one, or announced by words"},
    [REDACT_MEDICAL_ID] = {"medical_id", "MEDICAL_ID",
                           "numbers of patients and records, announced by words"},
    [REDACT_INSURANCE_ID] = {"insurance_id", "INSURANCE_ID",
                             "numbers of insurances, announced by words; German ones by checksum"},
    [REDACT_IP] = {"ip", "IP", "IPv4 and IPv6 addresses"},
    [REDACT_PHONE] = {"phone", "PHONE",
                      "telephone numbers, by prefix, by grouping or announced by words"},
    [REDACT_BIRTH_DATE] = {"birth_date", "BIRTH_DATE", "dates of birth, announced by words"},
    [REDACT_DATE] = {"date", "DATE", "all whole dates"},
    [REDACT_ADDRESS] = {"address", "ADDRESS", "house number, street and town"},
    [REDACT_NAME] = {"name", "NAME",
                     "people's names after titles and introductions, or with a listed first name"},
};

static const struct finder {
    redact_find_fn find;
    unsigned trigger;
    unsigned kinds;
    size_t digits; /* of those within NEAR_BYTES from the token on, as many must be there */
} finders[] = {
    {redact_net_email, TRIGGER_AT, 1U << REDACT_EMAIL, 0},
    {redact_shapes_iban, TRIGGER_DIGIT, 1U << REDACT_IBAN, 5},
    {redact_shapes_card, TRIGGER_DIGIT, 1U << REDACT_CARD, 13},
    {redact_shapes_number, TRIGGER_DIGIT, 1U << REDACT_NATIONAL_ID | 1U << REDACT_INSURANCE_ID, 3},
    {redact_context_number, TRIGGER_DIGIT,
     1U << REDACT_NATIONAL_ID | 1U << REDACT_INSURANCE_ID | 1U << REDACT_MEDICAL_ID, 4},
    {redact_net_ip, TRIGGER_DIGIT | TRIGGER_COLON, 1U << REDACT_IP, 0},
    {redact_phone_find, TRIGGER_DIGIT, 1U << REDACT_PHONE, 6},
    {redact_dates_find, TRIGGER_DIGIT, 1U << REDACT_BIRTH_DATE | 1U << REDACT_DATE, 5},
    {redact_address_find, TRIGGER_DIGIT, 1U << REDACT_ADDRESS, 1},
    {redact_names_find, TRIGGER_UPPER, 1U << REDACT_NAME, 0},
};

enum {
    FINDERS = sizeof finders / sizeof finders[0],
    TOKEN_MAX = 40,  /* letters and digits before a digit; each look is bounded */
    NEAR_BYTES = 56, /* longer than a number with separators: 34 letters and digits of an IBAN */
};

const char *redact_kind_name(enum redact_kind kind)
{
    return kind_rows[kind].name;
}

const char *redact_kind_label(enum redact_kind kind)
{
    return kind_rows[kind].label;
}

const char *redact_kind_sentence(enum redact_kind kind)
{
    return kind_rows[kind].sentence;
}

bool redact_kind_of(struct str name, enum redact_kind *ret_kind)
{
    for (size_t i = 0; i < REDACT_KINDS; i++) {
        if (str_eq(name, str_from(kind_rows[i].name))) {
            *ret_kind = (enum redact_kind)i;
            return true;
        }
    }
    return false;
}

void redact_scan_init(struct redact_scan *scan, struct str text, unsigned kinds)
{
    *scan = (struct redact_scan){.text = text, .kinds = kinds};
    for (size_t i = 0; i < FINDERS; i++) {
        scan->triggers |= (finders[i].kinds & kinds) != 0 ? finders[i].trigger : 0;
    }
}

/* Which trigger this byte is; capitals beyond ASCII begin with C3, C4 or C5 in the languages here. */
static unsigned trigger_of(char c)
{
    if (redact_char_is_digit(c)) {
        return TRIGGER_DIGIT;
    }
    bool is_upper = redact_char_is_upper(c) || c == '\xc3' || c == '\xc4' || c == '\xc5';
    return is_upper ? TRIGGER_UPPER : c == '@' ? TRIGGER_AT : c == ':' ? TRIGGER_COLON : 0;
}

#ifdef __SSE2__
/* Bytes of v in low..low+width, all bits set. */
static inline __m128i within(__m128i v, char low, char width)
{
    __m128i moved = _mm_sub_epi8(v, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8(width)), moved);
}

/* Steps over whole blocks without any trigger. */
static size_t skip_blocks(const struct redact_scan *scan, size_t at)
{
    bool has_upper = (scan->triggers & TRIGGER_UPPER) != 0;
    while (scan->text.len - at >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(scan->text.ptr + at));
        __m128i hit = within(v, '0', 10); /* digits and ":" */
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('@')));
        if (has_upper) {
            hit = _mm_or_si128(hit, within(v, 'A', 25));
            hit = _mm_or_si128(hit, within(v, '\xc3', 2));
        }
        int mask = _mm_movemask_epi8(hit);
        if (mask != 0) {
            return at + (size_t)__builtin_ctz((unsigned)mask);
        }
        at += 16;
    }
    return at;
}
#else
static size_t skip_blocks(const struct redact_scan *scan, size_t at)
{
    (void)scan;
    return at;
}
#endif

/* The next place worth a look: a digit, "@", "::", or a capital at the start of a word. */
static size_t next_trigger(const struct redact_scan *scan, size_t at)
{
    struct str text = scan->text;
    while (at < text.len) {
        at = skip_blocks(scan, at);
        if (at == text.len) {
            break;
        }
        unsigned trigger = trigger_of(text.ptr[at]) & scan->triggers;
        bool is_idle =
            (trigger == TRIGGER_COLON && redact_char_at(text, at + 1) != ':') ||
            (trigger == TRIGGER_UPPER && at > 0 && redact_char_is_word(text.ptr[at - 1]));
        if (trigger != 0 && !is_idle) {
            break;
        }
        at++;
    }
    return at;
}

/* Where to go on when nothing was found at a place. */
static size_t step_over(struct str text, size_t at)
{
    bool is_digit = redact_char_is_digit(text.ptr[at]);
    at++;
    while (at < text.len && is_digit && redact_char_is_digit(text.ptr[at])) {
        at++;
    }
    return at;
}

static size_t digits_near(struct str text, size_t at)
{
    size_t digits = 0;
    struct str near = str_slice(text, at, NEAR_BYTES);
    for (size_t i = 0; i < near.len; i++) {
        digits += redact_char_is_digit(near.ptr[i]);
    }
    return digits;
}

static bool look(const struct redact_scan *scan, size_t at, struct redact_span *ret_span)
{
    struct redact_place place = {scan->text, scan->floor, at, at, scan->kinds};
    unsigned trigger = trigger_of(scan->text.ptr[at]);
    bool is_found = false;
    while (trigger == TRIGGER_DIGIT && place.token > scan->floor &&
           redact_char_is_alnum(scan->text.ptr[place.token - 1])) {
        if (at - place.token == TOKEN_MAX) {
            return false; /* base64 and the like */
        }
        place.token--;
    }
    size_t digits = trigger == TRIGGER_DIGIT ? digits_near(scan->text, place.token) : 0;
    for (size_t i = 0; i < FINDERS; i++) {
        struct redact_span span;
        if (digits < finders[i].digits) {
            continue;
        }
        if ((finders[i].trigger & trigger) != 0 && (finders[i].kinds & scan->kinds) != 0 &&
            finders[i].find(&place, &span) && (!is_found || span.len > ret_span->len)) {
            *ret_span = span;
            is_found = true;
        }
    }
    return is_found;
}

bool redact_next(struct redact_scan *scan, struct redact_span *ret_span)
{
    for (;;) {
        size_t at = next_trigger(scan, scan->at);
        if (at >= scan->text.len) {
            scan->at = at;
            return false;
        }
        struct redact_span span = {0, 0, 0};
        if (look(scan, at, &span)) {
            ASSERT(span.start >= scan->floor && span.len > 0 &&
                   span.start + span.len <= scan->text.len);
            size_t end = span.start + span.len;
            scan->at = end > at ? end : step_over(scan->text, at);
            scan->floor = end;
            *ret_span = span;
            return true;
        }
        scan->at = step_over(scan->text, at);
    }
}
