/* The recorded answers that the tables are made of, read into one arena that the caller owns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    DATA_MODELS_MAX = 32,
    DATA_CATEGORIES_MAX = 24,
};

/* A weak and a strong model, a row per question. */
struct data_pair {
    struct str prompt;
    struct str subject; /* empty: not said */
    bool weak;          /* is right */
    bool strong;
};

struct data_pairs {
    struct data_pair *items;
    size_t count;
    size_t dropped; /* contaminated: training of the published routers has seen them */
};

/* {"prompt", "subject"?, "mixtral_8x7b", "gpt4_1106", "contaminated"} a line. ST_INVALID, ST_IO with
 * a diagnostic, ST_NO_MEMORY. */
MUST_CHECK enum status data_read_pairs(const char *path, struct arena *arena, struct diags *diags,
                                       struct data_pairs *ret_pairs);

/* A pool of models, a row per question. */
struct data_question {
    int64_t id;
    struct str text; /* question and options, as an examiner prints them */
    uint8_t category;
    bool is_test;
    uint32_t right; /* bit per model */
    uint32_t chars[DATA_MODELS_MAX];
};

struct data_pool {
    struct data_question *items;
    size_t count;
    struct str models[DATA_MODELS_MAX];
    double active_b[DATA_MODELS_MAX]; /* billions of parameters at work; 0: not published */
    double total_b[DATA_MODELS_MAX];  /* and in memory */
    size_t missing[DATA_MODELS_MAX];  /* answers that were not recorded: count as wrong */
    size_t model_count;
    struct str categories[DATA_CATEGORIES_MAX];
    size_t category_count;
};

/* models.tsv, questions.jsonl, scores.tsv, output_chars.tsv and split_test_ids.json of a folder.
 * Errors as above. */
MUST_CHECK enum status data_read_pool(const char *folder, struct arena *arena, struct diags *diags,
                                      struct data_pool *ret_pool);
