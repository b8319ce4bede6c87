/* What is private in a text: where personal data stands and of which kind it is. Pure: bytes in, spans
 * out, nothing is allocated. What is done with a span is redact_vault.h's part; patterns of an
 * operator's own are redact_patterns.h's.
 *
 * Numbers with a checksum are found by it, wherever they stand and however they are grouped; the other
 * kinds by their form and by the words before them, in English, German, French and Spanish. A text
 * without digits, "@" and capital letters is passed over 16 bytes at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum redact_kind { /* where two fit the same place, the longer one holds, then the earlier one */
    REDACT_EMAIL,
    REDACT_IBAN,
    REDACT_CARD,
    REDACT_NATIONAL_ID,
    REDACT_MEDICAL_ID,
    REDACT_INSURANCE_ID,
    REDACT_IP,
    REDACT_PHONE,
    REDACT_BIRTH_DATE,
    REDACT_DATE,
    REDACT_ADDRESS,
    REDACT_NAME,
};

enum {
    REDACT_KINDS = REDACT_NAME + 1,
    REDACT_ALL = (1 << REDACT_KINDS) - 1, /* as bits */
    REDACT_VALUE_MAX = 320,               /* bytes of the longest thing that is found */
};

struct redact_span {
    size_t start;
    size_t len;
    unsigned kind; /* enum redact_kind; from REDACT_KINDS on: an own pattern */
};

struct redact_scan { /* private; embedded */
    struct str text;
    size_t at;    /* next byte to look at */
    size_t floor; /* end of the last span */
    unsigned kinds;
    unsigned triggers;
};

/* Starts on a text, for the kinds in `kinds` (bits of enum redact_kind). */
void redact_scan_init(struct redact_scan *scan, struct str text, unsigned kinds);

/* The next span, in order, without overlaps. False at the end. */
bool redact_next(struct redact_scan *scan, struct redact_span *ret_span);

const char *redact_kind_name(enum redact_kind kind);     /* "email", as in the configuration */
const char *redact_kind_label(enum redact_kind kind);    /* "EMAIL", as in placeholders */
const char *redact_kind_sentence(enum redact_kind kind); /* for the docs */

/* The kind with this name. False: there is none. */
bool redact_kind_of(struct str name, enum redact_kind *ret_kind);
