/* Prefetching: after a turn of a conversation, the expert of the category that is likely to be asked for
 * next is loaded, where memory is free (managed_prefetch: nobody leaves for a guess). One per process: the
 * workers share what they learn, under a lock that is held for arithmetic only. */
#pragma once

#include "base/status.h"

struct exchange;
struct prefetch;

struct prefetch *prefetch_create(void);    /* NULL: no memory */
void prefetch_destroy(struct prefetch *p); /* NULL allowed */

/* After a decision: learns from it, and acts on what it learned. Only with managed experts and
 * local.prefetch.min_probability; turns follow each other in a
 * conversation; first turns of conversations follow each other in what a tenant asks. */
void prefetch_turn(struct prefetch *p, const struct exchange *x);
