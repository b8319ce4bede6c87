/* Reads what kind of error an expert's document is: of the OpenAI dialect and of the servers that speak
 * nearly so. A wrong guess costs an attempt or saves one too many, never an answer. Pure. */
#pragma once

#include <stdbool.h>

#include "backends/call_outcome.h"
#include "base/str.h"

struct reply_error_facts {
    bool is_error; /* it is an object with an `error`, or with "object": "error" */
    enum reply_error kind;
    int status; /* 400 to 599 where its code is one, else 0 */
};

struct reply_error_facts reply_error_read(struct str document);
