/* See redaction.h. Values stay in the exchange's vault; what is shown are names and counts. */
#include "gateway/redaction.h"

#include <inttypes.h>

#include "base/json_write.h"
#include "base/log.h"
#include "gateway/access_log.h"
#include "gateway/exchange.h"
#include "gateway/redact_body.h"
#include "gateway/worker.h"

static const struct privacy *privacy_of(const struct exchange *x)
{
    return &x->snapshot->conf.privacy;
}

static struct redact_vault *create_vault(struct exchange *x)
{
    const struct privacy *privacy = privacy_of(x);
    return redact_vault_create(privacy->labels, REDACT_KINDS + privacy->compiled_count, x->arena);
}

/* The category that the prompt was found to have; "" where nobody looked. */
static struct str category_of(const struct exchange *x)
{
    return x->decision.category == NULL ? STR("") : x->decision.category_name;
}

void redaction_forget(struct exchange *x)
{
    if (x->leg.restore != NULL) {
        restore_fini(x->leg.restore);
        x->leg.restore = NULL;
    }
    redact_vault_destroy(x->leg.vault);
    x->leg.vault = NULL;
}

enum status redaction_apply(struct exchange *x, struct str *body)
{
    struct privacy_facts facts = {category_of(x), x->tenant == NULL ? STR("") : x->tenant->name,
                                  expert_is_local(x->leg.expert)};
    struct privacy_set set;
    redaction_forget(x);
    if (privacy_of(x)->redact.count == 0 || !privacy_ask(privacy_of(x), &facts, &set)) {
        return ST_OK;
    }
    set.is_embedding = prompt_is_embedding(&x->chat.prompt);
    x->leg.vault = create_vault(x);
    if (x->leg.vault == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = redact_body(&set, x->leg.vault, *body, x->arena, body);
    if (st != ST_OK || redact_vault_is_empty(x->leg.vault) || set.is_embedding) {
        return st; /* in vectors there is nothing to restore */
    }
    x->leg.restore = arena_alloc(x->arena, sizeof *x->leg.restore);
    if (x->leg.restore == NULL) {
        return ST_NO_MEMORY;
    }
    restore_init(x->leg.restore, x->leg.vault);
    return ST_OK;
}

/* The name of a kind or pattern, as the configuration has it, in small letters. */
static enum status write_name(const struct exchange *x, unsigned label, struct buf *out)
{
    struct str text = privacy_of(x)->labels[label];
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < text.len; i++) {
        char c = text.ptr[i];
        st = buf_append_char(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
    return st;
}

/* Each label with its count; between two of them `comma`, around the name `quote`. */
static enum status write_counts(const struct exchange *x, const char *comma, const char *quote,
                                struct buf *out)
{
    enum status st = ST_OK;
    bool is_first = true;
    size_t labels = REDACT_KINDS + privacy_of(x)->compiled_count;
    for (unsigned i = 0; st == ST_OK && i < labels; i++) {
        size_t count = redact_vault_count(x->leg.vault, i);
        if (count == 0) {
            continue;
        }
        st = buf_append(out, is_first ? STR("") : str_from(comma));
        is_first = false;
        if (st == ST_OK) {
            st = buf_append(out, str_from(quote));
        }
        if (st == ST_OK) {
            st = write_name(x, i, out);
        }
        if (st == ST_OK) {
            st = buf_printf(out, "%s%c%zu", quote, quote[0] == '\0' ? '=' : ':', count);
        }
    }
    return st;
}

const char *redaction_counts(struct exchange *x)
{
    enum {
        COUNTS_MAX = 2048
    };

    struct buf text;
    const char *counts = NULL;
    if (x->leg.vault == NULL || redact_vault_is_empty(x->leg.vault)) {
        return NULL;
    }
    buf_init(&text, COUNTS_MAX);
    if (write_counts(x, ", ", "", &text) == ST_OK) {
        counts = arena_copy_z(x->arena, buf_str(&text));
    }
    buf_fini(&text);
    return counts;
}

enum status redaction_explain(struct exchange *x, struct buf *out)
{
    struct str body = x->chat.body;
    if (privacy_of(x)->redact.count == 0 || x->decision.plan.count == 0) {
        return ST_OK;
    }
    x->leg.expert = x->decision.plan.experts[0];
    enum status st = redaction_apply(x, &body);
    x->leg.expert = NULL; /* nobody is asked */
    if (st == ST_TOO_BIG || st == ST_INVALID) {
        return buf_append(out, STR(",\"redacted\":null"));
    }
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"redacted\":{"));
    }
    if (st == ST_OK && x->leg.vault != NULL) {
        st = write_counts(x, ",", "\"", out);
    }
    redaction_forget(x);
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

/* ---------------------------------------------------------------- log */

/* The body with every kind of private data replaced, whatever the rules say. */
static enum status redact_all(struct exchange *x, struct str *body)
{
    struct privacy_set set;
    privacy_ask_all(privacy_of(x), &set);
    set.is_embedding = prompt_is_embedding(&x->chat.prompt);
    struct redact_vault *vault = create_vault(x);
    enum status st = vault == NULL ? ST_NO_MEMORY : redact_body(&set, vault, *body, x->arena, body);
    redact_vault_destroy(vault);
    return st;
}

/* One line: line ends between the tokens become blanks. */
static enum status write_line(const struct exchange *x, struct str body, struct buf *line)
{
    char when[CLOCK_TEXT_SIZE];
    clock_wall_text(when);
    enum status st = buf_printf(line,
                                "{\"time\":\"%s\",\"request_id\":\"%s\",\"attempt\":%zu,"
                                "\"expert\":",
                                when, x->id, x->attempts);
    if (st == ST_OK) {
        st = json_write_text(line, x->leg.expert->id.name);
    }
    if (st == ST_OK) {
        st = buf_append(line, STR(",\"request\":"));
    }
    while (st == ST_OK && body.len > 0) {
        size_t end = 0;
        while (end < body.len && body.ptr[end] != '\n' && body.ptr[end] != '\r') {
            end++;
        }
        st = buf_append(line, str_slice(body, 0, end));
        if (st == ST_OK && end < body.len) {
            st = buf_append_char(line, ' ');
        }
        body = str_slice(body, end + 1, body.len);
    }
    return st == ST_OK ? buf_append(line, STR("}\n")) : st;
}

void redaction_log(struct exchange *x, struct str body)
{
    struct buf line;
    if (x->worker->prompt_log == NULL) {
        return;
    }
    buf_init(&line, 2 * body.len + 65536);
    enum status st = privacy_of(x)->prompt_log.redacted ? redact_all(x, &body) : ST_OK;
    if (st == ST_OK) {
        st = write_line(x, body, &line);
    }
    if (st == ST_OK) {
        access_log_post(x->worker->prompt_log, &line);
    } else {
        log_write(LOG_WARN, "redaction", "%s is not in the log of prompts: %s", x->id,
                  status_text(st));
    }
    buf_fini(&line);
}
