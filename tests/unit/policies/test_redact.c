/* The detector: what is found, where exactly, and what is left alone. */
#include <string.h>

#include "policies/redact.h"
#include "tests/support/test.h"

struct found {
    const char *text;
    const char *kind;
    const char *value; /* the first span */
};

static void check(const struct found *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct found *c = &cases[i];
        struct redact_scan scan;
        struct redact_span span = {0, 0, 0};
        redact_scan_init(&scan, str_from(c->text), REDACT_ALL);
        bool is_found = redact_next(&scan, &span);
        struct str got = str_slice(str_from(c->text), span.start, span.len);
        const char *kind = is_found ? redact_kind_name((enum redact_kind)span.kind) : "nothing";
        if (strcmp(kind, c->kind) != 0 || !str_eq(got, str_from(c->value))) {
            fail_msg("in \"%s\": %s \"%.*s\" instead of %s \"%s\"", c->text, kind, STR_ARG(got),
                     c->kind, c->value);
        }
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases)[0])

static void addresses_of_machines_and_mail_are_found(void **state)
{
    static const struct found cases[] = {
        {"mail jane.doe+x@mail.example.org.", "email", "jane.doe+x@mail.example.org"},
        {"<o'neil@a-b.co>", "email", "o'neil@a-b.co"},
        {"\"jürgen@müller.de\"", "email", "jürgen@müller.de"},
        {"from 192.168.0.254, port 80", "ip", "192.168.0.254"},
        {"host fe80::1ff:fe23:4567:890a up", "ip", "fe80::1ff:fe23:4567:890a"},
        {"[2001:db8:0:0:0:0:2:1]:80", "ip", "2001:db8:0:0:0:0:2:1"},
        {"loop ::1 back", "ip", "::1"},
        {"10.1.2.3:8080 refused", "ip", "10.1.2.3"},
        {"from:10.1.2.3:8080", "ip", "10.1.2.3"},
        {"peer ::ffff:10.1.2.3", "ip", "::ffff:10.1.2.3"},
        {"peer 64:ff9b:1::10.1.2.3.", "ip", "64:ff9b:1::10.1.2.3"},
        {"at 12:30 and ratio 1:2:3", "nothing", ""},
    };
    (void)state;
    CHECK(cases);
}

static void numbers_with_checksums_are_found(void **state)
{
    static const struct found cases[] = {
        {"card 4111 1111 1111 1111 please", "card", "4111 1111 1111 1111"},
        {"4111-1111-1111-1111", "card", "4111-1111-1111-1111"},
        {"4111\t1111\t1111\t1111", "card", "4111\t1111\t1111\t1111"},
        {"4111\u20091111\u22121111\u200b1111.", "card", "4111\u20091111\u22121111\u200b1111"},
        {"4111\u00ad\u200d1111\u200b 1111\u30001111", "card",
         "4111\u00ad\u200d1111\u200b 1111\u30001111"},
        {"card4111111111111111", "card", "4111111111111111"},
        {"DE89\u200b3704\u20070044\u00ad0532013000", "iban",
         "DE89\u200b3704\u20070044\u00ad0532013000"},
        {"pay to DE89 3704 0044 0532 0130 00 now", "iban", "DE89 3704 0044 0532 0130 00"},
        {"de89370400440532013000", "iban", "de89370400440532013000"},
        {"it is 943 476 5919", "national_id", "943 476 5919"},
        {"RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"},
        {"X-1234567-L", "national_id", "X-1234567-L"},
        {"78-05-1120 no, 078-05-1120", "national_id", "078-05-1120"},
        {"2 55 08 14 168 025 38", "national_id", "2 55 08 14 168 025 38"},
        {"身份证11010519491231002X。", "national_id", "11010519491231002X"},
        {"131052-308T", "national_id", "131052-308T"},
        {"Karte A123456780", "insurance_id", "A123456780"},
    };
    (void)state;
    CHECK(cases);
}

static void words_announce_numbers(void **state)
{
    static const struct found cases[] = {
        {"MRN: 00451277", "medical_id", "00451277"},
        {"patient id AB-12345 came", "medical_id", "AB-12345"},
        {"numéro de dossier : 884512", "medical_id", "884512"},
        {"policy no. XK-7741290", "insurance_id", "XK-7741290"},
        {"Versichertennummer lautet 4471290", "insurance_id", "4471290"},
        {"my SSN is 078051120", "national_id", "078051120"},
        {"born on 1985-03-12", "birth_date", "1985-03-12"},
        {"née le 12 mars 1985 à Lyon", "birth_date", "12 mars 1985"},
        {"geb. 12.03.1985", "birth_date", "12.03.1985"},
        {"fecha de nacimiento: 12 de marzo de 1985", "birth_date", "12 de marzo de 1985"},
        {"call 555 0199 22", "phone", "555 0199 22"},
    };
    (void)state;
    CHECK(cases);
}

static void phones_and_dates_are_found_by_their_form(void **state)
{
    static const struct found cases[] = {
        {"+49 (0)30 1234567", "phone", "+49 (0)30 1234567"},
        {"(212) 555-0187", "phone", "(212) 555-0187"},
        {"212-555-0187", "phone", "212-555-0187"},
        {"06 12 34 56 78", "phone", "06 12 34 56 78"},
        {"020 7946 0958", "phone", "020 7946 0958"},
        {"612 345 679", "phone", "612 345 679"},
        {"on March 12th, 1985 it", "date", "March 12th, 1985"},
        {"am 12. März 1985", "date", "12. März 1985"},
        {"3/12/1985", "date", "3/12/1985"},
    };
    (void)state;
    CHECK(cases);
}

static void addresses_and_names_are_found(void **state)
{
    static const struct found cases[] = {
        {"at 12 Old Mill Road, Springfield, IL 62704", "address",
         "12 Old Mill Road, Springfield, IL 62704"},
        {"in der Lindenstraße 5a, 10115 Berlin.", "address", "Lindenstraße 5a, 10115 Berlin"},
        {"au 12 bis, rue de la Paix, 75002 Paris", "address",
         "12 bis, rue de la Paix, 75002 Paris"},
        {"en Calle de Alcalá, 45, 28014 Madrid", "address", "Calle de Alcalá, 45, 28014 Madrid"},
        {"ask Mr. Smith", "name", "Smith"},
        {"my name is Zoltan Varga and", "name", "Zoltan Varga"},
        {"Patientin: Greta Öhler", "name", "Greta Öhler"},
        {"je m'appelle Léa de la Tour", "name", "Léa de la Tour"},
        {"with Émilie Durand there", "name", "Émilie Durand"},
        {"thanks,\nHanna", "name", "Hanna"},
        {"said M. Dupont", "name", "Dupont"},
    };
    (void)state;
    CHECK(cases);
}

static void ordinary_text_is_left_alone(void **state)
{
    static const char *const texts[] = {
        "std::vector<int> a[10]; x @ y; 3.14159265358979 and 1e10",
        "It took 12:34:56 in 2023, about 1,000,000 times (50 %)",
        "ISO 9001:2015, RFC 2119, version 1.2.3, chapter 4.5.6",
        "Paris is in France; Will you mark it? The patient. She left",
        "solve 3x + 4 = 10 for x; 7/8 of 24; 10-15 minutes",
        "a@b and @home, user@localhost",
        "4111 1111 1111 1112 is no card",
        "0.123456782 and 12345678.9",
        "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct redact_scan scan;
        struct redact_span span = {0, 0, 0};
        redact_scan_init(&scan, str_from(texts[i]), REDACT_ALL);
        if (redact_next(&scan, &span)) {
            fail_msg("in \"%s\": %s \"%.*s\"", texts[i],
                     redact_kind_name((enum redact_kind)span.kind), (int)span.len,
                     texts[i] + span.start);
        }
    }
}

static void only_kinds_asked_for_are_found(void **state)
{
    struct redact_scan scan;
    struct redact_span span = {0, 0, 0};
    (void)state;
    redact_scan_init(&scan, STR("Mr. Smith, 192.168.0.1, a@b.example"), 1U << REDACT_EMAIL);

    assert_true(redact_next(&scan, &span));
    assert_int_equal(span.kind, REDACT_EMAIL);
    assert_int_equal(span.start, 24);
    assert_false(redact_next(&scan, &span));
}

static void several_are_found_in_order(void **state)
{
    struct redact_scan scan;
    struct redact_span span = {0, 0, 0};
    (void)state;
    redact_scan_init(&scan, STR("a@b.example,c@d.example;4111111111111111"), REDACT_ALL);

    size_t end = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(redact_next(&scan, &span));
        assert_true(span.start >= end);
        end = span.start + span.len;
    }
    assert_int_equal(span.kind, REDACT_CARD);
    assert_false(redact_next(&scan, &span));
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < REDACT_KINDS; i++) {
        enum redact_kind kind = (enum redact_kind)i;
        enum redact_kind same = REDACT_EMAIL;
        assert_true(redact_kind_of(str_from(redact_kind_name(kind)), &same));
        assert_int_equal(same, kind);
        assert_true(strlen(redact_kind_sentence(kind)) > 0);
    }
    enum redact_kind none = REDACT_EMAIL;
    assert_false(redact_kind_of(STR("EMAIL"), &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_machines_and_mail_are_found),
        cmocka_unit_test(numbers_with_checksums_are_found),
        cmocka_unit_test(words_announce_numbers),
        cmocka_unit_test(phones_and_dates_are_found_by_their_form),
        cmocka_unit_test(addresses_and_names_are_found),
        cmocka_unit_test(ordinary_text_is_left_alone),
        cmocka_unit_test(only_kinds_asked_for_are_found),
        cmocka_unit_test(several_are_found_in_order),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
