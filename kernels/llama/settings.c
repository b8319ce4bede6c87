/* See settings.h. */
#include "kernels/llama/settings.h"

#include "backends/kernel.h"
#include "backends/kernel_sampling.h"

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
    KERNEL_SAMPLING_ROWS(struct settings, CONTEXT_MAX, TOP_K_MAX),
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
