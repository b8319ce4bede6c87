/* See api_key.h. */
#include "gateway/api_key.h"

#include <string.h>
#include <sys/random.h>

static const struct str prefix = STR_INIT("sk-expertd-");

enum status api_key_make(char ret_key[API_KEY_BYTES])
{
    struct digest random; /* 32 bytes, not a digest of anything */
    if (getrandom(random.bytes, sizeof random.bytes, 0) != (ssize_t)sizeof random.bytes) {
        return ST_IO;
    }
    memcpy(ret_key, prefix.ptr, prefix.len);
    digest_write_base64(&random, ret_key + prefix.len);
    digest_wipe(&random, sizeof random);
    return ST_OK;
}

enum status api_key_decode(struct key_reader *reader, const struct yaml_node *node, void *field)
{
    struct api_key_digest *key = field;
    key->is_set = node->kind == YAML_SCALAR && digest_parse(node->text, &key->digest) == ST_OK;
    if (key->is_set) {
        return ST_OK;
    }
    bool is_key = node->kind == YAML_SCALAR && str_starts_with(node->text, STR("sk-"));
    diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
              is_key
                  ? "this is a key itself, of which only the digest may stand here; make a new "
                    "one with `expertd keys new`"
                  : "a key is given as \"sha256:\" and 64 hexadecimal digits; `expertd keys new` "
                    "makes one");
    return ST_OK;
}

struct str api_key_of(struct str authorization, struct str x_api_key, struct str api_key)
{
    static const struct str scheme = STR_INIT("bearer ");

    if (authorization.len > 0) {
        return str_starts_with_nocase(authorization, scheme)
                   ? str_trim(str_slice(authorization, scheme.len, authorization.len))
                   : STR("");
    }
    return str_trim(x_api_key.len > 0 ? x_api_key : api_key);
}

bool api_key_fits(struct str key, const struct api_key_digest *digest)
{
    struct digest d;
    digest_of(key, &d);
    return digest->is_set && digest_eq(&d, &digest->digest);
}
