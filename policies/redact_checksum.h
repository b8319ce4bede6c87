/* Check digits of cards, accounts and national numbers. Each function takes the number without
 * separators, letters in capitals, and says whether its last digits fit the others. The length and the
 * alphabet are the caller's to ensure (redact_shapes.c): digits where the number has digits. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

typedef bool (*redact_checksum_fn)(struct str compact);

bool redact_checksum_luhn(struct str compact);       /* ISO/IEC 7812-1 */
bool redact_checksum_iban(struct str compact);       /* ISO 13616: length of the country, mod 97 */
bool redact_checksum_us_ssn(struct str compact);     /* no check digit: ranges never given out */
bool redact_checksum_uk_nhs(struct str compact);     /* mod 11 */
bool redact_checksum_uk_nino(struct str compact);    /* prefixes never given out */
bool redact_checksum_de_steuer(struct str compact);  /* ISO 7064, mod 11,10 */
bool redact_checksum_de_kvnr(struct str compact);    /* health insurance: Luhn's sum, weights 1 2 */
bool redact_checksum_fr_nir(struct str compact);     /* 97 - n mod 97, 2A and 2B in Corsica */
bool redact_checksum_es_dni(struct str compact);     /* n mod 23 gives the letter; X, Y, Z: NIE */
bool redact_checksum_it_cf(struct str compact);      /* weights by position, mod 26 */
bool redact_checksum_nl_bsn(struct str compact);     /* mod 11, the last weight is -1 */
bool redact_checksum_be_nn(struct str compact);      /* 97 - n mod 97, with a 2 before from 2000 */
bool redact_checksum_pl_pesel(struct str compact);   /* weights 1 3 7 9 */
bool redact_checksum_pt_nif(struct str compact);     /* mod 11 */
bool redact_checksum_br_cpf(struct str compact);     /* two digits, mod 11 */
bool redact_checksum_in_aadhaar(struct str compact); /* Verhoeff */
bool redact_checksum_se_pnr(struct str compact);     /* a date, Luhn on the last ten digits */
bool redact_checksum_ch_ahv(struct str compact);     /* EAN-13 */
bool redact_checksum_cn_id(struct str compact);      /* ISO 7064, mod 11-2 */
bool redact_checksum_fi_hetu(struct str compact);    /* n mod 31 gives the character */
bool redact_checksum_at_svnr(struct str compact);    /* mod 11, the fourth digit */
