/* Every error that the gateway itself answers with: one table, OpenAI-shaped.
 * {"error": {"message", "type", "param", "code"}} */
#pragma once

#include "base/buf.h"
#include "base/str.h"

enum problem_fault { /* whose it is to mend */
    PROBLEM_FAULT_NONE,
    PROBLEM_FAULT_CLIENT,
    PROBLEM_FAULT_GATEWAY,
    PROBLEM_FAULT_EXPERT,
    PROBLEM_FAULT_OPERATOR,
};

/* X(name, HTTP status, whose fault, type, code, message for people) */
#define PROBLEM_TABLE(X)                                                                             \
    X(BAD_HEAD, 400, CLIENT, "invalid_request_error", "bad_request",                                 \
      "The request head breaks the rules of HTTP.")                                                  \
    X(BAD_JSON, 400, CLIENT, "invalid_request_error", "invalid_json",                                \
      "The body is not valid JSON.")                                                                 \
    X(MISSING_PARAM, 400, CLIENT, "invalid_request_error", "missing_required_parameter",             \
      "A required parameter is missing.")                                                            \
    X(BAD_PARAM, 400, CLIENT, "invalid_request_error", "invalid_type",                               \
      "A parameter has the wrong type.")                                                             \
    X(BAD_CONF, 400, CLIENT, "invalid_request_error", "invalid_configuration",                       \
      "The configuration cannot be used.")                                                           \
    X(CONTEXT_LENGTH, 400, CLIENT, "invalid_request_error", "context_length_exceeded",               \
      "The prompt is longer than any expert's context.")                                             \
    X(NO_EXPERT, 400, OPERATOR, "invalid_request_error", "no_suitable_expert",                       \
      "No expert can take this request.")                                                            \
    X(NO_KEY, 401, CLIENT, "invalid_request_error", "invalid_api_key",                               \
      "You didn't provide an API key: send it as Authorization: Bearer YOUR_KEY.")                   \
    X(BAD_KEY, 401, CLIENT, "invalid_request_error", "invalid_api_key",                              \
      "Incorrect API key provided.")                                                                 \
    X(OLD_KEY, 401, CLIENT, "invalid_request_error", "invalid_api_key",                              \
      "This API key has expired.")                                                                   \
    X(FORBIDDEN, 403, CLIENT, "invalid_request_error", "category_not_allowed",                       \
      "The key may not use what this prompt was routed to.")                                         \
    X(HEADER_FORBIDDEN, 403, CLIENT, "invalid_request_error", "header_not_allowed",                  \
      "The key may not send this header.")                                                           \
    X(PRIVACY, 400, CLIENT, "invalid_request_error", "privacy_not_certain",                          \
      "It could not be told what is private in this prompt, so it went to nobody.")                  \
    X(NOT_FOUND, 404, CLIENT, "invalid_request_error", "unknown_url",                                \
      "There is nothing at this path.")                                                              \
    X(MODEL_NOT_FOUND, 404, CLIENT, "invalid_request_error", "model_not_found",                      \
      "There is no such model.")                                                                     \
    X(REQUEST_NOT_FOUND, 404, CLIENT, "invalid_request_error", "request_not_found",                  \
      "No recent answer has this x-request-id: decisions are remembered for a while only. Send the " \
      "prompt instead.")                                                                             \
    X(METHOD, 405, CLIENT, "invalid_request_error", "method_not_allowed",                            \
      "This path does not take this method.")                                                        \
    X(HEAD_TIMEOUT, 408, CLIENT, "invalid_request_error", "head_timeout",                            \
      "The request head took too long.")                                                             \
    X(BODY_TIMEOUT, 408, CLIENT, "invalid_request_error", "body_timeout",                            \
      "The request body took too long.")                                                             \
    X(LENGTH_REQUIRED, 411, CLIENT, "invalid_request_error", "length_required",                      \
      "A body needs a Content-Length or chunked Transfer-Encoding.")                                 \
    X(BODY_TOO_LARGE, 413, CLIENT, "invalid_request_error", "request_too_large",                     \
      "The body is larger than this gateway accepts.")                                               \
    X(MEDIA_TYPE, 415, CLIENT, "invalid_request_error", "unsupported_media_type",                    \
      "The body must be application/json.")                                                          \
    X(QUOTA, 429, CLIENT, "insufficient_quota", "insufficient_quota", "A budget is used up.")        \
    X(LIMIT_REQUESTS, 429, CLIENT, "requests", "rate_limit_exceeded",                                \
      "Too many requests per minute.")                                                               \
    X(LIMIT_TOKENS, 429, CLIENT, "tokens", "rate_limit_exceeded", "Too many tokens per minute.")     \
    X(LIMIT_CONCURRENCY, 429, CLIENT, "requests", "rate_limit_exceeded",                             \
      "Too many requests at the same time.")                                                         \
    X(PEER_CONNECTIONS, 429, CLIENT, "requests", "too_many_connections",                             \
      "This address has all the connections it may have.")                                           \
    X(INTERNAL, 500, GATEWAY, "api_error", "internal_error", "The gateway made a mistake.")          \
    X(EXPERT_CONNECT, 502, EXPERT, "api_error", "expert_unreachable",                                \
      "The expert cannot be reached.")                                                               \
    X(EXPERT_AUTH, 502, OPERATOR, "api_error", "expert_refused_key",                                 \
      "The expert refused the gateway's key.")                                                       \
    X(EXPERT_CUT, 502, EXPERT, "api_error", "expert_reply_cut", "The expert's answer broke off.")    \
    X(EXPERT_TOO_BIG, 502, EXPERT, "api_error", "expert_reply_too_large",                            \
      "The expert's answer is larger than allowed.")                                                 \
    X(EXPERT_BAD_REPLY, 502, EXPERT, "api_error", "expert_bad_reply",                                \
      "The expert's answer breaks the rules of HTTP or JSON.")                                       \
    X(OVERLOADED, 503, GATEWAY, "api_error", "gateway_overloaded",                                   \
      "The gateway has too much to do.")                                                             \
    X(NO_MEMORY, 503, GATEWAY, "api_error", "out_of_memory", "The gateway is short of memory.")      \
    X(CONNECTIONS, 503, GATEWAY, "api_error", "connections_exhausted",                               \
      "All connections of the gateway are taken.")                                                   \
    X(QUEUE_FULL, 503, EXPERT, "api_error", "overloaded",                                            \
      "Too many requests wait for this expert.")                                                     \
    X(QUEUE_LATE, 503, EXPERT, "api_error", "queue_timeout",                                         \
      "No place at an expert became free in time.")                                                  \
    X(UNAVAILABLE, 503, EXPERT, "api_error", "experts_unavailable",                                  \
      "None of the experts for this request takes requests now.")                                    \
    X(EXPERT_NOT_READY, 503, EXPERT, "api_error", "expert_not_ready",                                \
      "The expert's process is not running.")                                                        \
    X(STATE_OFF, 503, OPERATOR, "api_error", "state_off",                                            \
      "This gateway stores nothing: its configuration has no state block.")                          \
    X(STATE_BUSY, 503, GATEWAY, "api_error", "state_busy", "Too much waits for the disk already.")   \
    X(STATE_FAILED, 503, OPERATOR, "api_error", "state_unavailable",                                 \
      "The state file cannot be written: nothing was stored.")                                       \
    X(EXPERT_TIMEOUT, 504, EXPERT, "api_error", "expert_timeout", "The expert took too long.")

enum problem {
    PROBLEM_NONE,
#define PROBLEM_MEMBER(name, status, fault, type, code, message) PROBLEM_##name,
    PROBLEM_TABLE(PROBLEM_MEMBER)
#undef PROBLEM_MEMBER
};

int problem_status(enum problem p);
const char *problem_type(enum problem p);
const char *problem_code(enum problem p);
enum problem_fault problem_fault(enum problem p);
const char *problem_fault_text(enum problem_fault fault); /* "client", ...; "" for none */

/* The default sentence for people. */
const char *problem_message(enum problem p);

/* Appends the JSON document. message and param may be empty: the table's message, null. ST_NO_MEMORY,
 * ST_TOO_BIG. */
MUST_CHECK enum status problem_write(struct buf *out, enum problem p, struct str message,
                                     struct str param);
