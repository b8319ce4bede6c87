/* Private to sandbox*.c: the two parts that have a file of their own. */
#pragma once

#include "gateway/sandbox.h"

/* sandbox_files.c: Landlock. Returns the version of its interface, 0: this kernel has none or refused. */
int sandbox_files_confine(const struct sandbox_needs *needs);

/* sandbox_calls.c: seccomp. False: this kernel or machine has none, or refused. */
bool sandbox_calls_filter(bool may_exec);
