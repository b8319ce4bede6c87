/* The serving process: listeners, workers, kernel pool, signals. SIGHUP reloads, SIGTERM and SIGINT
 * drain. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct process;

/* Serves the configuration file until a signal ends it. Returns the exit status: 0 after a drain, 1
 * when it could not start. */
int process_serve(const char *conf_path);

/* The same without signals, for the process that calls: returns once clients can connect. conf_path
 * is borrowed until process_close, and so is `out`, which gets what is wrong with the configuration; the
 * rest was logged. ST_INVALID, ST_IO, ST_NO_MEMORY. */
MUST_CHECK enum status process_open(const char *conf_path, FILE *out, struct process **ret_process);

uint16_t process_port(const struct process *p); /* where clients connect */

/* Drains and ends it. */
void process_close(struct process *p);
