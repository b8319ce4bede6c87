/* Request bodies as kernels read them: a prompt with roles, or a reason. */
#include <stdint.h>

#include "backends/kernel.h"
#include "backends/kernel_chat.h"
#include "base/assert.h"
#include "base/json_scan.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct kernel_chat chat;
    enum status st = kernel_chat_parse(body, &chat);
    if (st == ST_OK) {
        ASSERT(json_validate(body, NULL, NULL) == ST_OK);
        ASSERT(chat.request.message_count > 0 && chat.request.max_tokens >= 0);
        for (size_t i = 0; i < chat.request.message_count; i++) {
            const struct ek_message *message = &chat.request.messages[i];
            ASSERT(message->role.len > 0);
            ASSERT(utf8_valid_prefix(kernel_str(message->text)) == message->text.len);
        }
    } else {
        ASSERT(st == ST_INVALID && chat.why != NULL);
    }
    kernel_chat_fini(&chat);
    return 0;
}
