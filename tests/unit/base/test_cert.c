/* Certificates and keys from files. The ones here were made for this test and protect nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cert.h"
#include "base/mem.h"
#include "tests/support/test.h"

static const char chain_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBgDCCASWgAwIBAgIUNa2QpLkaAuE+nuIJd/hjIMuVrgowCgYIKoZIzj0EAwIw\n"
                                "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA4NTg0MFoYDzIxMjYxMDI5\n"
                                "MDg1ODQwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                                "PQMBBwNCAARJAy6V3CTW7GFVEygeEZOQQR1KOkMMeh5RRVeB2KqNDpsR6epW2B2H\n"
                                "Kk3HOMmrf56pVuXx6+P9Nfo8GL2F/BW/o1MwUTAdBgNVHQ4EFgQU//2bOj6t36EE\n"
                                "vwwEfbU2g+jWSWMwHwYDVR0jBBgwFoAU//2bOj6t36EEvwwEfbU2g+jWSWMwDwYD\n"
                                "VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAqBXVTi/NnlxmqtlwIA2f\n"
                                "3p9FYVydES7CLL9+lMcNZN0CIQDKWnu2TsW38u/kIb+b0avVgVfMRcspEoDZ7/wb\n"
                                "17sULA==\n"
                                "-----END CERTIFICATE-----\n";

static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1iv202LOHoCMdojo\n"
                              "mrUyOWOtRffVwfvZBMqaE8BHZ4+hRANCAARJAy6V3CTW7GFVEygeEZOQQR1KOkMM\n"
                              "eh5RRVeB2KqNDpsR6epW2B2HKk3HOMmrf56pVuXx6+P9Nfo8GL2F/BW/\n"
                              "-----END PRIVATE KEY-----\n";

static const char other_key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0D/bJnsFukvD8zwE\n"
    "LdPlmQilcd9l1Jl54fYG9sQElV2hRANCAARHsUnyzbXsxErmUFGWH3sPuOxbz+G7\n"
    "e68sZ0GVX/o//qglGIIzAH3rsfe1YnDwPspsMDoixDi9wotm8s4JjP2E\n"
    "-----END PRIVATE KEY-----\n";

struct files {
    char folder[32];
    char chain[64];
    char key[64];
};

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void set_up(struct files *f, const char *chain, const char *key, mode_t key_mode)
{
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-cert-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->chain, sizeof f->chain, "%s/chain.pem", f->folder);
    (void)snprintf(f->key, sizeof f->key, "%s/key.pem", f->folder);
    write_file(f->chain, chain, 0644);
    write_file(f->key, key, key_mode);
}

static void tear_down(const struct files *f)
{
    (void)unlink(f->chain);
    (void)unlink(f->key);
    (void)rmdir(f->folder);
}

static void a_pair_that_fits_loads(void **state)
{
    struct files f;
    struct cert *cert = NULL;
    char why[CERT_WHY_BYTES] = "";
    (void)state;
    set_up(&f, chain_pem, key_pem, 0600);

    assert_int_equal(cert_load(f.chain, f.key, why, &cert), ST_OK);

    test_assert_str(cert_chain_pem(cert), str_from(chain_pem));
    test_assert_str(cert_key_pem(cert), str_from(key_pem));
    assert_true(cert_expires_s(cert) > INT64_C(4000000000)); /* in a hundred years */
    cert_unref(cert_ref(cert));
    cert_unref(cert);
    tear_down(&f);
}

static void what_cannot_work_is_refused_with_a_reason_that_shows_nothing(void **state)
{
    static const struct {
        const char *chain;
        const char *key;
        mode_t key_mode;
        const char *why;
    } cases[] = {
        {chain_pem, other_key_pem, 0600, "is not the key of the certificate in"},
        {chain_pem, key_pem, 0644, "mode 0644: others must not reach it"},
        {chain_pem, key_pem, 0620, "mode 0620"},
        {chain_pem, "nonsense", 0600, "key.pem\" cannot be used"},
        {chain_pem, "", 0600, "key.pem\" cannot be used"},
        {"nonsense", key_pem, 0600, "chain.pem\" cannot be used"},
        {"", key_pem, 0600, "chain.pem\" cannot be used"},
        {key_pem, key_pem, 0600, "chain.pem\" cannot be used"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct files f;
        struct cert *cert = NULL;
        char why[CERT_WHY_BYTES] = "";
        set_up(&f, cases[i].chain, cases[i].key, cases[i].key_mode);

        assert_int_equal(cert_load(f.chain, f.key, why, &cert), ST_INVALID);

        assert_null(cert);
        assert_non_null(strstr(why, cases[i].why));
        assert_null(strstr(why, "MIG")); /* how the key begins */
        tear_down(&f);
    }
}

static void a_key_may_be_read_by_its_group(void **state)
{
    struct files f;
    struct cert *cert = NULL;
    char why[CERT_WHY_BYTES] = "";
    (void)state;
    set_up(&f, chain_pem, key_pem, 0640);

    assert_int_equal(cert_load(f.chain, f.key, why, &cert), ST_OK);

    cert_unref(cert);
    tear_down(&f);
}

static void a_missing_file_is_named(void **state)
{
    struct cert *cert = NULL;
    char why[CERT_WHY_BYTES] = "";
    (void)state;

    assert_int_equal(cert_load("no/such.pem", "no/such.key", why, &cert), ST_INVALID);

    assert_string_equal(why, "\"no/such.pem\" No such file or directory");
}

static void authorities_have_no_key(void **state)
{
    struct files f;
    struct cert *cert = NULL;
    char why[CERT_WHY_BYTES] = "";
    (void)state;
    set_up(&f, chain_pem, "nonsense", 0600);

    assert_int_equal(cert_load_authorities(f.chain, why, &cert), ST_OK);
    assert_int_equal(cert_key_pem(cert).len, 0);
    cert_unref(cert);
    assert_int_equal(cert_load_authorities(f.key, why, &cert), ST_INVALID);

    tear_down(&f);
}

static void no_memory_is_said(void **state)
{
    struct files f;
    char why[CERT_WHY_BYTES] = "";
    (void)state;
    set_up(&f, chain_pem, key_pem, 0600);
    for (uint64_t nth = 1; nth <= 3; nth++) { /* itself and two files */
        struct cert *cert = NULL;
        mem_fail_at(nth, 0);
        assert_int_equal(cert_load(f.chain, f.key, why, &cert), ST_NO_MEMORY);
        mem_fail_at(0, 0);
        assert_null(cert);
    }
    tear_down(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_that_fits_loads),
        cmocka_unit_test(what_cannot_work_is_refused_with_a_reason_that_shows_nothing),
        cmocka_unit_test(a_key_may_be_read_by_its_group),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(authorities_have_no_key),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
