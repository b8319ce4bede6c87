/* See state_schema.h. No table holds the text of a prompt or of an answer. */
#include "gateway/state_schema.h"

const char *const state_schema[STATE_SCHEMA_VERSION] = {
    /* 1: feedback; the online router's delta (one row) and replay reservoir */
    "CREATE TABLE feedback ("
    "  request_id TEXT PRIMARY KEY," /* one row per request: the last word counts */
    "  created_s INTEGER NOT NULL,"  /* seconds since 1970 */
    "  category TEXT,"               /* where it should have gone */
    "  rating TEXT,"                 /* good, bad */
    "  expert TEXT,"                 /* who should have answered */
    "  scores TEXT,"                 /* JSON: {\"expert\": 0 or 1} */
    "  routed_category TEXT,"        /* what the gateway had decided */
    "  routed_expert TEXT,"
    "  confidence REAL,"
    "  scheme INTEGER NOT NULL," /* of the features: FEATURES_SCHEME */
    "  features BLOB NOT NULL"   /* u32 hashes, little-endian */
    ") WITHOUT ROWID;"
    "CREATE INDEX feedback_created ON feedback (created_s);"
    "CREATE TABLE online ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  epoch INTEGER NOT NULL,"   /* a rollback raises it: older deltas are void */
    "  weights INTEGER NOT NULL," /* checksum of the weights it corrects */
    "  delta BLOB NOT NULL"
    ");"
    "INSERT INTO online VALUES (1, 1, 0, x'');"
    "CREATE TABLE replay ("
    "  slot INTEGER PRIMARY KEY,"
    "  entry BLOB NOT NULL"
    ");",
};
