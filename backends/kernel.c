/* The table of built-in kernels and what they share. See kernel.h. Runs nothing: kernel_call.c does. */
#include "backends/kernel.h"

#include <stdio.h>

#include "backends/kernels/kernels.h"

const struct kernel_type *const kernel_types[] = {
    &calc_kernel_type,   &lookup_kernel_type, &constant_kernel_type,
    &refuse_kernel_type, &echo_kernel_type,   NULL,
};

void kernel_init(struct kernel *kernel, const struct kernel_type *type)
{
    kernel->type = type;
    kernel->users = 1;
}

void kernel_ref(struct kernel *kernel)
{
    kernel->users++;
}

void kernel_unref(struct kernel *kernel)
{
    if (kernel != NULL && --kernel->users == 0) {
        kernel->type->destroy(kernel);
    }
}

struct str kernel_last_question(const struct kernel_prompt *prompt)
{
    for (size_t i = prompt->count; i > 0; i--) {
        if (str_eq(prompt->messages[i - 1].role, STR("user"))) {
            return prompt->messages[i - 1].text;
        }
    }
    return STR("");
}

void kernel_finish(struct kernel_result *ret_result, enum status st)
{
    *ret_result = (struct kernel_result){
        .finish = KERNEL_STOP,
        .retry_after_s = -1,
        .prompt_tokens = -1,
        .completion_tokens = -1,
    };
    if (st == ST_CLOSED) {
        ret_result->finish = KERNEL_CANCELLED;
    } else if (st != ST_OK) {
        kernel_fail(ret_result, 500, "the expert ran out of memory");
    }
}

void kernel_fail(struct kernel_result *ret_result, int http_status, const char *message)
{
    *ret_result = (struct kernel_result){
        .finish = KERNEL_FAILED,
        .http_status = http_status,
        .retry_after_s = -1,
        .prompt_tokens = -1,
        .completion_tokens = -1,
    };
    (void)snprintf(ret_result->message, sizeof ret_result->message, "%s", message);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

int64_t kernel_count_tokens(struct str text)
{
    struct kernel_tally tally = {0};
    kernel_tally_add(&tally, text);
    return kernel_tally_tokens(&tally);
}

void kernel_tally_add(struct kernel_tally *tally, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_in_word = !is_blank(text.ptr[i]);
        tally->words += is_in_word && !tally->is_in_word ? 1 : 0;
        tally->is_in_word = is_in_word;
    }
    tally->bytes += text.len;
}

int64_t kernel_tally_tokens(const struct kernel_tally *tally)
{
    size_t by_words = (tally->words * 4 + 2) / 3;
    size_t by_bytes = (tally->bytes + 3) / 4;
    return (int64_t)(by_words > by_bytes ? by_words : by_bytes);
}
