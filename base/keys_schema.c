/* The JSON Schema (2020-12) of a configuration from its tables, see keys.h. Each table is one object
 * in $defs and is referred to wherever it appears. Numbers and words may also be a reference to the
 * environment, as the decoder has it; that a null stands for an absent key is not said. */
#include <ctype.h>
#include <string.h>

#include "base/keys_doc.h"

static const char environment[] = "{\"$ref\": \"#/$defs/from_environment\"}";

struct printer {
    struct keys_doc_tree tree;
    FILE *out;
    const char *margin; /* blanks before the lines of an object's members */
};

static void print(const struct printer *p, const char *text)
{
    (void)fputs(text, p->out);
}

/* A JSON string. */
static void print_text(const struct printer *p, const char *text)
{
    (void)fputc('"', p->out);
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20) {
            (void)fprintf(p->out, "\\u%04x", (unsigned)(unsigned char)*c);
            continue;
        }
        if (*c == '"' || *c == '\\') {
            (void)fputc('\\', p->out);
        }
        (void)fputc(*c, p->out);
    }
    (void)fputc('"', p->out);
}

/* Number of different tables of the same name before the place. */
static size_t namesakes_before(const struct keys_doc_tree *tree, size_t index)
{
    size_t n = 0;
    for (size_t i = 1; i < index; i++) {
        bool is_namesake = strcmp(tree->places[i].keys->name, tree->places[index].keys->name) == 0;
        n += is_namesake && keys_doc_is_first(tree, i) &&
             tree->places[i].keys != tree->places[index].keys;
    }
    return n;
}

/* The table's name in $defs: its own, with a number where several have the same. */
static void print_def_name(const struct printer *p, size_t first)
{
    for (const char *c = p->tree.places[first].keys->name; *c != '\0'; c++) {
        (void)fputc(isalnum((unsigned char)*c) != 0 ? *c : '_', p->out);
    }
    size_t n = namesakes_before(&p->tree, first);
    if (n > 0) {
        (void)fprintf(p->out, "_%zu", n + 1);
    }
}

static void print_ref(const struct printer *p, const struct keys *keys)
{
    size_t first = 0;
    while (p->tree.places[first].keys != keys) {
        first++;
    }
    print(p, "\"$ref\": \"#");
    if (first > 0) {
        print(p, "/$defs/");
        print_def_name(p, first);
    }
    print(p, "\"");
}

static void print_range(const struct printer *p, const struct key *key)
{
    bool has_min = key->min < 0.0 || key->min > 0.0 || key->max < 0.0 || key->max > 0.0;
    if (has_min) {
        (void)fprintf(p->out, ", \"minimum\": %.15g", key->min);
    }
    if (has_min && key->max >= key->min) {
        (void)fprintf(p->out, ", \"maximum\": %.15g", key->max);
    }
    if (key->type == KEY_PRICE && !has_min) {
        print(p, ", \"minimum\": 0, \"maximum\": 1000000");
    }
    if (key->type == KEY_BYTES && !has_min) {
        print(p, ", \"minimum\": 0");
    }
}

static void print_number(const struct printer *p, const struct key *key)
{
    bool is_whole = key->type == KEY_INT || key->type == KEY_BYTES;
    (void)fprintf(p->out, "\"anyOf\": [{\"type\": \"%s\"", is_whole ? "integer" : "number");
    print_range(p, key);
    print(p, "}, ");
    if (key->type == KEY_BYTES) {
        print(p, "{\"type\": \"string\", "
                 "\"pattern\": \"^(0|[1-9][0-9]*) ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$\"}, ");
    }
    (void)fprintf(p->out, "%s]", environment);
}

static void print_choices(const struct printer *p, const struct key *key)
{
    print(p, "\"anyOf\": [{\"enum\": [");
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        print(p, i == 0 ? "" : ", ");
        print_text(p, key->choices[i]);
    }
    (void)fprintf(p->out, "]}, %s]", environment);
}

static void print_custom(const struct printer *p, const struct key *key)
{
    if (keys_doc_has_block(key) && keys_doc_is_list(key)) {
        /* Decoders of lists take a text for what it says alone. */
        print(p, "\"type\": \"array\", \"items\": {\"anyOf\": [{\"type\": \"string\"}, {");
        print_ref(p, key->block);
        print(p, "}]}");
    } else if (keys_doc_has_block(key)) {
        print_ref(p, key->block);
    } else if (key->custom_type != NULL) {
        print(p, "\"type\": ");
        print_text(p, key->custom_type);
    } else {
        print(p, "\"$comment\": \"any value\"");
    }
}

static void print_type(const struct printer *p, const struct key *key)
{
    switch (key->type) {
    case KEY_TEXT:
    case KEY_SECRET:
    case KEY_PATH:
        print(p, "\"type\": \"string\"");
        break;
    case KEY_INT:
    case KEY_REAL:
    case KEY_BYTES:
    case KEY_PRICE:
        print_number(p, key);
        break;
    case KEY_BOOL:
        (void)fprintf(p->out, "\"anyOf\": [{\"type\": \"boolean\"}, %s]", environment);
        break;
    case KEY_CHOICE:
        print_choices(p, key);
        break;
    case KEY_TEXT_LIST:
        print(p, "\"anyOf\": [{\"type\": \"array\", \"items\": {\"type\": \"string\"}}, "
                 "{\"type\": \"string\"}]");
        break;
    case KEY_BLOCK:
        print_ref(p, key->block);
        break;
    case KEY_MAP:
        print(p, "\"type\": \"object\", \"additionalProperties\": false, "
                 "\"patternProperties\": {\"^[A-Za-z0-9._/-]{1,128}$\": {");
        print_ref(p, key->block);
        print(p, "}}");
        break;
    case KEY_LIST:
        print(p, "\"type\": \"array\", \"items\": {");
        print_ref(p, key->block);
        print(p, "}");
        break;
    case KEY_CUSTOM:
        print_custom(p, key);
        break;
    }
}

/* The default as a JSON value, where its YAML text is one or is plain text; else it stands in the
 * description only. */
static void print_default(const struct printer *p, const struct key *key)
{
    if (key->fallback == NULL || strpbrk(key->fallback, "\"'[]{}$&*!|>%@`#~\n\\") != NULL ||
        strstr(key->fallback, ": ") != NULL) {
        return;
    }
    bool is_digits = strspn(key->fallback, "0123456789") == strlen(key->fallback);
    bool is_json = key->type == KEY_INT || key->type == KEY_REAL || key->type == KEY_BOOL ||
                   key->type == KEY_PRICE || (key->type == KEY_BYTES && is_digits);
    bool is_text = key->type == KEY_TEXT || key->type == KEY_PATH || key->type == KEY_BYTES ||
                   key->type == KEY_CHOICE;
    if (is_json) {
        (void)fprintf(p->out, ", \"default\": %s", key->fallback);
    } else if (is_text) {
        print(p, ", \"default\": ");
        print_text(p, key->fallback);
    }
}

static void print_property(const struct printer *p, const struct key *key)
{
    char description[1024];
    (void)snprintf(description, sizeof description, "%s%s%s%s%s", key->sentence,
                   key->unit != NULL ? "; unit: " : "", key->unit != NULL ? key->unit : "",
                   key->fallback != NULL ? "; default: " : "",
                   key->fallback != NULL ? key->fallback : "");
    print_text(p, key->name);
    print(p, ": {\"description\": ");
    print_text(p, description);
    print(p, ", ");
    print_type(p, key);
    print_default(p, key);
    print(p, "}");
}

/* The members of a table's object, without its braces. */
static void print_members(const struct printer *p, const struct keys *keys)
{
    if (keys->sentence != NULL) {
        (void)fprintf(p->out, "%s\"description\": ", p->margin);
        print_text(p, keys->sentence);
        print(p, ",\n");
    }
    (void)fprintf(p->out, "%s\"type\": \"object\",\n%s\"additionalProperties\": false,\n",
                  p->margin, p->margin);
    const char *before = "\"required\": [";
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->rows[i].is_required) {
            (void)fprintf(p->out, "%s%s", before[0] == '"' ? p->margin : "", before);
            print_text(p, keys->rows[i].name);
            before = ", ";
        }
    }
    print(p, before[0] == '"' ? "" : "],\n");
    (void)fprintf(p->out, "%s\"properties\": {", p->margin);
    for (size_t i = 0; i < keys->count; i++) {
        (void)fprintf(p->out, "%s\n%s  ", i == 0 ? "" : ",", p->margin);
        print_property(p, &keys->rows[i]);
    }
    (void)fprintf(p->out, "\n%s}", p->margin);
}

void keys_print_schema(const struct keys *keys, FILE *out)
{
    struct printer p = {.out = out, .margin = "  "};
    keys_doc_walk(keys, &p.tree);
    print(&p, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": ");
    print_text(&p, keys->name);
    print(&p, ",\n");
    print_members(&p, keys);

    print(&p, ",\n  \"$defs\": {\n    \"from_environment\": {\"type\": \"string\", "
              "\"pattern\": \"[$][{][A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?[}]\"}");
    p.margin = "      ";
    for (size_t i = 1; i < p.tree.count; i++) {
        const struct keys *table = p.tree.places[i].keys;
        if (table == keys || !keys_doc_is_first(&p.tree, i)) {
            continue;
        }
        print(&p, ",\n    \"");
        print_def_name(&p, i);
        print(&p, "\": {\n");
        print_members(&p, table);
        print(&p, "\n    }");
    }
    print(&p, "\n  }\n}\n");
}
