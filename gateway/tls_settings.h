/* The YAML block `tls` of a listener: a certificate, its key, the oldest version of TLS. The files are
 * read with the configuration, so that a pair that cannot work refuses the load. */
#pragma once

#include "base/cert.h"
#include "base/keys.h"

enum tls_settings_version {
    TLS_SETTINGS_1_2,
    TLS_SETTINGS_1_3,
};

struct tls_settings {
    struct str cert;
    struct str key;
    int min_version;   /* enum tls_settings_version */
    struct cert *pair; /* from tls_settings_load; NULL: the block is not there */
};

extern const struct keys tls_settings_keys;

/* Reads the files, if any are named. Mistakes go to reader->diags, at `pos`: ST_INVALID;
 * ST_NO_MEMORY. A certificate that is over is a warning. */
MUST_CHECK enum status tls_settings_load(struct tls_settings *t, struct key_reader *reader,
                                         struct str file, struct pos pos);

void tls_settings_fini(struct tls_settings *t);
