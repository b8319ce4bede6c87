/* Words that announce what follows them. Owns the phrases of four languages; new ones go into the
 * table. Capital letters beyond ASCII are compared as they are written. */
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

enum {
    FILLERS_MAX = 4,
    NUMBER_MIN = 4,
    NUMBER_MAX = 24,
};

/* Lower-case, separated by "|", which also stands at both ends. */
static const char *const phrases[REDACT_KINDS] = {
    [REDACT_NATIONAL_ID] =
        "|ssn|social security|tax id|national id|national insurance|nhs|passport|identity card|"
        "steuer-id|steueridentifikationsnummer|steuernummer|personalausweis|ausweisnummer|"
        "reisepass|reisepassnummer|sozialversicherungsnummer|passeport|nir|"
        "numéro de sécurité sociale|sécurité sociale|carte d'identité|dni|nie|pasaporte|"
        "seguridad social|documento de identidad|",
    [REDACT_MEDICAL_ID] =
        "|mrn|medical record|patient id|patient number|patient no|chart|hospital number|"
        "case number|patienten-id|patientennummer|patientennr|fallnummer|aktenzeichen|"
        "krankenaktennummer|dossier|dossier médical|dossier patient|ipp|historia clínica|"
        "historia|nhc|expediente|expediente médico|",
    [REDACT_INSURANCE_ID] =
        "|policy|policy number|insurance|insurance id|insurance number|member id|member number|"
        "subscriber id|group number|versichertennummer|versicherungsnummer|krankenversicherung|"
        "krankenversicherungsnummer|versicherten-nr|kvnr|assuré|assurance|police|mutuelle|"
        "adhérent|póliza|seguro|tarjeta sanitaria|afiliado|asegurado|",
    [REDACT_PHONE] =
        "|phone|telephone|tel|mobile|cell|cellphone|call|call me|fax|whatsapp|phone number|text me|"
        "reach me|telefon|telefonnummer|handy|handynummer|mobil|ruf|rufen sie|anruf|téléphone|"
        "portable|appelez|appelez-moi|joignable|teléfono|móvil|celular|llame|llámame|tlf|",
    [REDACT_BIRTH_DATE] =
        "|born|dob|d.o.b|date of birth|birth date|birthdate|birthday|geboren|geb|geburtsdatum|"
        "geburtstag|né|née|né(e)|date de naissance|naissance|nacido|nacida|nacimiento|"
        "fecha de nacimiento|nací|",
};

static const char fillers[] =
    "|is|was|are|ist|war|lautet|est|es|no|nr|num|number|nummer|numero|numéro|número|núm|n|on|at|"
    "am|the|der|die|le|la|el|of|de|id|code|under|unter|au|al|in|dem|den|me|us|sie|mich|moi|card|"
    "karte|date|d|o|b|";

/* Whether `word`, lowered, stands in a list. */
static bool is_listed(struct str list, struct str word)
{
    char wanted[64];
    if (word.len == 0 || word.len + 2 > sizeof wanted) {
        return false;
    }
    wanted[0] = '|';
    for (size_t i = 0; i < word.len; i++) {
        wanted[i + 1] = redact_char_lower(word.ptr[i]);
    }
    wanted[word.len + 1] = '|';
    return str_find(list, (struct str){wanted, word.len + 2}) < list.len;
}

static bool is_gap(char c)
{
    return str_find_char(STR(" \t\n:#=.,()\"'*/-"), c) < 15;
}

/* Goes back over separators, a no-break space and the sign of ordinals included. */
static size_t skip_back(struct str text, size_t at)
{
    while (at > 0) {
        bool is_wide = at >= 2 && text.ptr[at - 2] == '\xc2' &&
                       (text.ptr[at - 1] == '\xb0' || text.ptr[at - 1] == '\xba' ||
                        text.ptr[at - 1] == '\xa0');
        if (!is_wide && !is_gap(text.ptr[at - 1])) {
            break;
        }
        at -= is_wide ? 2 : 1;
    }
    return at;
}

static size_t word_start(struct str text, size_t end)
{
    size_t at = end;
    while (at > 0 && redact_char_is_word(text.ptr[at - 1]) && end - at < 32) {
        at--;
    }
    return at;
}

/* Whether a phrase of up to four words ends at `end`. */
static bool ends_phrase(struct str text, size_t end, struct str list)
{
    size_t start = end;
    for (int words = 0; words < 4 && start > 0; words++) {
        size_t from = word_start(text, start);
        if (from == start && !redact_char_is_word(text.ptr[start - 1])) {
            from = start - 1; /* as in né(e), d.o.b and steuer-id */
        }
        if (is_listed(list, str_slice(text, from, end - from))) {
            return true;
        }
        start = from;
        while (start > 0 && str_find_char(STR(" -.('"), text.ptr[start - 1]) < 5) {
            start--;
        }
        if (start == from) {
            break;
        }
    }
    return false;
}

bool redact_context_before(struct str text, size_t at, enum redact_kind kind)
{
    struct str list = str_from(phrases[kind]);
    struct str idle = {fillers, sizeof fillers - 1};
    for (int i = 0; i <= FILLERS_MAX; i++) {
        at = skip_back(text, at);
        if (at > 0 && ends_phrase(text, at, list)) {
            return true;
        }
        size_t start = word_start(text, at);
        if (!is_listed(idle, str_slice(text, start, at - start))) {
            return false;
        }
        at = start;
    }
    return false;
}

/* Whether any kind of number is announced right before `at`. */
static bool is_announced(struct str text, size_t at)
{
    return redact_context_before(text, at, REDACT_MEDICAL_ID) ||
           redact_context_before(text, at, REDACT_INSURANCE_ID) ||
           redact_context_before(text, at, REDACT_NATIONAL_ID);
}

static size_t number_end(struct str text, size_t at)
{
    size_t end = at;
    while (end < text.len) {
        size_t gap = redact_char_is_alnum(text.ptr[end]) ? 0 : redact_char_gap(text, end);
        char next = redact_char_at(text, end + gap);
        bool goes_on = gap == 0 ? redact_char_is_alnum(next) : redact_char_is_digit(next);
        if (!goes_on || end + gap - at >= NUMBER_MAX) {
            break;
        }
        end += gap + 1;
    }
    return end;
}

/* Letters of the number before a hyphen belong to it, as in "MRN: AB-12345"; "MRN-12345" has none. */
static size_t number_start(const struct redact_place *place)
{
    size_t start = place->token;
    if (start < place->floor + 2 || place->text.ptr[start - 1] != '-') {
        return start;
    }
    size_t from = start - 1;
    while (from > place->floor && start - from < 6 &&
           redact_char_is_alnum(place->text.ptr[from - 1])) {
        from--;
    }
    bool is_short = start - from >= 2 && start - from <= 4;
    return is_short && !is_announced(place->text, start) ? from : start;
}

bool redact_context_number(const struct redact_place *place, struct redact_span *ret_span)
{
    static const enum redact_kind kinds[] = {REDACT_MEDICAL_ID, REDACT_INSURANCE_ID,
                                             REDACT_NATIONAL_ID};

    size_t start = number_start(place);
    size_t end = number_end(place->text, start);
    size_t digits = 0;
    for (size_t i = start; i < end; i++) {
        digits += redact_char_is_digit(place->text.ptr[i]);
    }
    for (size_t i = 0; digits >= NUMBER_MIN && i < sizeof kinds / sizeof kinds[0]; i++) {
        if ((place->kinds & 1U << kinds[i]) != 0 &&
            redact_context_before(place->text, start, kinds[i])) {
            *ret_span = (struct redact_span){start, end - start, kinds[i]};
            return true;
        }
    }
    return false;
}
