/* The same tests, on the search that does without SSE2. */
#define JSON_SPECIAL_PORTABLE 1
#include "tests/unit/base/test_json_special.c"
