/* See kernel_options.h. */
#include "backends/kernel_options.h"

#include "base/json_scan.h"
#include "base/json_write.h"

struct level { /* of the walk: what is left of a mapping or sequence */
    const struct yaml_node *node;
    size_t at;
};

static bool is_bare(const struct yaml_node *node)
{
    struct json_reader r;
    if (node->is_quoted) {
        return false;
    }
    json_reader_init(&r, node->text);
    enum json_type type = json_peek(&r);
    return (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE) &&
           json_take(&r, NULL) && json_close(&r) == ST_OK;
}

static enum status write_scalar(const struct yaml_node *node, struct buf *out)
{
    if (yaml_is_null(node)) {
        return buf_append(out, STR("null"));
    }
    return is_bare(node) ? buf_append(out, str_trim(node->text)) : json_write_text(out, node->text);
}

/* What stands before the item at `level->at`: a comma, a key. */
static enum status write_lead(const struct level *level, struct buf *out)
{
    enum status st = level->at > 0 ? buf_append_char(out, ',') : ST_OK;
    if (st == ST_OK && level->node->kind == YAML_MAPPING) {
        st = json_write_text(out, level->node->keys[level->at]->text);
        st = st == ST_OK ? buf_append_char(out, ':') : st;
    }
    return st;
}

enum status kernel_options_write(const struct yaml_node *node, struct buf *out)
{
    static const char opens[] = {[YAML_SEQUENCE] = '[', [YAML_MAPPING] = '{'};
    static const char closes[] = {[YAML_SEQUENCE] = ']', [YAML_MAPPING] = '}'};
    struct level levels[YAML_DEPTH_MAX + 1];
    size_t depth = 0;
    enum status st = ST_OK;
    if (node == NULL) {
        return buf_append(out, STR("{}"));
    }
    while (st == ST_OK) {
        if (node == NULL) { /* go on in the innermost container */
            struct level *level = &levels[depth - 1];
            if (level->at < level->node->count) {
                st = write_lead(level, out);
                node = level->node->items[level->at++];
                continue;
            }
            st = buf_append_char(out, closes[level->node->kind]);
            depth--;
        } else if (node->kind == YAML_SCALAR) {
            st = write_scalar(node, out);
            node = NULL;
        } else {
            if (depth == sizeof levels / sizeof levels[0]) {
                return ST_TOO_BIG;
            }
            st = buf_append_char(out, opens[node->kind]);
            levels[depth++] = (struct level){node, 0};
            node = NULL;
        }
        if (node == NULL && depth == 0) {
            break;
        }
    }
    return st;
}

const struct yaml_node *kernel_options_find(const struct yaml_node *root, struct str path)
{
    const struct yaml_node *node = root;
    while (node != NULL && path.len > 0) {
        const struct yaml_node *next = NULL;
        if (path.ptr[0] == '[') {
            size_t end = str_find_char(path, ']');
            int64_t index = -1;
            if (str_to_int(str_slice(path, 1, end - 1), &index) == ST_OK && index >= 0 &&
                node->kind == YAML_SEQUENCE && (size_t)index < node->count) {
                next = node->items[index];
            }
            path = str_slice(path, end + 1, path.len);
        } else {
            path = path.ptr[0] == '.' ? str_slice(path, 1, path.len) : path;
            size_t end = 0;
            while (end < path.len && path.ptr[end] != '.' && path.ptr[end] != '[') {
                end++;
            }
            next = yaml_get(node, str_slice(path, 0, end));
            path = end == 0 ? STR("") : str_slice(path, end, path.len);
        }
        if (next == NULL) {
            break;
        }
        node = next;
    }
    return node;
}
