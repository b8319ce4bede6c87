/* docs/configuration.md from the tables, see keys.h; and the walk of keys_doc.h. */
#include "base/keys_doc.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/keys_value.h"

/* ---- the walk ---- */

bool keys_doc_has_block(const struct key *key)
{
    return key->block != NULL;
}

bool keys_doc_is_list(const struct key *key)
{
    return key->type == KEY_LIST || key->type == KEY_TEXT_LIST ||
           (key->type == KEY_CUSTOM && key->custom_type != NULL &&
            strcmp(key->custom_type, "array") == 0);
}

static bool is_inside_itself(const struct keys_doc_tree *tree, size_t index)
{
    const struct keys *keys = tree->places[index].keys;
    while (tree->places[index].via != NULL) {
        index = tree->places[index].parent;
        if (tree->places[index].keys == keys) {
            return true;
        }
    }
    return false;
}

void keys_doc_walk(const struct keys *keys, struct keys_doc_tree *ret_tree)
{
    struct cursor { /* a table being read */
        size_t place;
        size_t row;
    } open[KEYS_DOC_DEPTH_MAX];

    ret_tree->places[0] = (struct keys_doc_place){.keys = keys};
    ret_tree->count = 1;
    open[0] = (struct cursor){0, 0};
    size_t depth = 1;
    while (depth > 0) {
        struct cursor *top = &open[depth - 1];
        const struct keys *table = ret_tree->places[top->place].keys;
        if (top->row == table->count) {
            depth--;
            continue;
        }
        const struct key *key = &table->rows[top->row];
        top->row++;
        if (!keys_doc_has_block(key)) {
            continue;
        }
        ASSERT(ret_tree->count < KEYS_DOC_PLACES_MAX);
        size_t place = ret_tree->count;
        ret_tree->count++;
        ret_tree->places[place] = (struct keys_doc_place){
            .keys = key->block, .via = key, .parent = top->place, .depth = depth};
        if (!is_inside_itself(ret_tree, place)) {
            ASSERT(depth < KEYS_DOC_DEPTH_MAX);
            open[depth] = (struct cursor){.place = place, .row = 0};
            depth++;
        }
    }
}

bool keys_doc_is_first(const struct keys_doc_tree *tree, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (tree->places[i].keys == tree->places[index].keys) {
            return false;
        }
    }
    return true;
}

/* ---- Markdown ---- */

static size_t first_place_of(const struct keys_doc_tree *tree, const struct keys *keys)
{
    size_t i = 0;
    while (tree->places[i].keys != keys) {
        i++;
    }
    return i;
}

/* "experts.NAME.deadlines", "tenants[].budget"; the root has its table's name. */
static void path_of(const struct keys_doc_tree *tree, size_t index, struct keys_words *ret_path)
{
    size_t chain[KEYS_DOC_DEPTH_MAX + 1];
    size_t n = 0;
    for (size_t i = index; tree->places[i].via != NULL; i = tree->places[i].parent) {
        chain[n] = i;
        n++;
    }
    ret_path->len = 0;
    const char *root = n == 0 ? tree->places[0].keys->name : "";
    (void)snprintf(ret_path->text, sizeof ret_path->text, "%s", root);
    while (n > 0) {
        n--;
        const struct key *key = tree->places[chain[n]].via;
        const char *tail = key->type == KEY_MAP ? ".NAME" : keys_doc_is_list(key) ? "[]" : "";
        size_t len = strlen(ret_path->text);
        (void)snprintf(ret_path->text + len, sizeof ret_path->text - len, "%s%s%s",
                       len > 0 ? "." : "", key->name, tail);
    }
}

/* The anchor that GitHub and most others make of a heading. */
static void print_anchor(const char *heading, FILE *out)
{
    for (const char *c = heading; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) != 0 || *c == '_' || *c == '-') {
            (void)fputc(tolower((unsigned char)*c), out);
        } else if (*c == ' ') {
            (void)fputc('-', out);
        }
    }
}

/* Text inside a table's cell. */
static void print_cell(const char *text, FILE *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|') {
            (void)fputc('\\', out);
        }
        (void)fputc(*c == '\n' ? ' ' : *c, out);
    }
}

static void print_type(const struct keys_doc_tree *tree, const struct key *key, FILE *out)
{
    if (!keys_doc_has_block(key)) {
        struct keys_words words;
        keys_value_words(key, &words);
        print_cell(key->type == KEY_SECRET ? "text, kept secret" : words.text, out);
        return;
    }
    struct keys_words path;
    path_of(tree, first_place_of(tree, key->block), &path);
    const char *before = key->type == KEY_MAP    ? "mapping of NAME to "
                         : keys_doc_is_list(key) ? "list of "
                                                 : "";
    (void)fprintf(out, "%s[%s](#", before, key->block->name);
    print_anchor(path.text, out);
    (void)fputc(')', out);
}

static void print_default(const struct key *key, FILE *out)
{
    if (key->is_required) {
        (void)fputs("**required**", out);
    } else if (key->fallback != NULL) {
        (void)fputc('`', out);
        print_cell(key->fallback, out);
        (void)fputc('`', out);
    } else if (key->type == KEY_CHOICE) {
        (void)fprintf(out, "`%s`", key->choices[0]);
    } else if (key->type == KEY_BOOL) {
        (void)fputs("`false`", out);
    } else if (key->type == KEY_INT || key->type == KEY_REAL || key->type == KEY_BYTES ||
               key->type == KEY_PRICE) {
        (void)fputs("`0`", out);
    } else {
        (void)fputs(key->type == KEY_BLOCK ? "its defaults" : "none", out);
    }
}

static void print_row(const struct keys_doc_tree *tree, const struct key *key, FILE *out)
{
    (void)fprintf(out, "| `%s` | ", key->name);
    print_type(tree, key, out);
    (void)fputs(" | ", out);
    print_default(key, out);
    (void)fputs(" | ", out);
    print_cell(key->sentence, out);
    if (key->example != NULL && strchr(key->example, '\n') == NULL) {
        (void)fputs("; example: `", out);
        print_cell(key->example, out);
        (void)fputc('`', out);
    }
    (void)fputs(" |\n", out);
}

/* Other places of the table of a section. */
static void print_also(const struct keys_doc_tree *tree, size_t index, FILE *out)
{
    const char *before = "Also at ";
    for (size_t i = index + 1; i < tree->count; i++) {
        if (tree->places[i].keys == tree->places[index].keys) {
            struct keys_words path;
            path_of(tree, i, &path);
            (void)fprintf(out, "%s`%s`", before, path.text);
            before = ", ";
        }
    }
    if (strcmp(before, ", ") == 0) {
        (void)fputs(".\n\n", out);
    }
}

void keys_print_markdown(const struct keys *keys, FILE *out)
{
    struct keys_doc_tree tree;
    keys_doc_walk(keys, &tree);
    for (size_t i = 0; i < tree.count; i++) {
        if (!keys_doc_is_first(&tree, i)) {
            continue;
        }
        const struct keys *table = tree.places[i].keys;
        struct keys_words path;
        path_of(&tree, i, &path);
        (void)fprintf(out, "%s## %s\n\n", i == 0 ? "" : "\n", path.text);
        if (table->sentence != NULL) {
            bool is_ended = str_ends_with(str_from(table->sentence), STR("."));
            (void)fprintf(out, "%s%s\n\n", table->sentence, is_ended ? "" : ".");
        }
        print_also(&tree, i, out);
        if (table->count == 0) {
            continue;
        }
        (void)fputs("| key | type | default | meaning |\n| --- | --- | --- | --- |\n", out);
        for (size_t row = 0; row < table->count; row++) {
            print_row(&tree, &table->rows[row], out);
        }
    }
}
