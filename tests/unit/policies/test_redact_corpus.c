/* The detector on a made corpus: people's data in sentences of four languages, from a fixed seed. What
 * has a checksum must not leak once; of the rest recall and precision are printed and held above a
 * floor. Numbers are made here, by formulas written apart from those under test. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policies/redact.h"
#include "tests/support/test.h"

enum {
    ITEMS = 4000,
    VALUE_MAX = 128,
    TEXT_MAX = 1024,
    LANGUAGES = 4,
};

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % n;
}

static void digits(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (char)('0' + pick(10));
    }
    to[n] = '\0';
}

/* ---------------------------------------------------------------- numbers with checksums */

static void add_luhn(char *number)
{
    size_t n = strlen(number);
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int d = number[n - 1 - i] - '0';
        d = i % 2 == 0 ? 2 * d : d;
        sum += d / 10 + d % 10;
    }
    number[n] = (char)('0' + (10 - sum % 10) % 10);
    number[n + 1] = '\0';
}

static unsigned rest_of(const char *number, unsigned m)
{
    unsigned rest = 0;
    for (; *number != '\0'; number++) {
        rest = (rest * 10 + (unsigned)(*number - '0')) % m;
    }
    return rest;
}

static void make_card(char *to)
{
    digits(to, 15);
    to[0] = "456"[pick(3)];
    add_luhn(to);
    if (pick(2) == 0) {
        char compact[20];
        memcpy(compact, to, 17);
        (void)snprintf(to, VALUE_MAX, "%.4s%c%.4s%c%.4s%c%.4s", compact, ' ', compact + 4, ' ',
                       compact + 8, ' ', compact + 12);
    }
}

static void make_iban(char *to)
{
    char account[24];
    char all[40];
    digits(account, 18);
    (void)snprintf(all, sizeof all, "%s131400", account); /* D is 13, E is 14 */
    unsigned check = 98 - rest_of(all, 97);
    if (pick(2) == 0) {
        (void)snprintf(to, VALUE_MAX, "DE%02u%s", check, account);
    } else {
        (void)snprintf(to, VALUE_MAX, "DE%02u %.4s %.4s %.4s %.4s %.2s", check, account,
                       account + 4, account + 8, account + 12, account + 16);
    }
}

static void make_nhs(char *to)
{
    unsigned check = 10;
    while (check == 10) {
        unsigned sum = 0;
        digits(to, 9);
        for (unsigned i = 0; i < 9; i++) {
            sum += (unsigned)(to[i] - '0') * (10 - i);
        }
        check = (11 - sum % 11) % 11;
    }
    char compact[12];
    memcpy(compact, to, 10);
    (void)snprintf(to, VALUE_MAX, pick(2) == 0 ? "%.3s %.3s %.3s%u" : "%.3s%.3s%.3s%u", compact,
                   compact + 3, compact + 6, check);
}

static void make_steuer(char *to)
{
    unsigned product = 10;
    digits(to, 10);
    to[0] = (char)('1' + pick(9));
    for (int i = 0; i < 10; i++) {
        unsigned sum = ((unsigned)(to[i] - '0') + product) % 10;
        product = 2 * (sum == 0 ? 10 : sum) % 11;
    }
    to[10] = (char)('0' + (11 - product) % 10);
    to[11] = '\0';
}

static void make_nir(char *to)
{
    char n[16];
    (void)snprintf(n, sizeof n, "%u%02u%02u%02u%03u%03u", 1 + pick(2), pick(100), 1 + pick(12),
                   1 + pick(19), 1 + pick(900), 1 + pick(900));
    unsigned key = 97 - rest_of(n, 97);
    (void)snprintf(to, VALUE_MAX,
                   pick(2) == 0 ? "%.1s %.2s %.2s %.2s %.3s %.3s %02u"
                                : "%.1s%.2s%.2s%.2s%.3s%.3s%02u",
                   n, n + 1, n + 3, n + 5, n + 7, n + 10, key);
}

static void make_dni(char *to)
{
    static const char letters[] = "TRWAGMYFPDXBNJZSQVHLCKE";
    unsigned n = pick(100000000);
    (void)snprintf(to, VALUE_MAX, pick(2) == 0 ? "%08u%c" : "%08u-%c", n, letters[n % 23]);
}

static void make_bsn(char *to)
{
    unsigned last = 10;
    while (last == 10) {
        unsigned sum = 0;
        digits(to, 8);
        to[0] = (char)('1' + pick(9));
        for (unsigned i = 0; i < 8; i++) {
            sum += (unsigned)(to[i] - '0') * (9 - i);
        }
        last = sum % 11;
    }
    to[8] = (char)('0' + last);
    to[9] = '\0';
}

static void make_pesel(char *to)
{
    static const unsigned weights[] = {1, 3, 7, 9, 1, 3, 7, 9, 1, 3};
    unsigned sum = 0;
    (void)snprintf(to, VALUE_MAX, "%02u%02u%02u%04u", pick(100), 1 + pick(12), 1 + pick(28),
                   pick(10000));
    for (int i = 0; i < 10; i++) {
        sum += (unsigned)(to[i] - '0') * weights[i];
    }
    to[10] = (char)('0' + (10 - sum % 10) % 10);
    to[11] = '\0';
}

static void make_cpf(char *to)
{
    digits(to, 9);
    for (unsigned n = 9; n < 11; n++) {
        unsigned sum = 0;
        for (unsigned i = 0; i < n; i++) {
            sum += (unsigned)(to[i] - '0') * (n + 1 - i);
        }
        unsigned rest = sum % 11;
        to[n] = (char)('0' + (rest < 2 ? 0 : 11 - rest));
        to[n + 1] = '\0';
    }
    char c[12];
    memcpy(c, to, 12);
    if (pick(2) == 0) {
        (void)snprintf(to, VALUE_MAX, "%.3s.%.3s.%.3s-%.2s", c, c + 3, c + 6, c + 9);
    }
}

static void make_personnummer(char *to)
{
    (void)snprintf(to, VALUE_MAX, "%02u%02u%02u%03u", pick(100), 1 + pick(12), 1 + pick(28),
                   pick(1000));
    add_luhn(to);
    memmove(to + 7, to + 6, 5);
    to[6] = '-';
}

static void make_ahv(char *to)
{
    unsigned sum = 0;
    digits(to, 12);
    memcpy(to, "756", 3);
    for (int i = 0; i < 12; i++) {
        sum += (unsigned)(to[i] - '0') * (i % 2 == 0 ? 1 : 3);
    }
    char c[16];
    memcpy(c, to, 13);
    (void)snprintf(to, VALUE_MAX, "756.%.4s.%.4s.%.1s%u", c + 3, c + 7, c + 11,
                   (10 - sum % 10) % 10);
}

static void make_belgian(char *to)
{
    char n[12];
    (void)snprintf(n, sizeof n, "%02u%02u%02u%03u", pick(100), 1 + pick(12), 1 + pick(28),
                   1 + pick(997));
    (void)snprintf(to, VALUE_MAX, "%.2s.%.2s.%.2s-%.3s.%02u", n, n + 2, n + 4, n + 6,
                   97 - rest_of(n, 97));
}

static void make_chinese(char *to)
{
    unsigned sum = 0;
    digits(to, 17);
    (void)snprintf(to + 6, 9, "19%02u%02u%02u", pick(100), 1 + pick(12), 1 + pick(28));
    digits(to + 14, 3);
    to[0] = (char)('1' + pick(6));
    for (unsigned i = 0; i < 17; i++) {
        sum += (unsigned)(to[i] - '0') * ((1U << (17 - i)) % 11);
    }
    to[17] = "0123456789X"[(12 - sum % 11) % 11];
    to[18] = '\0';
}

static void make_nif(char *to)
{
    unsigned sum = 0;
    digits(to, 8);
    to[0] = "12356"[pick(5)];
    for (unsigned i = 0; i < 8; i++) {
        sum += (unsigned)(to[i] - '0') * (9 - i);
    }
    to[8] = (char)('0' + (sum % 11 < 2 ? 0 : 11 - sum % 11));
    to[9] = '\0';
}

/* ---------------------------------------------------------------- the rest */

static const char *const first_names[] = {"Anna",   "Thomas", "Julia", "Pierre", "Carmen", "Zoltan",
                                          "Priya",  "Émilie", "José",  "Yuki",   "Hannah", "Pablo",
                                          "Jürgen", "Aisha",  "Paul",  "Ingrid"};
static const char *const last_names[] = {"Smith",   "Müller", "Dupont", "García",    "Kowalski",
                                         "Okafor",  "Nguyen", "Öztürk", "Fernández", "Lefèvre",
                                         "Johnson", "Weber",  "Petrov", "Moreau"};
static const char *const months[LANGUAGES][4] = {
    {"January", "March", "August", "December"},
    {"Januar", "März", "August", "Dezember"},
    {"janvier", "mars", "août", "décembre"},
    {"enero", "marzo", "agosto", "diciembre"},
};

static unsigned language;

static void make_email(char *to)
{
    static const char *const hosts[] = {"mail.example", "klinik.example.de", "acme.co.example",
                                        "gmail.example.com"};
    static const char *const locals[] = {"anna.b", "t_weber", "info+x", "j.p-martin", "m99"};
    (void)snprintf(to, VALUE_MAX, "%s%u@%s", locals[pick(5)], pick(100), hosts[pick(4)]);
}

static void make_ip(char *to)
{
    if (pick(3) == 0) {
        (void)snprintf(to, VALUE_MAX, "2001:db8:%x::%x", pick(65536), pick(65536));
    } else {
        (void)snprintf(to, VALUE_MAX, "%u.%u.%u.%u", 1 + pick(223), pick(256), pick(256),
                       pick(256));
    }
}

/* Copies a form; each # becomes a digit, the first of a run not 0. */
static void fill(char *to, const char *form)
{
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool is_first = i == 0 || form[i - 1] != '#';
        to[i] = form[i] == '#' ? (char)('0' + (is_first ? 1 + pick(9) : pick(10))) : form[i];
        to[i + 1] = '\0';
    }
}

static void make_phone(char *to)
{
    static const char *const forms[LANGUAGES][3] = {
        {"(2##) 555-####", "+1 2## 555 ####", "020 79## ####"},
        {"030 12####", "+49 89 5####", "0171/55####"},
        {"06 1# ## 31 56", "+33 6 12 ## ## 78", "01.42.##.##.09"},
        {"61# 34# 678", "+34 9## ### 789", "91# 23 4# 67"},
    };
    fill(to, forms[language][pick(3)]);
}

static void make_date(char *to)
{
    static const char *const between[LANGUAGES][2] = {
        {" ", " "}, {". ", " "}, {" ", " "}, {" de ", " de "}};
    unsigned day = 1 + pick(28);
    unsigned year = 1930 + pick(85);
    if (pick(2) == 0) {
        (void)snprintf(to, VALUE_MAX, "%u%s%s%s%u", day, between[language][0],
                       months[language][pick(4)], between[language][1], year);
    } else {
        char separator = "/./-"[language];
        (void)snprintf(to, VALUE_MAX, "%02u%c%02u%c%u", day, separator, 1 + pick(12), separator,
                       year);
    }
}

static void make_name(char *to)
{
    (void)snprintf(to, VALUE_MAX, "%s %s", first_names[pick(16)], last_names[pick(14)]);
}

static void make_address(char *to)
{
    static const char *const forms[LANGUAGES][2] = {
        {"## Old Mill Road, Springfield, IL 62704", "### Baker Street"},
        {"Lindenstraße ##, 10115 Berlin", "Am Marktplatz #"},
        {"## rue de la Paix, 75002 Paris", "### avenue Victor Hugo"},
        {"Calle de Alcalá ##, 28014 Madrid", "Avenida Diagonal, ###"},
    };
    fill(to, forms[language][pick(2)]);
}

static void make_record(char *to)
{
    fill(to, pick(2) == 0 ? "######" : "AB-######");
}

/* ---------------------------------------------------------------- sentences */

struct maker {
    const char *name;
    enum redact_kind kind;
    void (*make)(char *to);
    bool is_checked;
    const char *sentences[LANGUAGES]; /* NULL: any sentence around a bare value */
};

static const char *const bare[LANGUAGES][3] = {
    {"Please check %s for me.", "What should I do about %s?", "It says %s, is that right?"},
    {"Bitte prüfen Sie %s für mich.", "Was soll ich mit %s machen?", "Da steht %s, stimmt das?"},
    {"Merci de vérifier %s pour moi.", "Que faire de %s ?", "Il est écrit %s, c'est juste ?"},
    {"Por favor, revise %s por mí.", "¿Qué hago con %s?", "Aquí pone %s, ¿es correcto?"},
};

#define ANY                                                                                        \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

static const struct maker makers[] = {
    {"card", REDACT_CARD, make_card, true, ANY},
    {"iban", REDACT_IBAN, make_iban, true, ANY},
    {"UK NHS", REDACT_NATIONAL_ID, make_nhs, true, ANY},
    {"DE Steuer-ID", REDACT_NATIONAL_ID, make_steuer, true, ANY},
    {"FR NIR", REDACT_NATIONAL_ID, make_nir, true, ANY},
    {"ES DNI", REDACT_NATIONAL_ID, make_dni, true, ANY},
    {"NL BSN", REDACT_NATIONAL_ID, make_bsn, true, ANY},
    {"PL PESEL", REDACT_NATIONAL_ID, make_pesel, true, ANY},
    {"BR CPF", REDACT_NATIONAL_ID, make_cpf, true, ANY},
    {"SE personnummer", REDACT_NATIONAL_ID, make_personnummer, true, ANY},
    {"CH AHV", REDACT_NATIONAL_ID, make_ahv, true, ANY},
    {"BE national number", REDACT_NATIONAL_ID, make_belgian, true, ANY},
    {"CN resident id", REDACT_NATIONAL_ID, make_chinese, true, ANY},
    {"PT NIF", REDACT_NATIONAL_ID, make_nif, true, ANY},
    {"email", REDACT_EMAIL, make_email, false, ANY},
    {"ip", REDACT_IP, make_ip, false, ANY},
    {"phone", REDACT_PHONE, make_phone, false, ANY},
    {"date", REDACT_DATE, make_date, false, ANY},
    {"address", REDACT_ADDRESS, make_address, false, ANY},
    {"birth_date",
     REDACT_BIRTH_DATE,
     make_date,
     false,
     {"The patient, born on %s, has a fever.", "Der Patient, geboren am %s, hat Fieber.",
      "Le patient, né le %s, a de la fièvre.", "El paciente, nacido el %s, tiene fiebre."}},
    {"name, introduced",
     REDACT_NAME,
     make_name,
     false,
     {"Hello, my name is %s, I need a letter.", "Hallo, mein Name ist %s, ich brauche einen Brief.",
      "Bonjour, je m'appelle %s, il me faut une lettre.",
      "Hola, me llamo %s, necesito una carta."}},
    {"name, in passing",
     REDACT_NAME,
     make_name,
     false,
     {"Write to %s about the rent.", "Schreib an %s wegen der Miete.", "Écris à %s pour le loyer.",
      "Escribe a %s por el alquiler."}},
    {"medical_id",
     REDACT_MEDICAL_ID,
     make_record,
     false,
     {"See MRN %s for the scan.", "Siehe Patientennummer %s zum Befund.",
      "Voir le numéro de dossier %s.", "Ver la historia clínica %s."}},
    {"insurance_id",
     REDACT_INSURANCE_ID,
     make_record,
     false,
     {"My policy number is %s.", "Meine Versichertennummer lautet %s.",
      "Mon numéro d'assuré est %s.", "Mi número de póliza es %s."}},
};

enum {
    MAKERS = sizeof makers / sizeof makers[0]
};

struct tally {
    int made;
    int found; /* every byte of the value is in spans */
    int kind;  /* and the kind is the right one */
    int spans; /* of any kind */
};

/* Whether spans cover all of the value; counts them. */
static void look(const char *text, struct str value, size_t at, const struct maker *m,
                 struct tally *t)
{
    struct redact_scan scan;
    struct redact_span span = {0, 0, 0};
    size_t covered = 0;
    bool is_kind = false;
    redact_scan_init(&scan, str_from(text), REDACT_ALL);
    while (redact_next(&scan, &span)) {
        size_t from = span.start > at ? span.start : at;
        size_t to = span.start + span.len;
        to = to < at + value.len ? to : at + value.len;
        covered += to > from ? to - from : 0;
        is_kind = is_kind || (to > from && span.kind == m->kind);
        t->spans++;
    }
    t->made++;
    t->found += covered == value.len;
    t->kind += is_kind;
    if (m->is_checked && covered < value.len) {
        fail_msg("%s leaks: %s", m->name, text);
    }
}

static void play(const struct maker *m, struct tally *t)
{
    char value[VALUE_MAX];
    char text[TEXT_MAX];
    language = pick(LANGUAGES);
    m->make(value);
    const char *form = m->sentences[0] == NULL ? bare[language][pick(3)] : m->sentences[language];
    size_t at = str_find(str_from(form), STR("%s"));
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)at, form, value, form + at + 2);
    look(text, str_from(value), at, m, t);
}

static void a_made_corpus_does_not_leak(void **state)
{
    struct tally tallies[MAKERS] = {0};
    (void)state;
    seed = 20240611;
    for (size_t i = 0; i < ITEMS; i++) {
        play(&makers[i % MAKERS], &tallies[i % MAKERS]);
    }
    for (size_t i = 0; i < MAKERS; i++) {
        const struct tally *t = &tallies[i];
        print_message("%-20s %4d made, %4d hidden (%.3f), of this kind %.3f, %.3f spans each\n",
                      makers[i].name, t->made, t->found, (double)t->found / t->made,
                      (double)t->kind / t->made, (double)t->spans / t->made);
        assert_true(t->found * 100 >= t->made * (makers[i].is_checked ? 100 : 60));
    }
}

/* Lines of JSON; of each the text, escapes left as they are: enough to count what is found. */
static void ordinary_prompts_are_rarely_touched(void **state)
{
    char path[512];
    (void)state;
    if (test_shared_dir() == NULL) {
        print_message("SKIPPED: no shared corpora here\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/data/corpus/authored_dev.jsonl", test_shared_dir());
    struct str all = test_read_file(path);
    struct str rest = all;
    struct str line;
    int prompts = 0;
    int spans[REDACT_KINDS] = {0};
    int touched = 0;
    while (str_split(rest, '\n', &line, &rest)) {
        struct redact_scan scan;
        struct redact_span span = {0, 0, 0};
        size_t end = str_find(line, STR("\", \"label\""));
        redact_scan_init(&scan, str_slice(line, 10, end - 10), REDACT_ALL);
        bool is_touched = false;
        while (redact_next(&scan, &span)) {
            spans[span.kind]++;
            is_touched = true;
        }
        prompts++;
        touched += is_touched;
    }
    mem_free((void *)(uintptr_t)all.ptr);
    print_message("%d of %d prompts touched:", touched, prompts);
    for (int i = 0; i < REDACT_KINDS; i++) {
        print_message(" %s=%d", redact_kind_name((enum redact_kind)i), spans[i]);
    }
    print_message("\n");
    assert_true(prompts > 0 && touched * 10 < prompts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_corpus_does_not_leak),
        cmocka_unit_test(ordinary_prompts_are_rarely_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
