/* What operators see of managed processes: a document and counters. Names come from the configuration. */
#include <inttypes.h>
#include <string.h>

#include "backends/managed_private.h"
#include "base/json_write.h"

enum {
    WORDS_BYTES = 2048, /* of a child's last output, in the document */
};

/* The end of the ring, from a whole line on; what is no UTF-8 is the writer's to escape. */
static struct str tail(const struct managed *m, char text[WORDS_BYTES])
{
    size_t kept = m->log_len < WORDS_BYTES ? m->log_len : WORDS_BYTES;
    for (size_t i = 0; i < kept; i++) {
        text[i] = m->log[(m->log_len - kept + i) % MANAGED_LOG_BYTES];
    }
    struct str s = {text, kept};
    if (m->log_len > kept) {
        size_t line = str_find_char(s, '\n');
        s = line < s.len ? str_slice(s, line + 1, s.len) : s;
    }
    for (size_t i = 0; i < kept; i++) { /* other programs' bytes: only what is surely text */
        unsigned char c = (unsigned char)text[i];
        text[i] = c >= 0x80 || (c < 0x20 && c != '\n' && c != '\t') ? '?' : text[i];
    }
    return s;
}

static enum status write_one(const struct managed *m, int64_t now_ms, struct buf *out)
{
    const struct resident *e = &m->resident;
    char words[WORDS_BYTES];
    enum status st = buf_append(out, STR("{\"expert\":"));
    if (st == ST_OK) {
        st = json_write_text(out, m->name);
    }
    if (st == ST_OK) {
        st = buf_printf(out,
                        ",\"state\":\"%s\",\"since_ms\":%" PRId64 ",\"pid\":%d,\"busy\":%zu,"
                        "\"waiting\":%zu,\"memory_declared\":%" PRId64
                        ",\"memory_measured\":%" PRId64 ",\"load_ms\":%" PRId64
                        ",\"starts\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"evictions\":%" PRIu64
                        ",\"expiries\":%" PRIu64 ",\"retry_ms\":%" PRId64 ",\"pinned\":%s,"
                        "\"retired\":%s,\"reason\":",
                        residency_state_text(e->state), now_ms - e->since_ms, (int)m->child.pid,
                        e->busy, e->waiting, e->rule.bytes, e->measured_bytes, e->load_ms,
                        m->starts, m->failures, m->evictions, m->expiries,
                        e->state == RESIDENCY_FAILED && e->retry_ms > now_ms ? e->retry_ms - now_ms
                                                                             : 0,
                        e->rule.is_pinned ? "true" : "false", m->is_retired ? "true" : "false");
    }
    if (st == ST_OK) {
        st = json_write_text(out, str_from(m->reason));
    }
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"output\":"));
    }
    if (st == ST_OK) {
        st = json_write_text(out, tail(m, words));
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

enum status managed_set_write_json(struct managed_set *set, struct buf *out)
{
    enum status st = buf_append_char(out, '[');
    managed_lock(set);
    int64_t now_ms = managed_now_ms(set);
    for (const struct managed *m = set->list; st == ST_OK && m != NULL; m = m->next) {
        st = m == set->list ? ST_OK : buf_append_char(out, ',');
        st = st == ST_OK ? write_one(m, now_ms, out) : st;
    }
    managed_unlock(set);
    return st == ST_OK ? buf_append_char(out, ']') : st;
}

/* ---------------------------------------------------------------- metrics */

static int64_t get_ready(const struct managed *m)
{
    return m->resident.state == RESIDENCY_READY;
}

static int64_t get_busy(const struct managed *m)
{
    return (int64_t)m->resident.busy;
}

static int64_t get_waiting(const struct managed *m)
{
    return (int64_t)m->resident.waiting;
}

static int64_t get_bytes(const struct managed *m)
{
    return m->resident.measured_bytes;
}

static int64_t get_load(const struct managed *m)
{
    return m->resident.load_ms;
}

static int64_t get_starts(const struct managed *m)
{
    return (int64_t)m->starts;
}

static int64_t get_failures(const struct managed *m)
{
    return (int64_t)m->failures;
}

static int64_t get_evictions(const struct managed *m)
{
    return (int64_t)m->evictions;
}

static int64_t get_expiries(const struct managed *m)
{
    return (int64_t)m->expiries;
}

static int64_t get_prefetches(const struct managed *m)
{
    return (int64_t)m->prefetches;
}

static int64_t get_used(const struct managed *m)
{
    return (int64_t)m->prefetches_used;
}

static int64_t get_wasted(const struct managed *m)
{
    return (int64_t)m->prefetches_wasted;
}

static const struct {
    const char *name;
    const char *type;
    const char *sentence;
    int64_t (*get)(const struct managed *m);
} metrics[] = {
    {"expertd_managed_ready", "gauge", "1 while the expert's process can serve.", get_ready},
    {"expertd_managed_busy", "gauge", "Requests that run in the process.", get_busy},
    {"expertd_managed_waiting", "gauge", "Requests that wait for the process.", get_waiting},
    {"expertd_managed_memory_bytes", "gauge", "The most memory it was seen to take.", get_bytes},
    {"expertd_managed_load_ms", "gauge", "How long a load takes.", get_load},
    {"expertd_managed_starts_total", "counter", "Starts of the process.", get_starts},
    {"expertd_managed_failures_total", "counter", "Starts that failed, crashes, hangs.",
     get_failures},
    {"expertd_managed_evictions_total", "counter", "Stops for another expert.", get_evictions},
    {"expertd_managed_expiries_total", "counter", "Stops after ttl_s.", get_expiries},
    {"expertd_managed_prefetches_total", "counter", "Loads on a guess.", get_prefetches},
    {"expertd_managed_prefetches_used_total", "counter", "Those that were asked for.", get_used},
    {"expertd_managed_prefetches_wasted_total", "counter", "Those that went unasked.", get_wasted},
};

enum status managed_set_write_metrics(struct managed_set *set, struct buf *out)
{
    enum status st = ST_OK;
    managed_lock(set);
    for (size_t i = 0; st == ST_OK && set->list != NULL && i < sizeof metrics / sizeof metrics[0];
         i++) {
        st = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name, metrics[i].sentence,
                        metrics[i].name, metrics[i].type);
        for (const struct managed *m = set->list; st == ST_OK && m != NULL; m = m->next) {
            if (m->is_retired) {
                continue; /* its name may be in use again */
            }
            st = buf_printf(out, "%s{expert=\"", metrics[i].name);
            st = st == ST_OK ? json_write_escaped(out, m->name) : st;
            st = st == ST_OK ? buf_printf(out, "\"} %" PRId64 "\n", metrics[i].get(m)) : st;
        }
    }
    managed_unlock(set);
    return st;
}
