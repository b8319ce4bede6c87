/* See peers.h. A table with open addressing that cannot fill: it has twice as many places as there may
 * be connections, and each one holds at most one. What is taken out pulls its followers back, so
 * there are no tombstones. The hash has a secret, so that nobody can aim at one place. */
#include "gateway/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    V4_PREFIX_BITS = 96,
    V6_SITE_BYTES = 8,
    TEXT_BYTES = 64,
    PLACES_MIN = 64,
};

struct place {
    uint64_t key[2];
    int64_t count; /* 0: free */
};

struct peers {
    pthread_mutex_t lock; /* guards places and used */
    struct place *places;
    size_t mask; /* places, a power of two, less one */
    size_t used;
    int64_t per_address;
    uint64_t secret[2];
    struct peers_net *trusted;
    size_t trusted_count;
};

static void map_v4(const void *v4, unsigned char bytes[16])
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(bytes, prefix, sizeof prefix);
    memcpy(bytes + sizeof prefix, v4, 4);
}

enum status peers_parse(struct str text, struct peers_net *ret_net)
{
    char host[TEXT_BYTES];
    unsigned char v4[4];
    size_t slash = str_find_char(text, '/');
    struct peers_net net = {.bits = 0};
    int64_t bits = 0;
    if (slash >= sizeof host) {
        return ST_INVALID;
    }
    memcpy(host, text.ptr, slash);
    host[slash] = '\0';
    bool is_v4 = inet_pton(AF_INET, host, v4) == 1;
    if (is_v4) {
        map_v4(v4, net.bytes);
    } else if (inet_pton(AF_INET6, host, net.bytes) != 1) {
        return ST_INVALID;
    }
    int64_t most = is_v4 ? 32 : 128;
    if (slash == text.len) {
        bits = most;
    } else if (str_to_int(str_slice(text, slash + 1, text.len), &bits) != ST_OK || bits < 0 ||
               bits > most) {
        return ST_INVALID;
    }
    net.bits = (unsigned)bits + (is_v4 ? V4_PREFIX_BITS : 0);
    *ret_net = net;
    return ST_OK;
}

static bool contains(const struct peers_net *net, const unsigned char bytes[16])
{
    size_t whole = net->bits / 8;
    unsigned rest = net->bits % 8;
    unsigned mask = (0xff00U >> rest) & 0xffU;
    return memcmp(net->bytes, bytes, whole) == 0 &&
           (rest == 0 || ((net->bytes[whole] ^ bytes[whole]) & mask) == 0);
}

static bool is_v4(const unsigned char bytes[16])
{
    static const struct peers_net mapped = {.bytes = {[10] = 0xff, [11] = 0xff},
                                            .bits = V4_PREFIX_BITS};
    return contains(&mapped, bytes);
}

/* What counts as one client. False: it is not counted. */
static bool key_of(const struct peers *p, const struct sockaddr *address, uint64_t ret_key[2])
{
    unsigned char bytes[16];

    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;

    if (address->sa_family == AF_INET) {
        memcpy(&a.v4, address, sizeof a.v4);
        map_v4(&a.v4.sin_addr, bytes);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&a.v6, address, sizeof a.v6);
        memcpy(bytes, &a.v6.sin6_addr, sizeof bytes);
    } else {
        return false;
    }
    for (size_t i = 0; i < p->trusted_count; i++) {
        if (contains(&p->trusted[i], bytes)) {
            return false;
        }
    }
    if (!is_v4(bytes)) {
        memset(bytes + V6_SITE_BYTES, 0, sizeof bytes - V6_SITE_BYTES);
    }
    memcpy(ret_key, bytes, sizeof bytes);
    return true;
}

/* Where its search begins; the mixer of splitmix64. */
static size_t home(const struct peers *p, const uint64_t key[2])
{
    uint64_t x = (key[0] ^ p->secret[0]) * UINT64_C(0x9e3779b97f4a7c15) + (key[1] ^ p->secret[1]);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(x ^ (x >> 31)) & p->mask;
}

/* Its place, or the free one where it belongs. */
static size_t find(const struct peers *p, const uint64_t key[2])
{
    size_t at = home(p, key);
    while (p->places[at].count > 0 &&
           (p->places[at].key[0] != key[0] || p->places[at].key[1] != key[1])) {
        at = (at + 1) & p->mask;
    }
    return at;
}

/* Fills the gap from those behind it that would be found no more. */
static void close_gap(struct peers *p, size_t gap)
{
    for (size_t at = (gap + 1) & p->mask; p->places[at].count > 0; at = (at + 1) & p->mask) {
        size_t wish = home(p, p->places[at].key);
        if (((at - wish) & p->mask) >= ((at - gap) & p->mask)) {
            p->places[gap] = p->places[at];
            p->places[at].count = 0;
            gap = at;
        }
    }
}

struct peers *peers_create(size_t connections, int64_t per_address, const struct key_texts *trusted)
{
    struct peers *p = mem_zalloc(1, sizeof *p);
    size_t places = PLACES_MIN;
    while (places < connections * 2) {
        places *= 2;
    }
    if (p == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail with default attributes */
    p->places = mem_zalloc(places, sizeof(struct place));
    p->trusted = mem_zalloc(trusted->count + 1, sizeof(struct peers_net));
    if (p->places == NULL || p->trusted == NULL) {
        peers_destroy(p);
        return NULL;
    }
    p->mask = places - 1;
    p->per_address = per_address;
    if (getrandom(p->secret, sizeof p->secret, 0) != sizeof p->secret) {
        p->secret[0] = (uint64_t)clock_now_us(clock_system());
    }
    for (size_t i = 0; i < trusted->count; i++) {
        p->trusted_count += peers_parse(trusted->items[i], &p->trusted[p->trusted_count]) == ST_OK;
    }
    return p;
}

void peers_destroy(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p->places);
    mem_free(p->trusted);
    mem_free(p);
}

bool peers_take(struct peers *p, const struct sockaddr *address)
{
    uint64_t key[2];
    if (p == NULL || !key_of(p, address, key)) {
        return true;
    }
    (void)pthread_mutex_lock(&p->lock);
    struct place *place = &p->places[find(p, key)];
    bool is_new = place->count == 0;
    bool is_full = is_new && p->used > p->mask / 2; /* more connections than were announced */
    bool may = place->count < p->per_address && !is_full;
    if (may) {
        memcpy(place->key, key, sizeof key);
        place->count++;
        p->used += is_new;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return may;
}

void peers_release(struct peers *p, const struct sockaddr *address)
{
    uint64_t key[2];
    if (p == NULL || !key_of(p, address, key)) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    size_t at = find(p, key);
    if (p->places[at].count > 0) {
        p->places[at].count--;
        if (p->places[at].count == 0) {
            p->used--;
            close_gap(p, at);
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
}
