/* Check digits: numbers that were published as examples hold, and every change of one digit is seen
 * where the checksum promises that. */
#include <string.h>

#include "policies/redact_checksum.h"
#include "tests/support/test.h"

struct sample {
    const char *name;
    redact_checksum_fn check;
    const char *number;
    bool sees_each_digit; /* a single wrong digit never passes */
};

/* Examples from the standards, the authorities' leaflets and the issuers' test numbers. */
static const struct sample samples[] = {
    {"Luhn", redact_checksum_luhn, "4111111111111111", true},
    {"Luhn", redact_checksum_luhn, "378282246310005", true},
    {"Luhn", redact_checksum_luhn, "5555555555554444", true},
    {"IBAN", redact_checksum_iban, "DE89370400440532013000", true},
    {"IBAN", redact_checksum_iban, "GB29NWBK60161331926819", true},
    {"IBAN", redact_checksum_iban, "NO9386011117947", true},
    {"US SSN", redact_checksum_us_ssn, "078051120", false},
    {"UK NHS", redact_checksum_uk_nhs, "9434765919", true},
    {"UK NINO", redact_checksum_uk_nino, "AB123456C", false},
    {"DE Steuer", redact_checksum_de_steuer, "86095742719", true},
    {"DE Steuer", redact_checksum_de_steuer, "47036892816", true},
    {"DE KVNR", redact_checksum_de_kvnr, "A123456780", true},
    {"FR NIR", redact_checksum_fr_nir, "255081416802538", true},
    {"ES DNI", redact_checksum_es_dni, "12345678Z", true},
    {"ES NIE", redact_checksum_es_dni, "X1234567L", false},
    {"IT CF", redact_checksum_it_cf, "RSSMRA85T10A562S", false},
    {"NL BSN", redact_checksum_nl_bsn, "111222333", true},
    {"BE", redact_checksum_be_nn, "85073003328", false},
    {"PL PESEL", redact_checksum_pl_pesel, "44051401359", true},
    {"PT NIF", redact_checksum_pt_nif, "123456789", false},
    {"BR CPF", redact_checksum_br_cpf, "52998224725", true},
    {"IN Aadhaar", redact_checksum_in_aadhaar, "999941057058", true},
    {"SE", redact_checksum_se_pnr, "8507099805", true},
    {"CH AHV", redact_checksum_ch_ahv, "7569217076985", true},
    {"CN", redact_checksum_cn_id, "11010519491231002X", true},
    {"FI", redact_checksum_fi_hetu, "131052308T", false},
    {"AT", redact_checksum_at_svnr, "1237010180", true},
};

enum {
    SAMPLES = sizeof samples / sizeof samples[0]
};

static void published_numbers_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (!samples[i].check(str_from(samples[i].number))) {
            fail_msg("%s: %s does not hold", samples[i].name, samples[i].number);
        }
    }
}

static void one_wrong_digit_is_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        char number[40];
        struct str text = str_from(samples[i].number);
        for (size_t k = 0; samples[i].sees_each_digit && k < text.len; k++) {
            memcpy(number, text.ptr, text.len);
            if (number[k] < '0' || number[k] > '9') {
                continue;
            }
            number[k] = number[k] == '9' ? '0' : (char)(number[k] + 1);
            if (samples[i].check((struct str){number, text.len})) {
                fail_msg("%s: %.*s holds", samples[i].name, (int)text.len, number);
            }
        }
    }
}

static void numbers_never_given_out_are_none(void **state)
{
    (void)state;
    assert_false(redact_checksum_us_ssn(STR("000123456")));
    assert_false(redact_checksum_us_ssn(STR("666123456")));
    assert_false(redact_checksum_us_ssn(STR("987654321")));
    assert_false(redact_checksum_uk_nino(STR("GB123456C")));
    assert_false(redact_checksum_uk_nino(STR("AB123456E")));
    assert_false(redact_checksum_luhn(STR("0000000000000000")));
    assert_false(redact_checksum_nl_bsn(STR("000000000")));
    assert_false(redact_checksum_br_cpf(STR("11111111111")));
    assert_false(redact_checksum_iban(STR("XX89370400440532013000")));
    assert_false(redact_checksum_iban(STR("DE8937040044053201300")));
}

static void corsicans_have_letters(void **state)
{
    (void)state;
    /* 1 84 05 2A 006 084: the key is taken of 19 instead of 2A, of 18 instead of 2B. */
    assert_true(redact_checksum_fr_nir(STR("184052A00608401")) ==
                redact_checksum_fr_nir(STR("184051900608401")));
    int holds = 0;
    for (int key = 1; key <= 97; key++) {
        char number[] = "184052B00608400";
        number[13] = (char)('0' + key / 10);
        number[14] = (char)('0' + key % 10);
        holds += redact_checksum_fr_nir((struct str){number, 15});
    }
    assert_int_equal(holds, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_numbers_hold),
        cmocka_unit_test(one_wrong_digit_is_seen),
        cmocka_unit_test(numbers_never_given_out_are_none),
        cmocka_unit_test(corsicans_have_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
