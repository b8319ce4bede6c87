/* See redact_patterns.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "policies/redact_patterns.h"

#include <pcre2.h>
#include <stdio.h>

#include "base/mem.h"

enum {
    MATCH_LIMIT = 100000, /* backtracking steps, as of rules */
    DEPTH_LIMIT = 1000,
    HEAP_KIB = 1024,
    PATTERN_BYTES_MAX = 4096,
};

struct redact_pattern {
    pcre2_code *code;
};

struct redact_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

enum status redact_pattern_create(struct str text, char *why, struct redact_pattern **ret_pattern)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    uint32_t shortest = 0;
    if (text.len == 0 || text.len > PATTERN_BYTES_MAX) {
        (void)snprintf(why, REDACT_WHY_BYTES, "it must have 1 to %d bytes", PATTERN_BYTES_MAX);
        return ST_INVALID;
    }
    struct redact_pattern *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) {
        return ST_NO_MEMORY;
    }
    p->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len,
                            PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error,
                            &at, NULL);
    if (p->code == NULL) {
        PCRE2_UCHAR reason[120] = "";
        (void)pcre2_get_error_message(error, reason, sizeof reason);
        (void)snprintf(why, REDACT_WHY_BYTES, "at character %zu: %s", at + 1, (const char *)reason);
        mem_free(p);
        return ST_INVALID;
    }
    (void)pcre2_pattern_info(p->code, PCRE2_INFO_MINLENGTH, &shortest); /* cannot fail here */
    if (shortest == 0) {
        (void)snprintf(why, REDACT_WHY_BYTES, "it matches the empty text");
        redact_pattern_destroy(p);
        return ST_INVALID;
    }
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    *ret_pattern = p;
    return ST_OK;
}

void redact_pattern_destroy(struct redact_pattern *p)
{
    if (p != NULL) {
        pcre2_code_free(p->code);
        mem_free(p);
    }
}

struct redact_matcher *redact_matcher_create(void)
{
    struct redact_matcher *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    if (m->data == NULL || m->context == NULL) {
        redact_matcher_destroy(m);
        return NULL;
    }
    (void)pcre2_set_match_limit(m->context, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(m->context, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(m->context, HEAP_KIB);
    return m;
}

void redact_matcher_destroy(struct redact_matcher *m)
{
    if (m != NULL) {
        pcre2_match_data_free(m->data);
        pcre2_match_context_free(m->context);
        mem_free(m);
    }
}

enum status redact_matcher_find(struct redact_matcher *m, const struct redact_pattern *p,
                                struct str text, size_t from, struct redact_span *ret_span)
{
    if (from >= text.len) {
        return ST_NOT_FOUND;
    }
    int found = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, from, PCRE2_NOTEMPTY, m->data,
                            m->context);
    if (found == PCRE2_ERROR_NOMATCH) {
        return ST_NOT_FOUND;
    }
    if (found < 0) {
        return ST_TOO_BIG;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(m->data);
    /* \K and lookbehinds may move the start past the end or before `from`. */
    if (ends[1] <= ends[0] || ends[0] < from) {
        return ST_TOO_BIG;
    }
    ret_span->start = ends[0];
    ret_span->len = ends[1] - ends[0];
    return ST_OK;
}
