/* What a supervisor such as systemd wants to hear and hands over: the protocols of sd_notify(3),
 * sd_watchdog_enabled(3) and sd_listen_fds(3), which are a datagram and a few variables of the
 * environment; libsystemd is not needed. Without a supervisor all of it does nothing.
 *
 * By the main thread alone. supervisor_init before the sandbox, which keeps other sockets out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct supervisor {
    int socket;          /* -1: nobody listens */
    int64_t watchdog_ms; /* how long we may be silent; 0: for ever */
    int handed_count;    /* descriptors, from 3 on */
    const char *names;   /* of these, between colons; "": none were given */
};

void supervisor_init(struct supervisor *s);

/* Lines as in "READY=1\nSTATUS=serving". What does not arrive is not missed. */
void supervisor_tell(const struct supervisor *s, const char *lines);

/* The same, for a reload that begins: with the time, which the protocol asks for. */
void supervisor_tell_reloading(const struct supervisor *s);

/* The descriptor number `index` among those handed over as `name`, around again where there are fewer:
 * a copy, for the caller to close. Without names the first is "clients", the second "admin".
 * -1: there is none of that name, or errno says what else. */
int supervisor_take(const struct supervisor *s, const char *name, int index);
