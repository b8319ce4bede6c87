/* Keys that are revoked: their digests in the state file, whatever the configuration says. Read when a
 * configuration is loaded, so a SIGHUP takes effect; written by `expertd keys revoke`. Blocks on the
 * disk. */
#pragma once

#include <stdint.h>

#include "base/db.h"
#include "base/digest.h"
#include "gateway/tenants.h"

/* Revokes a key for good; twice is as once. The statuses of db_run. */
MUST_CHECK enum status revoked_add(struct db *db, const struct digest *digest, int64_t now_s);

/* Marks the keys of these tenants that are revoked, before they are shared. The statuses of db_end. */
MUST_CHECK enum status revoked_mark(struct db *db, struct tenants *tenants);
