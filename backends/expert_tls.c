/* See expert_tls.h. */
#include "backends/expert_tls.h"

#include <stddef.h>

static const struct key rows[] = {
    {.name = "ca",
     .type = KEY_PATH,
     .offset = offsetof(struct expert_tls, ca),
     .sentence = "PEM file with the authorities that are believed, and no others; absent: the "
                 "system's",
     .example = "/etc/expertd/experts-ca.pem"},
    {.name = "cert",
     .type = KEY_PATH,
     .offset = offsetof(struct expert_tls, cert),
     .sentence = "PEM file with the certificate that is shown to the expert (mutual TLS)"},
    {.name = "key",
     .type = KEY_PATH,
     .offset = offsetof(struct expert_tls, key),
     .sentence = "PEM file with its private key; others may have no rights to it"},
    {.name = "server_name",
     .type = KEY_TEXT,
     .offset = offsetof(struct expert_tls, server_name),
     .sentence = "the name that the certificate must have, where it is not the url's host",
     .example = "med.internal"},
};

const struct keys expert_tls_keys = {"tls", sizeof(struct expert_tls), rows,
                                     sizeof rows / sizeof rows[0],
                                     "TLS towards an expert: 1.2 or newer, always verified."};

bool expert_tls_is_set(const struct expert_tls *t)
{
    return t->ca.len > 0 || t->cert.len > 0 || t->key.len > 0 || t->server_name.len > 0;
}

/* Letters, digits, dots and hyphens: it goes into a url. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '.' && c != '-') {
            return false;
        }
    }
    return s.len <= 253;
}

enum status expert_tls_load(struct expert_tls *t, struct str expert, struct key_reader *reader,
                            struct str file, struct pos pos)
{
    char why[CERT_WHY_BYTES] = "\"cert\" and \"key\" go together";
    enum status st = (t->cert.len == 0) == (t->key.len == 0) ? ST_OK : ST_INVALID;
    if (st == ST_OK && t->ca.len > 0) {
        st = cert_load_authorities(t->ca.ptr, why, &t->authorities);
    }
    if (st == ST_OK && t->cert.len > 0) {
        st = cert_load(t->cert.ptr, t->key.ptr, why, &t->pair);
    }
    if (st == ST_INVALID) {
        diags_add(reader->diags, DIAG_ERROR, file, pos, "tls of expert \"%.*s\": %s",
                  STR_ARG(expert), why);
    }
    if (!is_name(t->server_name)) {
        diags_add(reader->diags, DIAG_ERROR, file, pos,
                  "tls of expert \"%.*s\": \"server_name\" is no host name", STR_ARG(expert));
        st = ST_INVALID;
    }
    return st;
}

void expert_tls_fini(struct expert_tls *t)
{
    cert_unref(t->authorities);
    cert_unref(t->pair);
    t->authorities = NULL;
    t->pair = NULL;
}
