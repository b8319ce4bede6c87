/* What looking for private data costs: microseconds per kB of text, for all kinds, for all but names,
 * and for e-mail alone. Takes the fastest of many rounds. Not a test. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policies/redact.h"

enum {
    TEXT_BYTES = 64 * 1024,
    ROUNDS = 100,
};

static const struct {
    const char *name;
    const char *text;
} texts[] = {
    {"no digits, @ or capitals",
     "please explain why the sum of two odd numbers is even, and write a "
     "function that shows it, as short as possible; thank you very much. "},
    {"English prose", "Please explain why the sum of two odd numbers is even. The proof should fit "
                      "on a page, as in Euclid's Elements, and use no more than 3 steps. "},
    {"German prose",
     "Bitte erkläre, warum die Summe zweier ungerader Zahlen gerade ist. Der Beweis "
     "soll auf eine Seite passen, ohne Tabellen und mit höchstens 3 Schritten. "},
    {"source code",
     "for (size_t i = 0; i < 16; i++) { v[i] = a[i] * 0x1f + b[i + 2]; /* std::max */ "
     "if (v[i] > 255) { return ERROR_RANGE; } }\n"},
    {"a letter in ten",
     "Dear Dr. Weber, my name is Anna Smith, born on 12.03.1985, of 12 Old Mill "
     "Road, Springfield; call (212) 555-0187 or mail anna.smith@mail.example. The "
     "card 4111 1111 1111 1111 was charged twice last week and I would like to "
     "know why, since nothing of the kind was agreed upon when we last spoke, "
     "and nobody has answered since then. "},
};

static const struct {
    const char *name;
    unsigned kinds;
} sets[] = {
    {"all kinds", REDACT_ALL},
    {"without names", REDACT_ALL & ~(1U << REDACT_NAME)},
    {"e-mail", 1U << REDACT_EMAIL},
};

static char text[TEXT_BYTES];

/* Microseconds of one pass; counts the spans. */
static int64_t pass(unsigned kinds, size_t *ret_spans)
{
    struct redact_scan scan;
    struct redact_span span = {0, 0, 0};
    int64_t start_us = clock_now_us(clock_system());
    *ret_spans = 0;
    redact_scan_init(&scan, (struct str){text, TEXT_BYTES}, kinds);
    while (redact_next(&scan, &span)) {
        (*ret_spans)++;
    }
    return clock_now_us(clock_system()) - start_us;
}

int main(void)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = strlen(texts[i].text);
        for (size_t at = 0; at < TEXT_BYTES; at++) {
            text[at] = texts[i].text[at % len];
        }
        for (size_t k = 0; k < sizeof sets / sizeof sets[0]; k++) {
            int64_t best_us = INT64_MAX;
            size_t spans = 0;
            for (int round = 0; round < ROUNDS; round++) {
                int64_t us = pass(sets[k].kinds, &spans);
                best_us = us < best_us ? us : best_us;
            }
            (void)printf("%-26s %-14s %6.3f us/kB, %5.2f spans/kB\n", texts[i].name, sets[k].name,
                         (double)best_us * 1000 / TEXT_BYTES, (double)spans * 1000 / TEXT_BYTES);
        }
    }
    return 0;
}
