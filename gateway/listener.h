/* Listening sockets: handed over by a supervisor, so that a restart refuses no connection, or opened
 * here. By the main thread, at the start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct conf_address;
struct supervisor;

/* The listener of the worker number `index`. One that was handed over under this name must listen where
 * the configuration says: nobody has checked who may come elsewhere; workers share it where there are
 * fewer than workers. *port: the wish, 0 for any; becomes what it is. The caller closes *ret_fd.
 * ST_IO: it is logged why. */
MUST_CHECK enum status listener_open(const struct supervisor *from, const char *name, size_t index,
                                     const struct conf_address *address, uint16_t *port,
                                     int *ret_fd);

/* Whether the address is another process's, which is logged; not where it was handed over to us. */
bool listener_is_taken(const struct supervisor *from, const char *name,
                       const struct conf_address *address);
