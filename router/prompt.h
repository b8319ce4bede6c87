/* What the router knows of a request: the words, the needs, the sizes. Built from the request's body
 * by gateway/chat_request.c, or from a text on the command line. Borrows everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "router/classifier.h"

enum {
    PROMPT_SEGMENTS_MAX = 8
};

struct prompt {
    struct str model; /* as the client asked for it: auto, category/NAME, alias, expert */
    struct classifier_segment segments[PROMPT_SEGMENTS_MAX]; /* last user message first */
    size_t segment_count;
    unsigned needs;     /* bits of enum policy_need */
    int64_t text_bytes; /* of all messages, as sent */
    int64_t max_tokens; /* 0: the client sets no limit */
    bool is_stream;
};

/* Fills a prompt that consists of one text. */
void prompt_from_text(struct prompt *prompt, struct str model, struct str text);

/* The text that rules look at: the last user message. */
struct str prompt_last_text(const struct prompt *prompt);

/* About how many tokens the messages have: a quarter of their bytes, rounded up. */
int64_t prompt_tokens_estimate(const struct prompt *prompt);
