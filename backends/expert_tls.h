/* The YAML block `tls` of an expert: whom to believe, who we are. Certificates are always verified;
 * there is no key that switches it off, for an authority of one's own is one line. */
#pragma once

#include "base/cert.h"
#include "base/keys.h"

struct expert_tls {
    struct str ca;
    struct str cert;
    struct str key;
    struct str server_name;
    struct cert *authorities; /* from expert_tls_load; NULL: the system's */
    struct cert *pair;        /* NULL: we show none */
};

extern const struct keys expert_tls_keys;

/* Reads the files that are named. Mistakes go to reader->diags with ST_INVALID; ST_NO_MEMORY. */
MUST_CHECK enum status expert_tls_load(struct expert_tls *t, struct str expert,
                                       struct key_reader *reader, struct str file, struct pos pos);

void expert_tls_fini(struct expert_tls *t);

bool expert_tls_is_set(const struct expert_tls *t); /* any of its keys */
