/* One answer: reads the prompt, then lets libllama's samplers choose token after token until the model
 * ends, a stop text comes or a limit is reached. */
#pragma once

#include "backends/kernel_abi.h"
#include "kernels/llama/engine.h"
#include "kernels/llama/prompt.h"
#include "kernels/llama/settings.h"

/* `defaults`: where the request says nothing. EK_CANCELLED, EK_LATE, EK_FAILED, EK_NO_MEMORY.
 * *ret_result is filled in every case. */
enum ek_status answer_write(struct engine *e, const struct settings *defaults,
                            const struct prompt *prompt, const struct ek_sink *sink,
                            struct ek_result *ret_result, struct ek_error *ret_error);
