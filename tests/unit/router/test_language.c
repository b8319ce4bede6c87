/* Languages: what texts are in, how sure that is, and that nothing but a whole file of tables is read.
 * The tables are those that ship. */
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/language.h"
#include "router/prompts.h"
#include "tests/support/test.h"

#define MODEL "conf/models/languages.edl"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct language_model *model;
    struct str bytes; /* of MODEL; tests may write */
};

static int prepare(void **state)
{
    struct fixture *x = mem_zalloc(1, sizeof *x);
    x->arena = arena_create(65536, 16 << 20);
    diags_init(&x->diags, x->arena);
    x->bytes = test_read_file(MODEL);
    assert_int_equal(language_model_load(MODEL, &x->diags, &x->model), ST_OK);
    *state = x;
    return 0;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    language_model_destroy(x->model);
    mem_free((void *)(uintptr_t)x->bytes.ptr);
    arena_destroy(x->arena);
    mem_free(x);
    return 0;
}

static struct language_guess detect(const struct fixture *x, const char *text)
{
    struct language_guess guess;
    language_detect(x->model, str_from(text), &guess);
    return guess;
}

/* ---------------------------------------------------------------- detection */

static void sentences_get_their_language(void **state)
{
    static const char *const cases[][2] = {
        {"en", "How do I fix a leaking tap in the kitchen?"},
        {"de", "Wie repariere ich einen tropfenden Wasserhahn in der Küche?"},
        {"fr", "Comment réparer un robinet qui fuit dans la cuisine ?"},
        {"es", "¿Cómo arreglo un grifo que gotea en la cocina?"},
        {"it", "Come posso riparare un rubinetto che perde in cucina?"},
        {"pt", "Como conserto uma torneira que está pingando na cozinha?"},
        {"nl", "Hoe repareer ik een lekkende kraan in de keuken?"},
        {"sv", "Hur lagar jag en läckande kran i köket?"},
        {"da", "Hvad skal jeg gøre, når vandhanen i køkkenet bliver ved med at dryppe?"},
        {"no", "Hvordan fikser jeg en kran som lekker på kjøkkenet?"},
        {"fi", "Miten korjaan vuotavan hanan keittiössä?"},
        {"pl", "Jak naprawić cieknący kran w kuchni?"},
        {"cs", "Jak opravím kapající kohoutek v kuchyni?"},
        {"sk", "Ako opravím kvapkajúci kohútik v kuchyni?"},
        {"ro", "Cum repar un robinet care picură în bucătărie?"},
        {"hu", "Hogyan javítsam meg a csöpögő csapot a konyhában?"},
        {"hr", "Kako popraviti slavinu koja curi u kuhinji?"},
        {"tr", "Mutfakta damlayan musluğu nasıl tamir ederim?"},
        {"vi", "Làm thế nào để sửa vòi nước bị rò rỉ trong bếp?"},
        {"id", "Bagaimana cara memperbaiki keran yang bocor di dapur?"},
        {"ca", "Com puc arreglar una aixeta que degota a la cuina?"},
        {"et", "Kuidas ma parandan köögis tilkuva kraani?"},
        {"lt", "Kaip sutaisyti varvantį čiaupą virtuvėje?"},
        {"lv", "Kā salabot pilošu krānu virtuvē?"},
        {"sl", "Kako popravim pipo, ki pušča v kuhinji?"},
        {"sq", "Si mund ta rregulloj një rubinet që pikon në kuzhinë?"},
        {"ru", "Как починить капающий кран на кухне?"},
        {"uk", "Як полагодити кран, що капає на кухні?"},
        {"bg", "Как да поправя капещ кран в кухнята?"},
        {"mk", "Како да ја поправам чешмата што капе во кујната?"},
        {"sr", "Како да поправим славину која цури у кухињи?"},
        {"ar", "كيف أصلح صنبورا يسرب الماء في المطبخ؟"},
        {"fa",
         "چگونه شیر آب چکه‌کننده آشپزخانه را تعمیر کنم؟"},
        {"ur", "میں باورچی خانے میں ٹپکتے ہوئے نل کو کیسے ٹھیک کروں؟"},
        {"hi", "मैं रसोई में टपकते हुए नल को कैसे ठीक करूं?"},
        {"mr", "स्वयंपाकघरातील गळणारा नळ मी कसा दुरुस्त करू?"},
        {"zh", "厨房的水龙头漏水怎么修？"},
        {"ja", "台所の蛇口の水漏れはどう直せばいいですか？"},
        {"ko", "부엌 수도꼭지가 새는데 어떻게 고치나요?"},
        {"el", "Πώς φτιάχνω μια βρύση που στάζει στην κουζίνα;"},
        {"he", "איך מתקנים ברז דולף במטבח?"},
        {"th", "ฉันจะซ่อมก๊อกน้ำที่รั่วในครัวได้อย่างไร"},
        {"hy", "Ինչպե՞ս վերանորոգել կաթացող ծորակը խոհանոցում"},
        {"ka", "როგორ შევაკეთო სამზარეულოში ონკანი"},
        {"ta", "சமையலறையில் குழாயை எப்படி சரிசெய்வது?"},
        {"bn", "রান্নাঘরের কল কীভাবে ঠিক করব?"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct language_guess guess = detect(*state, cases[i][1]);
        if (!str_eq(guess.code, str_from(cases[i][0])) || guess.confidence < 0.5F) {
            fail_msg("%s: \"%s\" is taken for %.*s (%.2f)", cases[i][0], cases[i][1],
                     STR_ARG(guess.code), (double)guess.confidence);
        }
        assert_int_equal(guess.english >= 0.5F, i == 0);
        test_assert_str(language_code(((struct fixture *)*state)->model, guess.index), guess.code);
    }
}

static void texts_without_letters_have_no_language(void **state)
{
    static const char *const cases[] = {"",    "   ",          "123 + 456 = ?", "👍🎉",
                                        "?!…", "\xff\xfe\xc0", "、。"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct language_guess guess = detect(*state, cases[i]);
        test_assert_str(guess.code, STR("und"));
        assert_int_equal(guess.index, 0);
        assert_true(guess.confidence <= 0.0F && guess.english <= 0.0F);
    }
}

/* What tools/train/languages.py computes from the same file: the two cut and hash alike. */
static void figures_are_those_of_the_training_script(void **state)
{
    static const struct {
        const char *text;
        const char *code;
        float confidence;
    } cases[] = {
        {"Wie geht es dir heute?", "de", 0.9912F},
        {"ÇA VA TRÈS BIEN", "ca", 0.5531F},
        {"İstanbul’da hava nasıl? Iğdır", "tr", 0.9930F},
        {"Где здесь можно поесть?", "ru", 0.8539F},
        {"كيف أصلح هذا الخطأ", "ar", 0.9987F},
        {"यह क्या है", "hi", 0.9667F},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct language_guess guess = detect(*state, cases[i].text);
        float difference = guess.confidence - cases[i].confidence;
        test_assert_str(guess.code, str_from(cases[i].code));
        if (difference > 1e-3F || difference < -1e-3F) {
            fail_msg("\"%s\": %.4f", cases[i].text, (double)guess.confidence);
        }
    }
}

static void the_script_with_most_letters_decides(void **state)
{
    test_assert_str(detect(*state, "Was bedeutet das Wort привет im Deutschen?").code, STR("de"));
    test_assert_str(detect(*state, "Что значит слово hello по-английски?").code, STR("ru"));
    test_assert_str(detect(*state, "Pythonの例外処理について教えてください").code, STR("ja"));
}

static void a_mixed_text_is_less_sure(void **state)
{
    float alone = detect(*state, "Как починить капающий кран на кухне?").confidence;
    float mixed = detect(*state, "Как починить капающий кран на кухне, kitchen tap?").confidence;

    assert_true(mixed < alone);
}

static void long_texts_show_their_head_and_tail(void **state)
{
    struct fixture *x = *state;
    static char text[100000];
    struct language_guess whole;
    struct language_guess ends;
    for (size_t i = 0; i + 25 <= sizeof text; i += 25) {
        memcpy(text + i, "the old dog sleeps here, ", 25);
    }
    memset(text + LANGUAGE_HEAD_BYTES, 'x',
           sizeof text - LANGUAGE_HEAD_BYTES - LANGUAGE_TAIL_BYTES);
    language_detect(x->model, (struct str){text, sizeof text}, &whole);

    memmove(text + LANGUAGE_HEAD_BYTES, text + sizeof text - LANGUAGE_TAIL_BYTES,
            LANGUAGE_TAIL_BYTES);
    language_detect(x->model, (struct str){text, LANGUAGE_HEAD_BYTES + LANGUAGE_TAIL_BYTES}, &ends);

    test_assert_str(whole.code, STR("en"));
    test_assert_str(ends.code, STR("en"));
    assert_true(whole.confidence > 0.9F);
}

static void all_codes_differ(void **state)
{
    const struct language_model *m = ((struct fixture *)*state)->model;

    assert_true(language_count(m) >= 60);
    for (size_t i = 0; i < language_count(m); i++) {
        for (size_t k = 0; k < i; k++) {
            assert_false(str_eq(language_code(m, i), language_code(m, k)));
        }
    }
}

/* ------------------------------------------------------------------ figures */

struct score {
    const struct language_model *model;
    size_t count;
    size_t right;
    size_t called_english;
    size_t english;
    size_t both;
};

static enum status on_prompt(void *ctx, const struct prompts_row *row)
{
    struct score *s = ctx;
    struct language_guess guess;
    language_detect(s->model, row->text, &guess);
    bool is_english = str_eq(row->lang, STR("en"));
    bool is_called = guess.english >= 0.5F;
    s->count++;
    s->right += str_eq(guess.code, row->lang);
    s->called_english += is_called;
    s->english += is_english;
    s->both += is_called && is_english;
    return ST_OK;
}

static void authored_prompts_get_their_language(void **state)
{
    struct fixture *x = *state;
    struct score s = {.model = x->model};
    if (test_shared_dir() == NULL) {
        print_message("no shared data: the figures of languages are not checked\n");
        skip();
    }
    char *path = arena_copy_z(
        x->arena, arena_printf(x->arena, "%s/data/corpus/authored_dev.jsonl", test_shared_dir()));

    assert_int_equal(prompts_read(path, &x->diags, on_prompt, &s), ST_OK);

    print_message("authored_dev: %zu of %zu right; English precision %.4f, recall %.4f\n", s.right,
                  s.count, (double)s.both / (double)s.called_english,
                  (double)s.both / (double)s.english);
    assert_true(s.count > 1000);
    assert_true(s.right * 1000 >= s.count * 970);
    assert_true(s.both * 1000 >= s.called_english * 995);
    assert_true(s.both * 1000 >= s.english * 965);
}

/* ------------------------------------------------------------------- reading */

enum {
    AT_CHECKSUM = 24,
    AT_TABLES = 32,
    AT_CARD_BYTES = 36,
    AT_SCRIPT = 64,
    AT_LANGUAGES = 80,
    AT_WIDTH = 84,
    AT_ROWS = 88,
    AT_STEP = 92,
    AT_PADDING = 100,
    AT_CODES = 128,
};

static char *at(struct fixture *x, size_t offset)
{
    return (char *)(uintptr_t)x->bytes.ptr + offset;
}

static void seal(struct fixture *x)
{
    uint64_t sum = str_hash(str_slice(x->bytes, 32, x->bytes.len));
    memcpy(at(x, AT_CHECKSUM), &sum, sizeof sum); /* tests run on little-endian machines */
}

static void expect_refusal(struct fixture *x, const char *part)
{
    struct language_model *m = NULL;
    x->diags.count = 0;
    x->diags.errors = 0;
    assert_int_equal(language_model_read(x->bytes, STR("l.edl"), &x->diags, &m), ST_INVALID);
    assert_null(m);
    assert_int_equal(x->diags.errors, 1);
    if (str_find(x->diags.items[0].message, str_from(part)) == x->diags.items[0].message.len) {
        fail_msg("\"%.*s\" lacks \"%s\"", STR_ARG(x->diags.items[0].message), part);
    }
}

static void damage_anywhere_is_noticed(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 32; i < x->bytes.len; i += 997) {
        *at(x, i) ^= 1;
        expect_refusal(x, "checksum");
        *at(x, i) ^= 1;
    }
}

static void headers_must_match(void **state)
{
    static const struct {
        size_t offset;
        const char *part;
    } cases[] = {
        {0, "no file"}, {8, "version"}, {12, "scheme"}, {16, "bytes"}, {AT_CHECKSUM, "checksum"}};

    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *at(x, cases[i].offset) ^= 2;
        expect_refusal(x, cases[i].part);
        *at(x, cases[i].offset) ^= 2;
    }
}

/* The checksum is right, something else is not. */
static void fields_must_make_sense(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        const char *part;
    } cases[] = {
        {AT_TABLES, 3, "early or late"},
        {AT_TABLES, 1000, "no sense"},
        {AT_CARD_BYTES, 70000, "no sense"},
        {AT_CARD_BYTES, 1, "early or late"},
        {40, 1, "no sense"},
        {AT_SCRIPT, 0x6b657247, "no script"}, /* "Grek" */
        {AT_SCRIPT + 8, 1, "no script"},      /* not only zeros behind the name */
        {AT_LANGUAGES, 1, "sizes"},
        {AT_LANGUAGES, 65, "sizes"},
        {AT_LANGUAGES, 31, "end early"},
        {AT_WIDTH, 40, "sizes"},
        {AT_ROWS, 4095, "sizes"},
        {AT_ROWS, 1 << 20, "early"},
        {AT_STEP, 0, "step"},
        {AT_STEP, 0x7fc00000, "step"}, /* not a number */
        {AT_PADDING, 1, "early"},
        {AT_CODES, 0x31, "code"},   /* "1" */
        {AT_CODES, 0x6564, "code"}, /* "de" twice */
        {AT_CODES + 256, 0x7f800000, "bias"},
    };

    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t before = 0;
        memcpy(&before, at(x, cases[i].offset), sizeof before);
        memcpy(at(x, cases[i].offset), &cases[i].value, sizeof before);
        seal(x);
        expect_refusal(x, cases[i].part);
        memcpy(at(x, cases[i].offset), &before, sizeof before);
    }
}

static void a_second_table_for_a_script_is_refused(void **state)
{
    struct fixture *x = *state;
    size_t second = str_find(x->bytes, STR("Cyrillic"));
    memcpy(at(x, second), "Latin\0\0\0", 8);
    seal(x);
    expect_refusal(x, "second time");
}

static void cards_must_be_json(void **state)
{
    struct fixture *x = *state;
    size_t card = str_find(x->bytes, STR("{\"held_out"));
    assert_true(card < x->bytes.len);
    *at(x, card) = '[';
    seal(x);
    expect_refusal(x, "JSON");
}

static void files_cut_anywhere_are_refused(void **state)
{
    struct fixture *x = *state;
    struct str whole = x->bytes;
    for (size_t size = 0; size < whole.len; size += size < 4096 ? 64 : 8192) {
        char *copy = mem_alloc(size + 1);
        memcpy(copy, whole.ptr, size);
        x->bytes = (struct str){copy, size};
        if (size >= 32) {
            uint64_t bytes = size;
            memcpy(copy + 16, &bytes, sizeof bytes);
            seal(x);
        }
        expect_refusal(x, "");
        mem_free(copy);
    }
    x->bytes = whole;
}

static void missing_files_are_named(void **state)
{
    struct fixture *x = *state;
    struct language_model *m = NULL;

    assert_int_equal(language_model_load("no/such.edl", &x->diags, &m), ST_IO);

    test_assert_str(x->diags.items[0].file, STR("no/such.edl"));
}

static void short_memory_leaves_nothing(void **state)
{
    struct fixture *x = *state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct language_model *m = NULL;
        mem_fail_at(nth, 0);
        enum status st = language_model_load(MODEL, &x->diags, &m);
        mem_fail_at(0, 0);
        assert_true(st == ST_NO_MEMORY || st == ST_OK);
        assert_true(nth > 1 || st == ST_NO_MEMORY);
        language_model_destroy(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sentences_get_their_language, prepare, clean),
        cmocka_unit_test_setup_teardown(texts_without_letters_have_no_language, prepare, clean),
        cmocka_unit_test_setup_teardown(figures_are_those_of_the_training_script, prepare, clean),
        cmocka_unit_test_setup_teardown(the_script_with_most_letters_decides, prepare, clean),
        cmocka_unit_test_setup_teardown(a_mixed_text_is_less_sure, prepare, clean),
        cmocka_unit_test_setup_teardown(long_texts_show_their_head_and_tail, prepare, clean),
        cmocka_unit_test_setup_teardown(all_codes_differ, prepare, clean),
        cmocka_unit_test_setup_teardown(authored_prompts_get_their_language, prepare, clean),
        cmocka_unit_test_setup_teardown(damage_anywhere_is_noticed, prepare, clean),
        cmocka_unit_test_setup_teardown(headers_must_match, prepare, clean),
        cmocka_unit_test_setup_teardown(fields_must_make_sense, prepare, clean),
        cmocka_unit_test_setup_teardown(a_second_table_for_a_script_is_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(cards_must_be_json, prepare, clean),
        cmocka_unit_test_setup_teardown(files_cut_anywhere_are_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(missing_files_are_named, prepare, clean),
        cmocka_unit_test_setup_teardown(short_memory_leaves_nothing, prepare, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
