/* Questions to a ready tree, see yaml.h. */
#include <string.h>

#include "base/utf8.h"
#include "base/yaml.h"

const struct yaml_node *yaml_get(const struct yaml_node *node, struct str key)
{
    if (node == NULL || node->kind != YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (str_eq(node->keys[i]->text, key)) {
            return node->items[i];
        }
    }
    return NULL;
}

/* A text that came from the environment is null only when it is empty: a password "null" is a
 * password. */
bool yaml_is_null(const struct yaml_node *node)
{
    if (node->kind != YAML_SCALAR || node->is_quoted) {
        return false;
    }
    return node->text.len == 0 || (!node->is_from_env && (str_eq(node->text, STR("~")) ||
                                                          str_eq(node->text, STR("null"))));
}

struct yaml_shown yaml_shown(struct str text)
{
    static const char cut[] = "...";
    struct yaml_shown shown;
    size_t room = sizeof shown.text - sizeof cut;
    struct str kept = utf8_truncate(text, room);
    for (size_t i = 0; i < kept.len; i++) {
        unsigned char c = (unsigned char)kept.ptr[i];
        shown.text[i] = c < 0x20 || c == 0x7F ? '?' : kept.ptr[i];
    }
    memcpy(shown.text + kept.len, kept.len < text.len ? cut : "", kept.len < text.len ? 4 : 1);
    return shown;
}
