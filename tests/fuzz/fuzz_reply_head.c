/* The head of an expert's reply, line by line: numbers are in range, and framing that two readers could
 * read in two ways is never called framed. */
#include <stdint.h>
#include <string.h>

#include "backends/reply_head.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str line = STR("");
    struct reply_head head;
    reply_head_init(&head);
    while (str_split(rest, '\n', &line, &rest)) {
        bool is_line = reply_head_line(&head, line);
        ASSERT(!is_line || str_find_char(line, ':') < line.len);
        ASSERT(head.retry_after_s >= -1 && (head.content_length >= -1 || head.lengths > 0));
        ASSERT(memchr(head.content_type, '\0', sizeof head.content_type) != NULL);
    }
    if (reply_head_is_framed(&head)) {
        ASSERT(head.lengths == 0 && !head.has_bad_encoding);
        ASSERT(!head.is_chunked || head.content_length == -1);
    }
    return 0;
}
