/* Which files a configuration on trial may read: whoever sends one to be tried must not be able to have
 * any file of the machine read. */
#pragma once

#include <stdbool.h>

/* A may_read of struct key_trial (base/keys.h). `running`: the struct snapshot in use. True for a file
 * that it names, or that lies in the folder of its file or in one of its server.sandbox_read, wherever
 * symbolic links lead; false for what is not there. */
bool snapshot_fence_admits(const void *running, const char *path);
