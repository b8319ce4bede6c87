/* The options of the kernel: what stands under `kernel.options` in the configuration. */
#pragma once

#include <stdint.h>

#include "backends/kernel_abi.h"
#include "base/arena.h"
#include "base/str.h"

struct settings {
    struct str model;
    int64_t context;
    struct str template;
    int64_t max_tokens;
    double temperature;
    double top_p;
    int64_t top_k;
    int64_t seed;
    int64_t threads;
    /* the same, terminated */
    const char *model_path;
    const char *template_name;
};

/* Texts are borrowed from the arena. EK_BAD_CONFIG, EK_NO_MEMORY with *ret_error. */
enum ek_status settings_read(const struct ek_config *config, struct arena *arena,
                             struct settings *ret, struct ek_error *ret_error);
