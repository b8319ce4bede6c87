/* Embeddings of a kernel as the document that a client gets. The kernel here counts letters. */
#include <math.h>
#include <string.h>

#include "backends/kernel_embed.h"
#include "base/mem.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

struct actor {
    size_t calls;
    int64_t tokens;          /* -1: it does not count */
    size_t width;            /* 0: 2, or what is asked for */
    float third;             /* the number behind the letters */
    enum ek_status status;   /* of each call */
    ek_flag *cancel_at_call; /* set at the second call; NULL: never */
};

static enum ek_status actor_embed(struct ek_instance *instance, const struct ek_text *texts,
                                  size_t count, struct ek_vectors *v, struct ek_error *ret_error)
{
    struct actor *a = (struct actor *)instance;
    assert_int_equal(count, 1);
    assert_true(ek_vectors_is_whole(v));
    a->calls++;
    if (a->calls == 2 && a->cancel_at_call != NULL) {
        *a->cancel_at_call = 1;
    }
    v->width = a->width > 0 ? a->width : 3;
    v->values[0] = (float)texts[0].len;
    v->values[1] = 0.1F;
    v->values[2] = a->third;
    v->tokens = a->tokens;
    return a->status == EK_OK ? EK_OK : kernel_fail(ret_error, a->status, "as told");
}

static const struct ek_info *actor_info(void)
{
    static const struct ek_info facts = {.size = sizeof facts, .capabilities = EK_CAP_EMBED};
    return &facts;
}

static void actor_destroy(struct ek_instance *instance)
{
    (void)instance;
}

static const struct ek_kernel actor_abi = {
    .size = sizeof actor_abi,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .info = actor_info,
    .destroy = actor_destroy,
    .embed = actor_embed,
};

struct fixture {
    struct arena *arena;
    struct actor actor;
    struct kernel *kernel;
    struct buf out;
    ek_flag cancel;
    uint64_t deadline_ns;
    struct ek_error error;
};

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    f.arena = arena_create(4096, 1 << 24);
    f.actor = (struct actor){.tokens = -1, .third = -2.5F, .status = EK_OK};
    f.kernel = kernel_wrap(&actor_abi, (struct ek_instance *)&f.actor);
    buf_init(&f.out, 1 << 20);
    *state = &f;
    return f.arena == NULL || f.kernel == NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->out);
    kernel_unref(f->kernel);
    arena_destroy(f->arena);
    return 0;
}

static enum ek_status ask(struct fixture *f, const char *body)
{
    const struct kernel_embed asked = {
        .kernel = f->kernel,
        .body = quoted(f->arena, body),
        .model = STR("e\"1"),
        .cancel = &f->cancel,
        .deadline_ns = f->deadline_ns,
        .cancel_fd = -1,
    };
    buf_reset(&f->out);
    return kernel_embed_answer(&asked, &f->out, &f->error);
}

static void each_text_has_its_numbers(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, "{'model':'e','input':['a b','\\u00e9']}"), EK_OK);

    test_assert_str(
        buf_str(&f->out),
        STR("{\"object\":\"list\",\"data\":["
            "{\"object\":\"embedding\",\"index\":0,\"embedding\":"
            "[3,0.100000001,-2.5]},"
            "{\"object\":\"embedding\",\"index\":1,\"embedding\":"
            "[2,0.100000001,-2.5]}],"
            "\"model\":\"e\\\"1\",\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}"));
}

/* Python: base64.b64encode(struct.pack("<3f", 3, 0.1, -2.5)) */
static void base64_has_the_same_numbers_as_bytes(void **state)
{
    static const struct {
        size_t width;
        const char *want;
    } cases[] = {
        {1, "\"AABAQA==\""},
        {2, "\"AABAQM3MzD0=\""},
        {3, "\"AABAQM3MzD0AACDA\""},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->actor.width = cases[i].width;
        assert_int_equal(ask(f, "{'model':'e','input':'abc','encoding_format':'base64'}"), EK_OK);
        struct str got = buf_str(&f->out);
        if (str_find(got, str_from(cases[i].want)) == got.len) {
            fail_msg("%s is not in %.*s", cases[i].want, STR_ARG(got));
        }
    }
}

static void tokens_are_the_kernels_where_it_counts_them(void **state)
{
    struct fixture *f = *state;
    f->actor.tokens = 70;

    assert_int_equal(ask(f, "{'model':'e','input':['a','b']}"), EK_OK);

    struct str got = buf_str(&f->out);
    assert_true(str_find(got, STR("\"prompt_tokens\":140,\"total_tokens\":140")) < got.len);
}

static void what_cannot_be_embedded_names_its_parameter(void **state)
{
    static const struct {
        const char *body;
        size_t width;
        float third;
        enum ek_status does;
        enum ek_status status;
        const char *option;
    } cases[] = {
        {"{'model':'e'}", 0, 0, EK_OK, EK_BAD_REQUEST, "input"},
        {"{'model':'e','input':[1,2]}", 0, 0, EK_OK, EK_BAD_REQUEST, "input"},
        {"{'model':'e','input':'a','dimensions':2}", 0, 0, EK_OK, EK_UNSUPPORTED, "dimensions"},
        {"{'model':'e','input':'a','dimensions':3}", 0, 0, EK_OK, EK_OK, ""},
        {"{'model':'e','input':'a'}", 0, NAN, EK_OK, EK_FAILED, ""},
        {"{'model':'e','input':'a'}", KERNEL_WIDTH_MAX + 1, 0, EK_OK, EK_FAILED, ""},
        {"{'model':'e','input':'a'}", KERNEL_WIDTH_MAX + 1, 0, EK_TOO_LONG, EK_FAILED, ""},
        {"{'model':'e','input':'a'}", 0, 0, EK_TOO_LONG, EK_TOO_LONG, ""},
        {"{'model':'e','input':'a'}", 0, 0, EK_BUSY, EK_BUSY, ""},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->actor = (struct actor){.tokens = -1,
                                  .width = cases[i].width,
                                  .third = cases[i].third,
                                  .status = cases[i].does};
        enum ek_status status = ask(f, cases[i].body);
        if (status != cases[i].status || strcmp(f->error.option, cases[i].option) != 0 ||
            (status != EK_OK && f->error.message[0] == '\0')) {
            fail_msg("%s: %d, \"%s\", \"%s\"", cases[i].body, (int)status, f->error.option,
                     f->error.message);
        }
    }
}

static void a_cancel_ends_between_texts(void **state)
{
    struct fixture *f = *state;
    f->actor.cancel_at_call = &f->cancel;

    assert_int_equal(ask(f, "{'model':'e','input':['a','b','c','d']}"), EK_CANCELLED);

    assert_int_equal(f->actor.calls, 2);
}

static void a_passed_deadline_ends_before_the_first_text(void **state)
{
    struct fixture *f = *state;
    f->deadline_ns = 1;

    assert_int_equal(ask(f, "{'model':'e','input':'a'}"), EK_LATE);

    assert_int_equal(f->actor.calls, 0);
}

static void too_many_bytes_are_the_requests_fault(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->out);
    buf_init(&f->out, 100);

    assert_int_equal(ask(f, "{'model':'e','input':['a','b']}"), EK_BAD_REQUEST);
}

static void running_out_of_memory_anywhere_is_reported(void **state)
{
    struct fixture *f = *state;
    enum ek_status status = EK_NO_MEMORY;
    uint64_t n = 1;
    for (; status == EK_NO_MEMORY || status == EK_BAD_REQUEST; n++) {
        buf_fini(&f->out);
        buf_init(&f->out, 1 << 20);
        const struct kernel_embed asked = {.kernel = f->kernel,
                                           .body = STR("{\"model\":\"e\",\"input\":\"\\u0061\"}"),
                                           .model = STR("e"),
                                           .cancel = &f->cancel,
                                           .cancel_fd = -1};
        mem_fail_at(n, 1);
        status = kernel_embed_answer(&asked, &f->out, &f->error);
        mem_fail_at(0, 0);
    }
    assert_int_equal(status, EK_OK);
    assert_true(n > 4);
}

static void a_kernel_without_the_function_does_not_embed(void **state)
{
    static struct ek_kernel mute;
    struct kernel_vectors v = {.ek = {.size = sizeof v.ek}};
    struct ek_error error;
    (void)state;
    mute = actor_abi;
    mute.embed = NULL;
    struct kernel *kernel = kernel_wrap(&mute, NULL);
    assert_non_null(kernel);

    assert_int_equal(kernel_embed(kernel, &v, STR("a"), &error), EK_UNSUPPORTED);

    kernel_unref(kernel);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_text_has_its_numbers),
        TEST(base64_has_the_same_numbers_as_bytes),
        TEST(tokens_are_the_kernels_where_it_counts_them),
        TEST(what_cannot_be_embedded_names_its_parameter),
        TEST(a_cancel_ends_between_texts),
        TEST(a_passed_deadline_ends_before_the_first_text),
        TEST(too_many_bytes_are_the_requests_fault),
        TEST(running_out_of_memory_anywhere_is_reported),
        cmocka_unit_test(a_kernel_without_the_function_does_not_embed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
