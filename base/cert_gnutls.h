/* Private to cert.c and gateway/http_server.c, whose library asks in GnuTLS's types for the
 * certificate of a handshake. Nobody else includes this. */
#pragma once

#include <gnutls/abstract.h>

#include "base/cert.h"

/* Borrowed from the certificate, whose holder keeps it until the handshake is over. */
void cert_give(const struct cert *cert, gnutls_pcert_st **ret_chain, unsigned *ret_count,
               gnutls_privkey_t *ret_key);
