/* Certificates and private keys in PEM files, checked when they are read: a pair that does not fit, a
 * key that others may read, a file without a certificate are found by whoever loads a configuration,
 * and not by the first client. Immutable and counted: who uses one holds a reference, so that a
 * reload may bring another while connections still use the old.
 *
 * Any thread. The private key is wiped when the last reference goes. */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct cert;

enum {
    CERT_WHY_BYTES = 256
};

/* Reads a chain, the certificate itself first, and its private key. Of a key file, others may have no
 * rights, and the group none but to read. ST_INVALID with a reason that names the file and shows
 * nothing of it; ST_NO_MEMORY. */
MUST_CHECK enum status cert_load(const char *chain_path, const char *key_path,
                                 char ret_why[CERT_WHY_BYTES], struct cert **ret_cert);

/* Reads certificates of authorities; there is no key. The rest as above. */
MUST_CHECK enum status cert_load_authorities(const char *path, char ret_why[CERT_WHY_BYTES],
                                             struct cert **ret_cert);

/* From now on all that GnuTLS frees is overwritten first: it decrypts what clients send, keys included,
 * into blocks that it frees as they are (3.7.9). Call it before there are threads. */
void cert_wipe_freed(void);

struct cert *cert_ref(struct cert *cert); /* NULL allowed */
void cert_unref(struct cert *cert);       /* NULL allowed */

/* When the first certificate is over, in seconds since 1970. */
int64_t cert_expires_s(const struct cert *cert);

/* As PEM, for libraries that read it; borrowed. */
struct str cert_chain_pem(const struct cert *cert);
struct str cert_key_pem(const struct cert *cert); /* a secret; empty: authorities */
