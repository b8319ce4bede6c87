/* Guards: noise is seen, and what only looks like it is not. Noise is made here, from a fixed seed;
 * prompts are those that people wrote. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/guards.h"
#include "router/prompts.h"
#include "tests/support/test.h"

enum {
    TEXT_MAX = 1024,
    MADE = 200, /* texts of a kind of noise */
};

static struct language_model *model;
static struct arena *arena;
static struct diags diags;

static int prepare(void **state)
{
    (void)state;
    arena = arena_create(65536, 16 << 20);
    diags_init(&diags, arena);
    return language_model_load("conf/models/languages.edl", &diags, &model) == ST_OK ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    language_model_destroy(model);
    arena_destroy(arena);
    return 0;
}

static void expect_kind(const char *const *texts, size_t count, enum guard_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        struct guard guard;
        guards_judge(model, str_from(texts[i]), &guard);
        if (guard.kind != kind) {
            fail_msg("\"%s\" is %s (%.2f, %s), want %s", texts[i], guards_kind_text(guard.kind),
                     (double)guard.score, guard.reason, guards_kind_text(kind));
        }
        assert_int_equal(guard.reason[0] == '\0', kind == GUARD_PROSE);
        assert_true(guard.score >= 0.0F && guard.score <= 1.0F);
    }
}

#define EXPECT_KIND(texts, kind) expect_kind(texts, sizeof(texts) / sizeof(texts)[0], kind)

static void formulas_names_and_short_questions_are_prose(void **state)
{
    static const char *const texts[] = {
        "2+2*7",
        "2 + 2",
        "C4H10 + O2",
        "2KMnO4 + 16HCl -> 2KCl + 2MnCl2 + 8H2O + 5Cl2",
        "AgNO3(aq) + NaCl(aq) -> AgCl(s) + NaNO3(aq)",
        "x^2 - 5x + 6 = 0",
        "f(x) = (x-1)(x+2), find f(3)",
        "\\int_0^1 \\frac{\\sin x}{x} dx",
        "let f(z) = 36z^2 - 25. find f(6)",
        "1111111 * 9 = ?",
        "3.14159265358979323846 is which constant",
        "+49 151 23456789",
        "ok",
        "hi",
        "hm",
        "pls",
        "thx!!!",
        "lol what",
        "π",
        "猫",
        "TLS vs SSL",
        "STIX vs TAXII vs MISP?",
        "CRISPR Cas9 gRNA",
        "CVE-2021-44228",
        "rhythm",
        "https://example.com/a/very/long/path?with=query&and=more#fragment",
        "what does 550e8400-e29b-41d4-a716-446655440000 mean and who made it",
        "decode this base64 please: aGVsbG8gd29ybGQgaG93IGFyZSB5b3U=",
        "no no no, I meant the other one",
        "Grzegorz Brzęczyszczykiewicz",
        "Hvad er klokken?",
        "Is 12:30 a good time to eat lunch, or is it too early?",
        "from what I read, import duties rise; is that right?",
        "Use the word class in a sentence; then return to the topic.",
        "my test says: I think my function is wrong (see below), can you help?",
        "Why does the error happen only at night?",
        "50/30/20 still realistic?",
        "第一次世界大战的原因是什么？",
    };

    (void)state;
    EXPECT_KIND(texts, GUARD_PROSE);
}

static void texts_without_letters_and_digits_are_empty(void **state)
{
    static const char *const texts[] = {"",  " ",    "\n\n\t", "?", "...", "?!?!", "👍",   "😂😂😂",
                                        "—", "\"\"", "()",     "a", "7",   " k ",  "。、"};

    (void)state;
    EXPECT_KIND(texts, GUARD_EMPTY);
}

static void noise_is_noise(void **state)
{
    static const char *const texts[] = {
        "asdfghjkl",
        "qwertyuiop qwertyuiop",
        "sdkfjh skdjfh ksjdhf kjshdf",
        "aaaaaaaaaaaaaaaaaaaaa",
        "hahahahahahahahahaha",
        "test test test test test test test test",
        "buy now buy now buy now buy now buy now",
        "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
        "\x01\x02\x03\x04 binary \x05\x06\x07\x08\x0e\x0f\x10",
        "\xff\xd8\xff\xe0 JFIF \x80\x81\x82\x83",
    };

    (void)state;
    EXPECT_KIND(texts, GUARD_NOISE);
}

static void code_is_code(void **state)
{
    static const char *const texts[] = {
        "def add(a, b):\n    return a + b\n\nprint(add(1, 2))",
        "#include <stdio.h>\nint main(void)\n{\n    printf(\"hi\\n\");\n    return 0;\n}",
        "for (int i = 0; i < n; i++) {\n    sum += a[i];\n}",
        "public class Main {\n  public static void main(String[] args) {\n    run();\n  }\n}",
        "const f = async (x) => {\n  const r = await fetch(x);\n  return r.json();\n};",
        "SELECT name, count(*) FROM users WHERE age > 30 GROUP BY name;",
        "fn main() {\n    let v: Vec<i32> = vec![1, 2];\n    println!(\"{:?}\", v);\n}",
        "<!DOCTYPE html>\n<html>\n<body>\n<p class=\"x\">hi</p>\n</body>\n</html>",
        "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"hi\")\n}",
        "import numpy as np\nx = np.zeros((3, 3))\nfor i in range(3):\n    x[i] = i\nprint(x)",
    };

    (void)state;
    EXPECT_KIND(texts, GUARD_CODE);
}

static void logs_and_traces_are_logs(void **state)
{
    static const char *const texts[] = {
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f(x)\n"
        "ValueError: bad value",
        "Exception in thread \"main\" java.lang.NullPointerException\n"
        "\tat com.acme.Main.run(Main.java:12)\n\tat com.acme.Main.main(Main.java:5)",
        "2024-05-01 12:00:01 ERROR db: connection lost\n2024-05-01 12:00:02 INFO db: retry 1",
        "[12:00:01] starting up\n[12:00:02] listening on port 8080",
        "Jan  3 12:00:01 host sshd[12]: Failed password for root from 10.0.0.1",
        "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:",
        "TypeError: cannot read properties of undefined (reading 'map')",
    };

    (void)state;
    EXPECT_KIND(texts, GUARD_LOG);
}

static void a_question_about_code_is_prose(void **state)
{
    static const char *const texts[] = {
        "Why does this print 3 and not 2? I am new to Python and my teacher could not tell me.\n"
        "print(len([1, 2, 3]))",
        "My doctor's portal shows \"TypeError: cannot read x\" instead of my blood results, what do I "
        "do about the results now, and whom do I call?",
    };

    (void)state;
    EXPECT_KIND(texts, GUARD_PROSE);
}

static void without_tables_only_letters_go_unseen(void **state)
{
    struct guard guard;
    (void)state;

    guards_judge(NULL, STR("sdkfjh skdjfh ksjdhf kjshdf"), &guard);
    assert_int_equal(guard.kind, GUARD_PROSE);
    guards_judge(NULL, STR("d41d8cd98f00b204e9800998ecf8427e"), &guard);
    assert_int_equal(guard.kind, GUARD_NOISE);
}

static void only_a_window_is_read(void **state)
{
    static char text[1 << 20];
    struct guard guard;
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "word ", 5);
    for (size_t i = 0; i + 8 < 1000; i += 8) {
        memcpy(text + i, "a text, ", 8);
        memcpy(text + sizeof text - 1000 + i, "a text, ", 8);
    }
    memcpy(text, "Here is something to read in full, whatever it is about: ", 57);

    guards_judge(model, (struct str){text, sizeof text}, &guard);

    assert_string_not_equal(guard.reason, "bytes that are no text");
    assert_true(guard.score <= 1.0F);
}

/* ------------------------------------------------------------------ figures */

static uint32_t draw(uint32_t *random, uint32_t below)
{
    *random = *random * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)*random * below >> 32);
}

static size_t fill(char *text, size_t count, struct str letters, uint32_t *random)
{
    for (size_t i = 0; i < count; i++) {
        text[i] = letters.ptr[draw(random, (uint32_t)letters.len)];
    }
    return count;
}

static size_t make_bytes(char *text, uint32_t *random)
{
    size_t count = 16 + draw(random, 300);
    for (size_t i = 0; i < count; i++) {
        text[i] = (char)(unsigned char)draw(random, 256);
    }
    return count;
}

static size_t make_base64(char *text, uint32_t *random)
{
    return fill(text, 24 + draw(random, 400),
                STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"), random);
}

static size_t make_hex(char *text, uint32_t *random)
{
    return fill(text, 20 + draw(random, 300), STR("0123456789abcdef"), random);
}

static size_t make_uuids(char *text, uint32_t *random)
{
    size_t n = 0;
    for (size_t k = 1 + draw(random, 4); k > 0; k--) {
        n += fill(text + n, 36, STR("0123456789abcdef"), random);
        text[n - 28] = text[n - 23] = text[n - 18] = text[n - 13] = '-';
        text[n++] = '\n';
    }
    return n;
}

static size_t make_letters(char *text, uint32_t *random)
{
    size_t n = 0;
    for (size_t k = 3 + draw(random, 8); k > 0; k--) {
        n += fill(text + n, 4 + draw(random, 7), STR("abcdefghijklmnopqrstuvwxyz"), random);
        text[n++] = ' ';
    }
    return n;
}

static size_t make_home_row(char *text, uint32_t *random)
{
    return fill(text, 12 + draw(random, 40), STR("asdfjkl;ghasdfjk"), random);
}

static size_t make_runs(char *text, uint32_t *random)
{
    static const char *const rows[] = {"qwertyuiop", "asdfghjkl", "zxcvbnm"};
    size_t n = 0;
    const char *row = rows[draw(random, 3)];
    for (size_t k = 2 + draw(random, 5); k > 0; k--) {
        size_t from = draw(random, 3);
        size_t length = strlen(row) - from - draw(random, 2);
        memcpy(text + n, row + from, length);
        n += length;
    }
    return n;
}

static size_t make_repeated(char *text, uint32_t *random)
{
    size_t period = 1 + draw(random, 4);
    size_t count = 12 + draw(random, 100);
    fill(text, period, STR("abcdefghijklmnopqrstuvwxyz"), random);
    for (size_t i = period; i < count; i++) {
        text[i] = text[i - period];
    }
    return count;
}

static size_t make_words(char *text, uint32_t *random)
{
    static const char *const words[] = {"test ", "hello ", "spam ", "buy now ", "one\n"};
    const char *word = words[draw(random, 5)];
    size_t n = 0;
    for (size_t k = 8 + draw(random, 50); k > 0; k--) {
        memcpy(text + n, word, strlen(word));
        n += strlen(word);
    }
    return n;
}

static size_t make_printable(char *text, uint32_t *random)
{
    size_t count = 20 + draw(random, 200);
    for (size_t i = 0; i < count; i++) {
        text[i] = (char)('!' + draw(random, 94));
    }
    return count;
}

static void almost_all_made_noise_is_seen(void **state)
{
    static const struct {
        const char *name;
        size_t (*make)(char *text, uint32_t *random);
    } kinds[] = {
        {"random bytes", make_bytes},
        {"base64", make_base64},
        {"hex", make_hex},
        {"UUIDs", make_uuids},
        {"random letters", make_letters},
        {"home row", make_home_row},
        {"keyboard runs", make_runs},
        {"repeated letters", make_repeated},
        {"repeated words", make_words},
        {"printable characters", make_printable},
    };

    size_t seen = 0;
    size_t total = 0;
    uint32_t random = 20240501;
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t mine = 0;
        for (size_t i = 0; i < MADE; i++) {
            char text[TEXT_MAX];
            struct guard guard;
            size_t length = kinds[k].make(text, &random);
            guards_judge(model, (struct str){text, length}, &guard);
            mine += guard.kind == GUARD_NOISE || guard.kind == GUARD_EMPTY;
        }
        print_message("noise, %s: %zu of %d seen\n", kinds[k].name, mine, MADE);
        assert_true(mine * 100 >= MADE * 90);
        seen += mine;
        total += MADE;
    }
    print_message("noise: %.4f seen\n", (double)seen / (double)total);
    assert_true(seen * 100 >= total * 97);
}

struct counts {
    size_t kinds[GUARD_EMPTY + 1];
    size_t total;
};

static enum status on_prompt(void *ctx, const struct prompts_row *row)
{
    struct counts *c = ctx;
    struct guard guard;
    guards_judge(model, row->text, &guard);
    c->kinds[guard.kind]++;
    c->total++;
    return ST_OK;
}

static void prompts_of_people_are_not_taken_for_noise(void **state)
{
    struct counts c = {0};
    (void)state;
    if (test_shared_dir() == NULL) {
        print_message("no shared data: false alarms of the guards are not counted\n");
        skip();
    }
    char *path = arena_copy_z(
        arena, arena_printf(arena, "%s/data/corpus/authored_dev.jsonl", test_shared_dir()));

    assert_int_equal(prompts_read(path, &diags, on_prompt, &c), ST_OK);

    print_message("authored_dev: %zu of %zu taken for noise, %zu for empty, %zu code, %zu log\n",
                  c.kinds[GUARD_NOISE], c.total, c.kinds[GUARD_EMPTY], c.kinds[GUARD_CODE],
                  c.kinds[GUARD_LOG]);
    assert_true(c.total > 1000);
    assert_true((c.kinds[GUARD_NOISE] + c.kinds[GUARD_EMPTY]) * 1000 < c.total * 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_names_and_short_questions_are_prose),
        cmocka_unit_test(texts_without_letters_and_digits_are_empty),
        cmocka_unit_test(noise_is_noise),
        cmocka_unit_test(code_is_code),
        cmocka_unit_test(logs_and_traces_are_logs),
        cmocka_unit_test(a_question_about_code_is_prose),
        cmocka_unit_test(without_tables_only_letters_go_unseen),
        cmocka_unit_test(only_a_window_is_read),
        cmocka_unit_test(almost_all_made_noise_is_seen),
        cmocka_unit_test(prompts_of_people_are_not_taken_for_noise),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
