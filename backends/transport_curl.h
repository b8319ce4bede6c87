/* Private to transport.c (sockets, timers, handle pools) and call_remote.c (one transfer): the part
 * of the transport that speaks in libcurl's types. Nobody else includes this. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

#include "backends/call.h"
#include "backends/call_watch.h"
#include "backends/reply_head.h"
#include "base/loop.h"

/* What all calls to one expert share on one worker. Each call, idle ones too, holds a reference. */
struct remote_pool {
    size_t refs;
    bool is_retired;       /* replaced or dropped: handles are freed instead of given back */
    uint64_t serial;       /* of the expert it was made for */
    CURLU *url;            /* of completions */
    CURLU *embeddings_url; /* the same one, of embeddings */
    struct curl_slist *headers;
    struct curl_slist *connect_to; /* NULL: where the url says */
    struct cert *authorities;      /* NULL: the system's */
    struct cert *pair;             /* NULL: we show none */
    struct remote_call *idle;
    size_t idle_count;
};

struct remote_call {
    struct call call; /* first: see call.h */
    struct transport *transport;
    struct remote_pool *pool;
    CURL *easy;
    int fd; /* the socket that it was on last; another call may be on it now */
    struct remote_call *next_idle;
    struct remote_call *next_added; /* of those in the multi handle */
    struct remote_call *previous_added;
    CURLU *url;                 /* of a GET; NULL: the pool's, with POST */
    struct curl_slist *headers; /* the pool's and the request's; NULL: the pool's alone */
    struct call_watch watch;
    struct reply_head head;
    size_t head_bytes;
    size_t body_bytes;
    bool is_embedding; /* its url is that of embeddings */
    bool is_added;     /* in the multi handle */
    bool has_bad_head;
    bool is_too_big;
    char why[CURL_ERROR_SIZE];
};

/* transport.c, for call_remote.c */
struct loop *transport_loop(struct transport *t);
MUST_CHECK enum status transport_add(struct transport *t, struct remote_call *rc);
void transport_remove(struct transport *t, struct remote_call *rc);
/* Before transport_remove, of a call in the multi handle that is given up: what of its request has not
 * arrived is not sent any more. */
void transport_forget_unsent(struct transport *t, const struct remote_call *rc);
void transport_give_back(struct transport *t,
                         struct remote_call *rc); /* to the pool, or frees it */
void transport_unref_pool(struct remote_pool *pool);
curl_socket_t transport_open_socket(void *transport, curlsocktype purpose,
                                    struct curl_sockaddr *address);
int transport_close_socket(void *transport, curl_socket_t fd);

/* call_remote.c, for transport.c */
struct remote_call *remote_call_create(struct transport *t, struct remote_pool *pool);
/* For one GET of this path, "?" and a query included, instead of the expert's POST. ST_NO_MEMORY. */
MUST_CHECK enum status remote_call_set_get(struct remote_call *rc, struct str path);
MUST_CHECK enum status remote_call_start(struct remote_call *rc,
                                         const struct call_request *request);
void remote_call_finished(struct remote_call *rc, CURLcode code); /* from curl_multi_info_read */
void remote_call_free(struct remote_call *rc);
