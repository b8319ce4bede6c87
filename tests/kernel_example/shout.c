/* An expert that says the last message again, louder: a whole kernel. See docs/writing-a-kernel.md. */
#include <expertd/kernel_abi.h>
#include <stdlib.h>

struct ek_instance { /* what one instance knows: models, caches, handles */
    char mark;
};

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    /* allow malloc: a kernel is no part of expertd */
    struct ek_instance *shout = malloc(sizeof *shout);
    (void)config; /* config->options is a JSON object: this kernel has no options */
    (void)ret_error;
    if (shout == NULL) {
        return EK_NO_MEMORY;
    }
    shout->mark = '!';
    *ret_instance = shout;
    return EK_OK;
}

static void destroy(struct ek_instance *shout)
{
    free(shout); /* allow free: see above */
}

static enum ek_status generate(struct ek_instance *shout, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct ek_text text = request->messages[request->message_count - 1].text;
    (void)ret_result; /* it stopped by itself; the host counts tokens */
    (void)ret_error;
    for (size_t i = 0; i < text.len;) {
        char word[256]; /* a piece is a word here, and a token elsewhere: whole code points */
        size_t n = 0;
        while (i < text.len && (n == 0 || text.ptr[i - 1] != ' ') &&
               (n < sizeof word - 4 || (text.ptr[i] & 0xC0) == 0x80)) {
            char c = text.ptr[i++];
            word[n++] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
        if (ek_is_cancelled(request) || sink->piece(sink->ctx, (struct ek_text){word, n}) != 0) {
            return EK_CANCELLED;
        }
    }
    return sink->piece(sink->ctx, (struct ek_text){&shout->mark, 1}) == 0 ? EK_OK : EK_CANCELLED;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = {
        sizeof facts, EK_CAP_GENERATE, {"shout", 5}, {"1.0", 3}, {"Apache-2.0", 10}};
    return &facts;
}

EK_EXPORT const struct ek_kernel *ek_kernel_entry(const struct ek_host *host)
{
    static const struct ek_kernel kernel = {.size = sizeof kernel,
                                            .abi_major = EK_ABI_MAJOR,
                                            .abi_minor = EK_ABI_MINOR,
                                            .info = info,
                                            .create = create,
                                            .destroy = destroy,
                                            .generate = generate};
    return host->abi_major == EK_ABI_MAJOR ? &kernel : NULL;
}
