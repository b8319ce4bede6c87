/* The built-in kernels: the rows of the table in backends/kernel.c. */
#pragma once

#include "backends/kernel.h"

extern const struct kernel_type calc_kernel_type;     /* calc.c */
extern const struct kernel_type lookup_kernel_type;   /* lookup.c */
extern const struct kernel_type constant_kernel_type; /* constant.c */
extern const struct kernel_type refuse_kernel_type;   /* refuse.c */
extern const struct kernel_type echo_kernel_type;     /* echo.c */
