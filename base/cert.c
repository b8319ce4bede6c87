/* See cert.h. Checks form and fit, not trust: who is to be believed is the peer's business. */
#include "base/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cert_gnutls.h"
#include "base/mem.h"

enum {
    FILE_MAX_BYTES = 1024 * 1024, /* all authorities that a Debian knows are 220 kB */
    CHAIN_MAX = 16,
    ID_BYTES = 64,
};

struct pem {
    char *text; /* with a NUL behind it */
    size_t len;
};

struct cert {
    atomic_size_t refs; /* any thread; the last one destroys */
    struct pem chain_pem;
    struct pem key_pem;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_count;
    gnutls_privkey_t key;
    int64_t expires_s;
};

static void complain(char why[CERT_WHY_BYTES], const char *path, const char *what)
{
    (void)snprintf(why, CERT_WHY_BYTES, "\"%.160s\" %s", path, what);
}

static void wipe(struct pem *pem)
{
    if (pem->text != NULL) {
        explicit_bzero(pem->text, pem->len);
    }
    mem_free(pem->text);
    *pem = (struct pem){NULL, 0};
}

static enum status read_all(int fd, size_t size, struct pem *ret_pem)
{
    struct pem pem = {mem_alloc(size + 1), 0};
    if (pem.text == NULL) {
        return ST_NO_MEMORY;
    }
    for (ssize_t n = 1; n > 0 && pem.len < size;) {
        n = read(fd, pem.text + pem.len, size - pem.len);
        if (n < 0) {
            wipe(&pem);
            return ST_IO;
        }
        pem.len += (size_t)n;
    }
    pem.text[pem.len] = '\0';
    *ret_pem = pem;
    return ST_OK;
}

/* `forbidden`: bits that the mode must not have. */
static enum status read_file(const char *path, mode_t forbidden, char why[CERT_WHY_BYTES],
                             struct pem *ret_pem)
{
    struct stat info = {.st_mode = 0};
    char reason[128] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        complain(why, path, strerror_r(errno, reason, sizeof reason));
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
        }
        return ST_INVALID;
    }
    enum status st = ST_INVALID;
    if (!S_ISREG(info.st_mode) || info.st_size > FILE_MAX_BYTES) {
        complain(why, path, "is no file of a reasonable size");
    } else if ((info.st_mode & forbidden) != 0) {
        (void)snprintf(reason, sizeof reason,
                       "is a private key with mode %04o: others must not reach it; chmod 0600",
                       (unsigned)(info.st_mode & 07777));
        complain(why, path, reason);
    } else {
        st = read_all(fd, (size_t)info.st_size, ret_pem);
    }
    (void)close(fd); /* nothing was written */
    if (st == ST_IO) {
        complain(why, path, "cannot be read");
        st = ST_INVALID;
    }
    return st;
}

static gnutls_datum_t datum_of(const struct pem *pem)
{
    /* GnuTLS takes a non-const pointer and does not write through it. */
    return (gnutls_datum_t){(unsigned char *)pem->text, (unsigned)pem->len};
}

static enum status status_of(int code, char why[CERT_WHY_BYTES], const char *path)
{
    char text[128];
    if (code == GNUTLS_E_MEMORY_ERROR) {
        return ST_NO_MEMORY;
    }
    (void)snprintf(text, sizeof text, "cannot be used: %s", gnutls_strerror(code));
    complain(why, path, text);
    return ST_INVALID;
}

static enum status read_expiry(struct cert *c, const gnutls_datum_t *pem)
{
    gnutls_x509_crt_t first = NULL;
    if (gnutls_x509_crt_init(&first) < 0) {
        return ST_NO_MEMORY;
    }
    /* It was parsed before; a bundle's first one is taken. */
    c->expires_s = gnutls_x509_crt_import(first, pem, GNUTLS_X509_FMT_PEM) < 0
                       ? 0
                       : (int64_t)gnutls_x509_crt_get_expiration_time(first);
    gnutls_x509_crt_deinit(first);
    return ST_OK;
}

static enum status read_chain(struct cert *c, const char *path, char why[CERT_WHY_BYTES])
{
    enum status st = read_file(path, S_IWOTH, why, &c->chain_pem);
    if (st != ST_OK) {
        return st;
    }
    gnutls_datum_t pem = datum_of(&c->chain_pem);
    unsigned count = CHAIN_MAX;
    int code = gnutls_pcert_list_import_x509_raw(c->chain, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
    if (code < 0) {
        return status_of(code, why, path);
    }
    c->chain_count = count;
    return read_expiry(c, &pem);
}

static enum status read_key(struct cert *c, const char *path, char why[CERT_WHY_BYTES])
{
    enum status st = read_file(path, S_IRWXO | S_IWGRP | S_IXGRP, why, &c->key_pem);
    if (st != ST_OK) {
        return st;
    }
    gnutls_datum_t pem = datum_of(&c->key_pem);
    if (gnutls_privkey_init(&c->key) < 0) {
        return ST_NO_MEMORY;
    }
    int code = gnutls_privkey_import_x509_raw(c->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    return code < 0 ? status_of(code, why, path) : ST_OK;
}

/* Whether the key is the first certificate's: their public halves have one identity. */
static bool fits(const struct cert *c)
{
    unsigned char of_chain[ID_BYTES];
    unsigned char of_key[ID_BYTES];
    size_t chain_size = sizeof of_chain;
    size_t key_size = sizeof of_key;
    gnutls_pubkey_t public = NULL;
    bool ok = gnutls_pubkey_init(&public) >= 0 &&
              gnutls_pubkey_import_privkey(public, c->key, 0, 0) >= 0 &&
              gnutls_pubkey_get_key_id(public, 0, of_key, &key_size) >= 0 &&
              gnutls_pubkey_get_key_id(c->chain[0].pubkey, 0, of_chain, &chain_size) >= 0 &&
              key_size == chain_size && memcmp(of_key, of_chain, key_size) == 0;
    if (public != NULL) {
        gnutls_pubkey_deinit(public);
    }
    return ok;
}

static struct cert *make(void)
{
    struct cert *c = mem_zalloc(1, sizeof *c);
    if (c != NULL) {
        atomic_init(&c->refs, 1);
    }
    return c;
}

enum status cert_load(const char *chain_path, const char *key_path, char ret_why[CERT_WHY_BYTES],
                      struct cert **ret_cert)
{
    struct cert *c = make();
    if (c == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = read_chain(c, chain_path, ret_why);
    if (st == ST_OK) {
        st = read_key(c, key_path, ret_why);
    }
    if (st == ST_OK && !fits(c)) {
        (void)snprintf(ret_why, CERT_WHY_BYTES,
                       "\"%.100s\" is not the key of the certificate in \"%.100s\"", key_path,
                       chain_path);
        st = ST_INVALID;
    }
    if (st != ST_OK) {
        cert_unref(c);
        return st;
    }
    *ret_cert = c;
    return ST_OK;
}

enum status cert_load_authorities(const char *path, char ret_why[CERT_WHY_BYTES],
                                  struct cert **ret_cert)
{
    struct cert *c = make();
    if (c == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = read_file(path, S_IWOTH, ret_why, &c->chain_pem);
    gnutls_x509_crt_t *list = NULL;
    unsigned count = 0;
    if (st == ST_OK) {
        gnutls_datum_t pem = datum_of(&c->chain_pem);
        int code = gnutls_x509_crt_list_import2(&list, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
        st = code < 0 ? status_of(code, ret_why, path) : read_expiry(c, &pem);
    }
    for (unsigned i = 0; i < count; i++) {
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    if (st != ST_OK) {
        cert_unref(c);
        return st;
    }
    *ret_cert = c;
    return ST_OK;
}

void cert_wipe_freed(void)
{
    gnutls_free = mem_free_wiped; /* its own calls go through this variable */
}

struct cert *cert_ref(struct cert *cert)
{
    if (cert != NULL) {
        (void)atomic_fetch_add(&cert->refs, 1);
    }
    return cert;
}

void cert_unref(struct cert *cert)
{
    if (cert == NULL || atomic_fetch_sub(&cert->refs, 1) != 1) {
        return;
    }
    for (unsigned i = 0; i < cert->chain_count; i++) {
        gnutls_pcert_deinit(&cert->chain[i]);
    }
    if (cert->key != NULL) {
        gnutls_privkey_deinit(cert->key); /* wipes what it holds */
    }
    wipe(&cert->chain_pem);
    wipe(&cert->key_pem);
    mem_free(cert);
}

int64_t cert_expires_s(const struct cert *cert)
{
    return cert->expires_s;
}

struct str cert_chain_pem(const struct cert *cert)
{
    return (struct str){cert->chain_pem.text, cert->chain_pem.len};
}

struct str cert_key_pem(const struct cert *cert)
{
    return (struct str){cert->key_pem.text, cert->key_pem.len};
}

void cert_give(const struct cert *cert, gnutls_pcert_st **ret_chain, unsigned *ret_count,
               gnutls_privkey_t *ret_key)
{
    /* GnuTLS takes a non-const pointer and does not write through it: nothing says who frees. */
    union {
        const gnutls_pcert_st *in;
        gnutls_pcert_st *out;
    } chain = {.in = cert->chain};

    *ret_chain = chain.out;
    *ret_count = cert->chain_count;
    *ret_key = cert->key;
}
