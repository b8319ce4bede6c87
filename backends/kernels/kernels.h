/* The built-in kernels: the rows of the table in backends/kernel.c. */
#pragma once

#include "backends/kernel.h"

extern const struct kernel_builtin calc_kernel;     /* calc.c */
extern const struct kernel_builtin lookup_kernel;   /* lookup.c */
extern const struct kernel_builtin constant_kernel; /* constant.c */
extern const struct kernel_builtin refuse_kernel;   /* refuse.c */
extern const struct kernel_builtin fault_kernel;    /* fault.c */
extern const struct kernel_builtin echo_kernel;     /* echo.c */
extern const struct kernel_builtin tinylm_kernel;   /* tinylm.c */
