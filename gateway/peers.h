/* How many connections each address holds, over all workers, so that one cannot take them all. IPv6
 * addresses count by their first 64 bits, which one customer gets. Proxies that are trusted are not
 * counted. Any thread; a lock of its own, taken when a connection comes and goes, not by requests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"

struct peers;

struct peers_net { /* addresses that share their first bits */
    unsigned char bytes[16];
    unsigned bits; /* of 128; IPv4 is ::ffff:0:0/96 */
};

/* "10.0.0.0/8", "::1", "fd00::/8". ST_INVALID. */
MUST_CHECK enum status peers_parse(struct str text, struct peers_net *ret_net);

/* At most per_address connections of each address; `connections` in all. trusted: texts that
 * peers_parse takes. NULL: no memory. */
struct peers *peers_create(size_t connections, int64_t per_address,
                           const struct key_texts *trusted);
void peers_destroy(struct peers *p); /* NULL allowed */

/* Counts a connection; false: the address has all it may. NULL allowed: everybody may. */
bool peers_take(struct peers *p, const struct sockaddr *address);
/* One that was taken has ended. NULL allowed. */
void peers_release(struct peers *p, const struct sockaddr *address);
