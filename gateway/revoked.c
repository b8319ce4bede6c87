/* See revoked.h. */
#include "gateway/revoked.h"

enum status revoked_add(struct db *db, const struct digest *digest, int64_t now_s)
{
    struct db_query *q = db_query(db, "INSERT OR IGNORE INTO revoked VALUES (?1, ?2)");
    db_bind_blob(q, 1, digest->bytes, sizeof digest->bytes);
    db_bind_int(q, 2, now_s);
    return db_run(q, NULL);
}

enum status revoked_mark(struct db *db, struct tenants *tenants)
{
    struct db_query *q = db_query(db, "SELECT digest FROM revoked");
    while (db_next(q) == ST_OK) {
        struct tenant_key *key = tenants_key(tenants, db_blob(q, 0));
        if (key != NULL) {
            key->is_revoked = true;
        }
    }
    return db_end(q);
}
