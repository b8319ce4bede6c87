/* See assert.h. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_failed(const char *file, int line, const char *claim)
{
    (void)fprintf(stderr, "%s:%d: broken assertion: %s\n", file, line, claim);
    abort();
}
