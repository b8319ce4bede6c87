/* See redact_checksum.h. */
#include "policies/redact_checksum.h"

#include "policies/redact_char.h"

static int digit(struct str s, size_t i)
{
    return s.ptr[i] - '0';
}

/* The value of n digits from `from` on, mod m. */
static int64_t number(struct str s, size_t from, size_t n, int64_t m)
{
    int64_t value = 0;
    for (size_t i = from; i < from + n; i++) {
        value = (value * 10 + digit(s, i)) % m;
    }
    return value;
}

/* The sum of the first n digits, each times its weight. */
static int weigh(struct str s, const int *weights, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += digit(s, i) * weights[i];
    }
    return sum;
}

/* Years of two digits stand for any century. */
static bool is_day(struct str s, size_t month_at, size_t day_at)
{
    int64_t month = number(s, month_at, 2, 100);
    int64_t day = number(s, day_at, 2, 100);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool is_one_digit(struct str s)
{
    size_t same = 0;
    while (same < s.len && s.ptr[same] == s.ptr[0]) {
        same++;
    }
    return same == s.len;
}

bool redact_checksum_luhn(struct str compact)
{
    int sum = 0;
    for (size_t i = 0; i < compact.len; i++) {
        int d = digit(compact, compact.len - 1 - i) * (i % 2 == 0 ? 1 : 2);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0 && !is_one_digit(compact);
}

/* Two letters and the length of an account number there: SWIFT's IBAN registry. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
    "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21"
    "LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22"
    "RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20";

static size_t iban_length(struct str compact)
{
    for (const char *p = iban_lengths; *p != '\0'; p += 4) {
        if (compact.len >= 2 && p[0] == compact.ptr[0] && p[1] == compact.ptr[1]) {
            return (size_t)((p[2] - '0') * 10 + (p[3] - '0'));
        }
    }
    return 0;
}

bool redact_checksum_iban(struct str compact)
{
    int rest = 0;
    if (compact.len < 15 || compact.len != iban_length(compact)) {
        return false;
    }
    for (size_t i = 0; i < compact.len; i++) {
        char c = compact.ptr[(i + 4) % compact.len];
        rest = redact_char_is_digit(c) ? (rest * 10 + (c - '0')) % 97
                                       : (rest * 100 + (c - 'A' + 10)) % 97;
    }
    return rest == 1;
}

bool redact_checksum_us_ssn(struct str compact)
{
    int64_t area = number(compact, 0, 3, 1000);
    return area != 0 && area != 666 && area < 900 && number(compact, 3, 2, 100) != 0 &&
           number(compact, 5, 4, 10000) != 0;
}

bool redact_checksum_uk_nhs(struct str compact)
{
    static const int weights[] = {10, 9, 8, 7, 6, 5, 4, 3, 2};
    int check = 11 - weigh(compact, weights, 9) % 11;
    return check % 11 == digit(compact, 9) && check != 10 && !is_one_digit(compact);
}

bool redact_checksum_uk_nino(struct str compact)
{
    struct str prefix = str_slice(compact, 0, 2);
    bool is_never = str_find(STR("BG GB KN NK NT TN ZZ"), prefix) < 20;
    return !is_never && str_find_char(STR("DFIQUV"), compact.ptr[0]) == 6 &&
           str_find_char(STR("DFIOQUV"), compact.ptr[1]) == 7 &&
           str_find_char(STR("ABCD"), compact.ptr[8]) < 4;
}

bool redact_checksum_de_steuer(struct str compact)
{
    int product = 10;
    for (size_t i = 0; i < 10; i++) {
        int sum = (digit(compact, i) + product) % 10;
        product = (sum == 0 ? 10 : sum) * 2 % 11;
    }
    return compact.ptr[0] != '0' && (11 - product) % 10 == digit(compact, 10);
}

bool redact_checksum_de_kvnr(struct str compact)
{
    int letter = compact.ptr[0] - 'A' + 1;
    int sum = letter / 10;
    int second = letter % 10 * 2;
    sum += second / 10 + second % 10;
    for (size_t i = 1; i < 9; i++) {
        int d = digit(compact, i) * (i % 2 == 1 ? 1 : 2);
        sum += d / 10 + d % 10;
    }
    return sum % 10 == digit(compact, 9);
}

bool redact_checksum_fr_nir(struct str compact)
{
    char second = compact.ptr[6];
    int64_t minus = second == 'A' ? 1000000 : second == 'B' ? 2000000 : 0;
    if (!redact_char_is_digit(second) && (minus == 0 || compact.ptr[5] != '2')) {
        return false;
    }
    int64_t n = 0;
    for (size_t i = 0; i < 13; i++) {
        n = n * 10 + (i == 6 && minus != 0 ? 0 : digit(compact, i));
    }
    int64_t key = number(compact, 13, 2, 100);
    return n > 0 && 97 - (n - minus) % 97 == key;
}

bool redact_checksum_es_dni(struct str compact)
{
    size_t first = str_find_char(STR("XYZ"), compact.ptr[0]);
    int64_t n = number(compact, 1, 7, 100000000);
    if (first == 3 && !redact_char_is_digit(compact.ptr[0])) {
        return false;
    }
    n += 10000000 * (first < 3 ? (int64_t)first : digit(compact, 0));
    return "TRWAGMYFPDXBNJZSQVHLCKE"[n % 23] == compact.ptr[8];
}

bool redact_checksum_it_cf(struct str compact)
{
    static const int odd[] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                              20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    int sum = 0;
    for (size_t i = 0; i < 15; i++) {
        char c = compact.ptr[i];
        int value = redact_char_is_digit(c) ? c - '0' : c - 'A';
        sum += i % 2 == 0 ? odd[value] : value;
    }
    return sum % 26 == compact.ptr[15] - 'A';
}

bool redact_checksum_nl_bsn(struct str compact)
{
    static const int weights[] = {9, 8, 7, 6, 5, 4, 3, 2, -1};
    int sum = weigh(compact, weights, 9);
    return sum % 11 == 0 && sum != 0 && !is_one_digit(compact);
}

bool redact_checksum_be_nn(struct str compact)
{
    int64_t n = number(compact, 0, 9, 1000000000);
    int64_t key = number(compact, 9, 2, 100);
    bool is_day_given = number(compact, 2, 2, 100) <= 12 && number(compact, 4, 2, 100) <= 31;
    return is_day_given && (97 - n % 97 == key || 97 - (2000000000 + n) % 97 == key);
}

bool redact_checksum_pl_pesel(struct str compact)
{
    static const int weights[] = {1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1};
    int64_t month = number(compact, 2, 2, 100) % 20; /* the century is added in twenties */
    int64_t day = number(compact, 4, 2, 100);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
           weigh(compact, weights, 11) % 10 == 0;
}

bool redact_checksum_pt_nif(struct str compact)
{
    static const int weights[] = {9, 8, 7, 6, 5, 4, 3, 2};
    int check = 11 - weigh(compact, weights, 8) % 11;
    bool is_given = str_find_char(STR("1235689"), compact.ptr[0]) < 7;
    return is_given && (check > 9 ? 0 : check) == digit(compact, 8);
}

static int cpf_digit(struct str compact, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += digit(compact, i) * (int)(n + 1 - i);
    }
    return sum * 10 % 11 % 10;
}

bool redact_checksum_br_cpf(struct str compact)
{
    return cpf_digit(compact, 9) == digit(compact, 9) &&
           cpf_digit(compact, 10) == digit(compact, 10) && !is_one_digit(compact);
}

/* Multiplication in the dihedral group of order ten. */
static int dihedral(int a, int b)
{
    if (a < 5) {
        return b < 5 ? (a + b) % 5 : 5 + (a + b - 5) % 5;
    }
    return b < 5 ? 5 + (a - 5 - b + 5) % 5 : (a - b + 5) % 5;
}

bool redact_checksum_in_aadhaar(struct str compact)
{
    static const char permutation[] = "1576283094"; /* applied i times to the i-th digit */
    int check = 0;
    for (size_t i = 0; i < compact.len; i++) {
        int d = digit(compact, compact.len - 1 - i);
        for (size_t k = 0; k < i % 8; k++) {
            d = permutation[d] - '0';
        }
        check = dihedral(check, d);
    }
    return compact.ptr[0] >= '2' && check == 0 && !is_one_digit(compact);
}

bool redact_checksum_se_pnr(struct str compact)
{
    struct str last = str_slice(compact, compact.len - 10, 10);
    int64_t day = number(last, 4, 2, 100) % 60; /* co-ordination numbers add 60 */
    int64_t month = number(last, 2, 2, 100);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 && redact_checksum_luhn(last);
}

bool redact_checksum_ch_ahv(struct str compact)
{
    static const int weights[] = {1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1};
    return weigh(compact, weights, 13) % 10 == 0;
}

bool redact_checksum_cn_id(struct str compact)
{
    static const int weights[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    return is_day(compact, 10, 12) &&
           "10X98765432"[weigh(compact, weights, 17) % 11] == compact.ptr[17];
}

bool redact_checksum_fi_hetu(struct str compact)
{
    int64_t n = number(compact, 0, 9, 1000000000);
    return is_day(compact, 2, 0) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[n % 31] == compact.ptr[9];
}

bool redact_checksum_at_svnr(struct str compact)
{
    static const int weights[] = {3, 7, 9, 0, 5, 8, 4, 2, 1, 6};
    return compact.ptr[0] != '0' && weigh(compact, weights, 10) % 11 == digit(compact, 3) &&
           number(compact, 4, 2, 100) <= 31 && number(compact, 6, 2, 100) <= 15;
}
