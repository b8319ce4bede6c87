/* Kernels from files: `kernel: {file: …}`. Each instance has a thread of its own, on which it is made,
 * called and destroyed; with isolation `process` it is a kernel-host (kernel_child.h). */
#pragma once

#include "backends/kernel.h"

extern const struct keys kernel_file_keys;

/* Makes the instances and waits for them, at most load_ms. Mistakes go to reader->diags with
 * ST_INVALID: a file that may not be loaded or is no kernel of ours, options that it refuses, a load
 * or self-test that fails in the process. A kernel-host that breaks down is a warning: it is started
 * again when it is asked. For a trial the file is not touched, and *ret_kernel becomes NULL.
 * ST_NO_MEMORY. `program`: kernel-host, NULL for the one beside this program. */
MUST_CHECK enum status kernel_open(struct key_reader *reader, const struct yaml_node *node,
                                   const char *program, struct kernel **ret_kernel);
