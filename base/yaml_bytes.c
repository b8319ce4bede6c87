/* See yaml_bytes.h. Nesting is not counted here: see yaml.c. */
#include "base/yaml_bytes.h"

#include "base/utf8.h"
#include "base/yaml.h"

/* Offset of a "%TAG" at the start of a line, or text.len. libyaml compares each such line with all
 * before it; they have no use where tags are refused. */
static size_t find_tag_directive(struct str text)
{
    struct str needle = STR("%TAG");
    size_t at = 0;
    while (at < text.len) {
        at += str_find(str_slice(text, at, SIZE_MAX), needle);
        if (at == 0 || (at < text.len && (text.ptr[at - 1] == '\n' || text.ptr[at - 1] == '\r'))) {
            return at;
        }
        at += at < text.len ? needle.len : 0;
    }
    return text.len;
}

enum status yaml_bytes_check(struct str text, struct str file, struct diags *diags)
{
    if (text.len > YAML_BYTES_MAX) {
        diags_add(diags, DIAG_ERROR, file, ((struct pos){0, 0}), "the file is larger than %d MiB",
                  YAML_BYTES_MAX / (1024 * 1024));
        return ST_INVALID;
    }
    if (str_starts_with(text, STR("\xFF\xFE")) || str_starts_with(text, STR("\xFE\xFF"))) {
        diags_add(diags, DIAG_ERROR, file, ((struct pos){1, 1}),
                  "the file is UTF-16; save it as UTF-8");
        return ST_INVALID;
    }
    size_t valid = utf8_valid_prefix(text);
    size_t nul = str_find_char(text, '\0');
    if (nul < valid) {
        diags_add(diags, DIAG_ERROR, file, yaml_bytes_pos(text, nul), "a NUL byte is not allowed");
        return ST_INVALID;
    }
    if (valid < text.len) {
        diags_add(diags, DIAG_ERROR, file, yaml_bytes_pos(text, valid),
                  "the byte 0x%02X here is not valid UTF-8",
                  (unsigned)(unsigned char)text.ptr[valid]);
        return ST_INVALID;
    }
    size_t directive = find_tag_directive(text);
    if (directive < text.len) {
        diags_add(diags, DIAG_ERROR, file, yaml_bytes_pos(text, directive),
                  "tags are not supported, nor is \"%%TAG\"");
        return ST_INVALID;
    }
    return ST_OK;
}

struct pos yaml_bytes_pos(struct str text, size_t offset)
{
    struct pos pos = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        bool is_crlf = text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';
        if (text.ptr[i] == '\n' || (text.ptr[i] == '\r' && !is_crlf)) {
            pos.line++;
            pos.column = 1;
        } else if (((unsigned char)text.ptr[i] & 0xC0U) != 0x80U) {
            pos.column++;
        }
    }
    return pos;
}
