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
    /* 2: the ledger: a row per attempt, and its sums by hour, which budgets and reports read */
    "CREATE TABLE ledger ("
    "  id INTEGER PRIMARY KEY," /* counts from 1 without gaps: rows are never removed */
    "  request_id TEXT NOT NULL,"
    "  attempt INTEGER NOT NULL,"
    "  tenant TEXT NOT NULL," /* \"\": nobody in particular; so with the other names */
    "  key_id TEXT NOT NULL,"
    "  expert TEXT NOT NULL,"
    "  category TEXT NOT NULL,"
    "  prompt_tokens INTEGER NOT NULL,"
    "  cached_tokens INTEGER NOT NULL,"
    "  completion_tokens INTEGER NOT NULL,"
    "  reasoning_tokens INTEGER NOT NULL,"
    "  is_estimated INTEGER NOT NULL,"
    "  is_suspect INTEGER NOT NULL," /* the expert reported what cannot be */
    "  cost_nano_usd INTEGER,"       /* NULL: the expert has no price */
    "  outcome TEXT NOT NULL,"
    "  started_ms INTEGER NOT NULL," /* since 1970 */
    "  ended_ms INTEGER NOT NULL,"
    "  digest BLOB NOT NULL," /* SHA-256 over the digest before and this row */
    "  UNIQUE (request_id, attempt)"
    ");"
    "CREATE INDEX ledger_ended ON ledger (ended_ms);"
    "CREATE TABLE ledger_hours ("
    "  hour INTEGER NOT NULL," /* of ended_ms, since 1970 */
    "  tenant TEXT NOT NULL,"
    "  key_id TEXT NOT NULL,"
    "  expert TEXT NOT NULL,"
    "  category TEXT NOT NULL,"
    "  attempts INTEGER NOT NULL,"
    "  prompt_tokens INTEGER NOT NULL,"
    "  cached_tokens INTEGER NOT NULL,"
    "  completion_tokens INTEGER NOT NULL,"
    "  reasoning_tokens INTEGER NOT NULL,"
    "  cost_nano_usd INTEGER NOT NULL,"
    "  unpriced INTEGER NOT NULL," /* attempts without a cost */
    "  PRIMARY KEY (hour, tenant, key_id, expert, category)"
    ") WITHOUT ROWID;",
    /* 3: receipts of decisions; where chains begin that lost old rows */
    "CREATE TABLE receipts ("
    "  id INTEGER PRIMARY KEY," /* counts from 1 without gaps */
    "  request_id TEXT NOT NULL,"
    "  made_ms INTEGER NOT NULL," /* since 1970 */
    "  conf BLOB NOT NULL,"       /* SHA-256 of the configuration file */
    "  weights INTEGER NOT NULL," /* checksum of the classifier's weights; 0: none */
    "  features BLOB NOT NULL,"   /* SHA-256 of the prompt's features and signals */
    "  signals BLOB NOT NULL,"    /* router/signals.h; x'': not kept */
    "  decision TEXT NOT NULL,"   /* JSON: category, source, candidates with verdicts, plan */
    "  expert TEXT NOT NULL,"     /* who answered; \"\": nobody */
    "  outcome TEXT NOT NULL,"
    "  attempts INTEGER NOT NULL," /* rows of the ledger with this request_id */
    "  prompt_tokens INTEGER NOT NULL,"
    "  completion_tokens INTEGER NOT NULL,"
    "  cost_nano_usd INTEGER NOT NULL," /* -1: not known */
    "  digest BLOB NOT NULL"            /* SHA-256 over the digest before and this row */
    ");"
    "CREATE INDEX receipts_request ON receipts (request_id);"
    "CREATE TABLE chain_starts ("
    "  chain TEXT PRIMARY KEY,"
    "  id INTEGER NOT NULL,"      /* of the last row that was removed */
    "  digest BLOB NOT NULL,"     /* its digest: what the first row left is chained to */
    "  until_ms INTEGER NOT NULL" /* removed rows ended before; a whole hour */
    ") WITHOUT ROWID;",
    /* 4: keys that no longer work, whatever the configuration says */
    "CREATE TABLE revoked ("
    "  digest BLOB PRIMARY KEY," /* SHA-256 of the key */
    "  revoked_s INTEGER NOT NULL"
    ") WITHOUT ROWID;",
};
