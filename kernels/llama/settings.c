/* See settings.h. */
#include "kernels/llama/settings.h"

#include "backends/kernel.h"

enum {
    CONTEXT_MAX = 1 << 20,
    TOP_K_MAX = 1 << 20,
};

#define FIELD(member) offsetof(struct settings, member)

static const struct key rows[] = {
    {.name = "model",
     .type = KEY_PATH,
     .offset = FIELD(model),
     .is_required = true,
     .sentence = "GGUF file"},
    {.name = "context",
     .type = KEY_INT,
     .offset = FIELD(context),
     .min = 0,
     .max = CONTEXT_MAX,
     .unit = "tokens",
     .fallback = "2048",
     .sentence =
         "the most tokens of a prompt and its answer together; 0: what the model was trained for"},
    {.name = "template",
     .type = KEY_TEXT,
     .offset = FIELD(template),
     .fallback = "auto",
     .sentence = "one of libllama's chat templates by name, plain, or auto: as the file says"},
    {.name = "max_tokens",
     .type = KEY_INT,
     .offset = FIELD(max_tokens),
     .min = 1,
     .max = CONTEXT_MAX,
     .unit = "tokens",
     .fallback = "512",
     .sentence = "where a request names no limit: the most tokens of its answer"},
    {.name = "temperature",
     .type = KEY_REAL,
     .offset = FIELD(temperature),
     .min = 0,
     .max = 2,
     .fallback = "0.7",
     .sentence = "where a request names none; 0: always the most probable token"},
    {.name = "top_p",
     .type = KEY_REAL,
     .offset = FIELD(top_p),
     .min = 0,
     .max = 1,
     .fallback = "0.95",
     .sentence =
         "where a request names none: the share of probability that tokens are chosen from"},
    {.name = "top_k",
     .type = KEY_INT,
     .offset = FIELD(top_k),
     .min = 0,
     .max = TOP_K_MAX,
     .unit = "tokens",
     .fallback = "40",
     .sentence = "how many of the most probable tokens are chosen from; 0: all"},
    {.name = "seed",
     .type = KEY_INT,
     .offset = FIELD(seed),
     .min = 0,
     .max = -1,
     .fallback = "0",
     .sentence = "where a request names none: what chance starts from"},
};

static const struct keys table = {
    .name = "options",
    .size = sizeof(struct settings),
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .sentence = "a language model of a GGUF file, computed by libllama",
};

enum ek_status settings_read(const struct ek_config *config, struct arena *arena,
                             struct settings *ret, struct ek_error *ret_error)
{
    enum ek_status status = kernel_decode(config, &table, arena, ret, ret_error);
    if (status != EK_OK) {
        return status;
    }
    ret->threads = (int64_t)config->threads + 1;
    ret->model_path = arena_copy_z(arena, ret->model);
    ret->template_name = arena_copy_z(arena, ret->template);
    return ret->model_path != NULL && ret->template_name != NULL
               ? EK_OK
               : kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the options");
}
