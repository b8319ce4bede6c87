/* Proofs, over files: each leak_*.yaml in guarantees/ lets prompts leave a guarantee on one path and
 * says in its first line which message must tell so; repaired_*.yaml of the same name is the file as it
 * should have been, and must load without a word about guarantees. */
#include <dirent.h>

#include "base/mem.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define FOLDER "tests/unit/router/guarantees/"

static const struct str mark = {"# wants: ", 9};

struct file {
    struct str text;
    char *text_z;
    struct routes_sample sample;
    enum status status;
};

static void file_open(struct file *f, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, FOLDER "%s", name);
    f->text = test_read_file(path);
    f->text_z = mem_zalloc(1, f->text.len + 1);
    assert_non_null(f->text_z);
    memcpy(f->text_z, f->text.ptr, f->text.len);
    f->status = routes_sample_load(&f->sample, f->text_z);
}

static void file_close(struct file *f)
{
    routes_sample_fini(&f->sample);
    mem_free(f->text_z);
    mem_free((void *)(uintptr_t)f->text.ptr);
}

/* Calls `check` for each file whose name starts so. Returns how many. */
static size_t for_each(const char *start, void (*check)(const struct file *f, const char *name))
{
    DIR *folder = opendir(FOLDER);
    size_t count = 0;
    assert_non_null(folder);
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (strncmp(e->d_name, start, strlen(start)) == 0) {
            struct file f;
            file_open(&f, e->d_name);
            check(&f, e->d_name);
            file_close(&f);
            count++;
        }
    }
    (void)closedir(folder);
    return count;
}

static void check_leak(const struct file *f, const char *name)
{
    char want[512];
    struct str line = str_slice(f->text, 0, str_find_char(f->text, '\n'));
    if (!str_starts_with(line, mark)) {
        fail_msg("%s does not say what it wants", name);
    }
    line = str_slice(line, mark.len, line.len);
    (void)snprintf(want, sizeof want, "c.yaml:%.*s", STR_ARG(line));
    if (f->status != ST_INVALID || strstr(f->sample.messages, want) == NULL) {
        fail_msg("%s: want \"%s\", got %s:\n%s", name, want, status_text(f->status),
                 f->sample.messages);
    }
}

static void check_repaired(const struct file *f, const char *name)
{
    if (f->status != ST_OK || strstr(f->sample.messages, "guarantee") != NULL) {
        fail_msg("%s: %s:\n%s", name, status_text(f->status), f->sample.messages);
    }
}

static void every_planted_leak_is_found_with_its_path_and_place(void **state)
{
    (void)state;

    size_t count = for_each("leak_", check_leak);

    assert_true(count >= 40);
}

static void every_repaired_file_loads_without_complaint(void **state)
{
    (void)state;

    size_t count = for_each("repaired_", check_repaired);

    assert_int_equal(count, for_each("leak_", check_leak));
}

static void a_shared_path_that_is_left_without_experts_is_said(void **state)
{
    struct routes_sample s;
    (void)state;

    enum status st = routes_sample_load(
        &s, "experts:\n"
            "  near: {url: 'http://127.0.0.1:9/v1', locality: local}\n"
            "  cloud: {url: 'https://cloud.example/v1'}\n"
            "router: {model: conf/models/domains.edm}\n"
            "aliases: {smart: [cloud]}\n"
            "categories:\n"
            "  general: {experts: [{expert: cloud}]}\n"
            "  medical: {experts: [{expert: near}]}\n"
            "guarantees:\n"
            "  - {name: g, when: {category: medical}, only: {locality: local}, strict: false}\n");

    assert_int_equal(st, ST_OK);
    assert_string_equal(s.messages,
                        "c.yaml:5:11: warning: guarantee \"g\": category medical -> alias "
                        "\"smart\" -> no expert: such prompts are refused there\n");
    routes_sample_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_leak_is_found_with_its_path_and_place),
        cmocka_unit_test(every_repaired_file_loads_without_complaint),
        cmocka_unit_test(a_shared_path_that_is_left_without_experts_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
