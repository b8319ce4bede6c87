/* Who holds how many connections. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/peers.h"
#include "tests/support/test.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
};

static struct address address_of(const char *text)
{
    struct address at;
    memset(&at, 0, sizeof at);
    if (inet_pton(AF_INET, text, &at.a.v4.sin_addr) == 1) {
        at.a.v4.sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &at.a.v6.sin6_addr), 1);
        at.a.v6.sin6_family = AF_INET6;
    }
    return at;
}

static bool take(struct peers *p, const char *text)
{
    const struct address at = address_of(text);
    return peers_take(p, &at.a.any);
}

static void release(struct peers *p, const char *text)
{
    const struct address at = address_of(text);
    peers_release(p, &at.a.any);
}

static const struct key_texts nobody = {NULL, 0};

static void address_has_its_share_and_no_more(void **state)
{
    struct peers *p = peers_create(100, 2, &nobody);
    (void)state;

    assert_true(take(p, "192.0.2.1"));
    assert_true(take(p, "192.0.2.1"));
    assert_false(take(p, "192.0.2.1"));
    assert_true(take(p, "192.0.2.2"));
    release(p, "192.0.2.1");
    assert_true(take(p, "192.0.2.1"));

    peers_destroy(p);
}

static void ipv6_counts_by_site_and_mapped_ipv4_as_ipv4(void **state)
{
    struct peers *p = peers_create(100, 1, &nobody);
    (void)state;

    assert_true(take(p, "2001:db8:0:1::1"));
    assert_false(take(p, "2001:db8:0:1:ffff::2"));
    assert_true(take(p, "2001:db8:0:2::1"));
    assert_true(take(p, "192.0.2.1"));
    assert_false(take(p, "::ffff:192.0.2.1"));
    assert_true(take(p, "::ffff:192.0.2.2"));

    peers_destroy(p);
}

static void trusted_proxies_are_not_counted(void **state)
{
    struct str texts[] = {STR("10.0.0.0/9"), STR("::1"), STR("fd00::/8")};
    const struct key_texts trusted = {texts, 3};

    static const struct {
        const char *address;
        bool is_trusted;
    } cases[] = {{"10.127.255.255", true},
                 {"10.128.0.0", false},
                 {"::1", true},
                 {"::2", false},
                 {"fdff::1:2", true},
                 {"fe00::1", false},
                 {"::ffff:10.0.0.1", true},
                 {"192.0.2.1", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peers *p = peers_create(100, 1, &trusted);
        assert_true(take(p, cases[i].address));
        assert_int_equal(take(p, cases[i].address), cases[i].is_trusted);
        peers_destroy(p);
    }
}

/* Against a plain array, until the table has been full and empty many times. */
static void counts_survive_any_order_of_coming_and_going(void **state)
{
    enum {
        ADDRESSES = 200,
        STEPS = 20000,
        SHARE = 3
    };

    struct peers *p = peers_create(128, SHARE, &nobody);
    int held[ADDRESSES] = {0};
    int total = 0;
    uint32_t random = 1;
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        char text[32];
        random = random * 1664525U + 1013904223U;
        unsigned who = (random >> 8) % ADDRESSES;
        (void)snprintf(text, sizeof text, "198.51.%u.7", who);
        if ((random >> 30) == 0 && held[who] > 0) {
            release(p, text);
            held[who]--;
            total--;
        } else if (total < 128) {
            bool may = held[who] < SHARE;
            assert_int_equal(take(p, text), may);
            held[who] += may;
            total += may;
        }
    }

    for (unsigned who = 0; who < ADDRESSES; who++) {
        char text[32];
        (void)snprintf(text, sizeof text, "198.51.%u.7", who);
        for (; held[who] > 0; held[who]--) {
            release(p, text);
        }
        for (int n = 0; n < SHARE && who < 40; n++) {
            assert_true(take(p, text));
        }
        assert_true(who >= 40 || !take(p, text));
    }

    peers_destroy(p);
}

static void more_addresses_than_announced_are_refused(void **state)
{
    struct peers *p = peers_create(1, 1, &nobody);
    int taken = 0;
    (void)state;

    for (int i = 0; i < 250; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "203.0.113.%d", i);
        taken += take(p, text);
    }

    assert_int_equal(taken, 32); /* half of the smallest table */
    peers_destroy(p);
}

static void networks_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        enum status want;
    } cases[] = {
        {"10.0.0.0/8", ST_OK},        {"10.0.0.1", ST_OK},       {"::/0", ST_OK},
        {"0.0.0.0/0", ST_OK},         {"::1/128", ST_OK},        {"10.0.0.0/33", ST_INVALID},
        {"::1/129", ST_INVALID},      {"10.0.0.0/", ST_INVALID}, {"10.0.0/8", ST_INVALID},
        {"host.example", ST_INVALID}, {"", ST_INVALID},          {"10.0.0.0/-1", ST_INVALID},
        {"10.0.0.0/8/8", ST_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peers_net net;
        assert_int_equal(peers_parse(str_from(cases[i].text), &net), cases[i].want);
    }
}

static void lack_of_memory_leaves_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_at(n, 0);
        assert_null(peers_create(10, 1, &nobody));
        mem_fail_at(0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_has_its_share_and_no_more),
        cmocka_unit_test(ipv6_counts_by_site_and_mapped_ipv4_as_ipv4),
        cmocka_unit_test(trusted_proxies_are_not_counted),
        cmocka_unit_test(counts_survive_any_order_of_coming_and_going),
        cmocka_unit_test(more_addresses_than_announced_are_refused),
        cmocka_unit_test(networks_are_read_strictly),
        cmocka_unit_test(lack_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
