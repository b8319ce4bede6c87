/* The serving process: listeners, workers, kernel pool, signals. SIGHUP reloads, SIGTERM and SIGINT
 * drain. */
#pragma once

/* Serves the configuration file until a signal ends it. Returns the exit status: 0 after a drain, 1
 * when it could not start. */
int process_serve(const char *conf_path);
