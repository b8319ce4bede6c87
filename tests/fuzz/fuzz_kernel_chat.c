/* Request bodies as kernels read them: a prompt with roles, or a reason. */
#include <stdint.h>

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
        ASSERT(chat.prompt.count > 0 && chat.prompt.max_tokens >= 0);
        for (size_t i = 0; i < chat.prompt.count; i++) {
            const struct kernel_message *message = &chat.prompt.messages[i];
            ASSERT(message->role.len > 0);
            ASSERT(utf8_valid_prefix(message->text) == message->text.len);
        }
    } else {
        ASSERT(st == ST_INVALID && chat.why != NULL);
    }
    kernel_chat_fini(&chat);
    return 0;
}
