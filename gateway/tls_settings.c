/* See tls_settings.h. */
#include "gateway/tls_settings.h"

#include <stddef.h>

#include "base/clock.h"

static const char *const versions[] = {"tls1.2", "tls1.3", NULL};

static const struct key rows[] = {
    {.name = "cert",
     .type = KEY_PATH,
     .offset = offsetof(struct tls_settings, cert),
     .sentence = "PEM file with the certificate and, behind it, those that lead to its authority; "
                 "read again by a reload",
     .example = "/etc/expertd/tls.pem"},
    {.name = "key",
     .type = KEY_PATH,
     .offset = offsetof(struct tls_settings, key),
     .sentence = "PEM file with the private key; others may have no rights to it",
     .example = "/etc/expertd/tls.key"},
    {.name = "min_version",
     .type = KEY_CHOICE,
     .offset = offsetof(struct tls_settings, min_version),
     .fallback = "tls1.2",
     .choices = versions,
     .sentence = "oldest version of TLS that is spoken"},
};

const struct keys tls_settings_keys = {"tls", sizeof(struct tls_settings), rows,
                                       sizeof rows / sizeof rows[0],
                                       "HTTPS, with HTTP/1.1 inside."};

enum status tls_settings_load(struct tls_settings *t, struct key_reader *reader, struct str file,
                              struct pos pos)
{
    char why[CERT_WHY_BYTES];
    if (t->cert.len == 0 && t->key.len == 0) {
        return ST_OK;
    }
    if (t->cert.len == 0 || t->key.len == 0) {
        diags_add(reader->diags, DIAG_ERROR, file, pos, "\"cert\" and \"key\" go together");
        return ST_INVALID;
    }
    enum status st = cert_load(t->cert.ptr, t->key.ptr, why, &t->pair);
    if (st == ST_INVALID) {
        diags_add(reader->diags, DIAG_ERROR, file, pos, "%s", why);
    }
    if (st == ST_OK && cert_expires_s(t->pair) < clock_wall_s()) {
        diags_add(reader->diags, DIAG_WARNING, file, pos,
                  "the certificate in \"%.*s\" is over: clients will refuse it", STR_ARG(t->cert));
    }
    return st;
}

void tls_settings_fini(struct tls_settings *t)
{
    cert_unref(t->pair);
    t->pair = NULL;
}
