/* Error documents of experts, whatever they are: what is read of them is one of the kinds there are. */
#include <stdint.h>

#include "backends/reply_error.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str document = {(const char *)data, size};
    struct reply_error_facts facts = reply_error_read(document);
    ASSERT(facts.status == 0 || (facts.status >= 400 && facts.status <= 599));
    ASSERT(facts.is_error || facts.status == 0);
    ASSERT(!facts.is_error || str_trim(document).ptr[0] == '{');
    return 0;
}
