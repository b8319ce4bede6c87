/* Sockets on the loopback and a clock, for the programs of bench/ alone. Nothing here is used by
 * the gateway, so that a bug in its own loop cannot hide in the tool that measures it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t net_now_ns(void); /* CLOCK_MONOTONIC: comparable between processes of one machine */

/* A listening non-blocking socket on 127.0.0.1; port 0 lets the kernel choose. -1: errno says why.
 * The caller closes it. */
int net_listen(uint16_t port, uint16_t *ret_port);

/* The next waiting connection, non-blocking and without Nagle's delay; -1 when there is none. */
int net_accept(int listener);

/* A connected non-blocking socket to 127.0.0.1, without Nagle's delay. Blocks while connecting.
 * -1: errno says why. */
int net_connect(uint16_t port);

/* Sends what the socket takes: 0..len bytes; -1 when the connection is broken. */
ssize_t net_send(int fd, const char *data, size_t len);

/* Adds, changes or removes interest in a descriptor; aborts on failure (a bench has no plan B). */
void net_watch(int epoll, int op, int fd, uint32_t events, void *owner);

/* The value of a header in a head that ends with NUL and starts with its first line; false: absent.
 * The value is copied, cut at size - 1 bytes. */
bool net_header(const char *head, const char *name, char *ret_value, size_t size);

/* A number in decimal, or aborts the program with a message that names the option. */
uint64_t net_number(const char *option, const char *text);

/* Raises the soft limit of descriptors to the hard one. */
void net_raise_descriptors(void);
