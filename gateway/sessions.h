/* Which expert answered a conversation last, for all workers. A table of fixed size: a new
 * conversation may push out the oldest of its few neighbours, after a restart all are forgotten.
 * Nothing but a hash of the conversation, a hash of the expert's name and a second are kept.
 *
 * Lock-free: readers and writers are all workers. An entry that is read while it is written, or
 * written by two at once, does not verify and counts as not there. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sessions;

/* At least `entries` of 16 bytes, rounded up to a power of two. NULL: no memory. */
struct sessions *sessions_create(size_t entries);
void sessions_destroy(struct sessions *s); /* NULL allowed */

/* The name's hash as it was put, not older than ttl_s; 0 when there is none. Seconds of any clock
 * that does not go back, below 2^32. */
uint32_t sessions_get(const struct sessions *s, uint64_t key, int64_t now_s, int64_t ttl_s);

/* Remembers; a key of 0 is not remembered. */
void sessions_put(struct sessions *s, uint64_t key, uint32_t expert, int64_t now_s);

/* Names an expert in the table; never 0. */
uint32_t sessions_name(struct str expert);
