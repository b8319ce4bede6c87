/* The reference YAML of a configuration from its tables, see keys.h. It can be loaded as it stands:
 * what has a default shows it, what is required shows its example, everything else is commented out,
 * with everything below it. Of mappings and lists it shows one element. */
#include <string.h>

#include "base/assert.h"
#include "base/keys_doc.h"
#include "base/keys_value.h"

enum {
    INDENT = 2,
    COMMENT_MAX = 100, /* columns; longer sentences are wrapped */
};

struct level { /* a table being printed */
    const struct keys *keys;
    size_t row;
    size_t indent;     /* columns before its keys, comment signs not counted */
    uint64_t comments; /* bit n: "# " at column n * INDENT comments out what is below */
};

struct printer {
    FILE *out;
    struct level levels[KEYS_DOC_DEPTH_MAX];
    size_t depth;
};

/* Starts a line: blanks up to `indent`, with "# " where a block around it is commented out. Whoever
 * removes one column of signs gets a whole block. */
static void start_line(const struct printer *p, size_t indent, uint64_t comments)
{
    for (size_t step = 0; step <= indent / INDENT; step++) {
        (void)fputs((comments >> step & 1U) != 0 ? "# " : "", p->out);
        (void)fputs(step < indent / INDENT ? "  " : "", p->out);
    }
}

/* One paragraph as "# " lines, wrapped at blanks. */
static void print_comment(const struct printer *p, const struct level *level, const char *text)
{
    struct str rest = str_from(text);
    while (rest.len > 0) {
        size_t room = COMMENT_MAX - 2 - level->indent;
        size_t cut = rest.len;
        if (rest.len > room) {
            cut = room;
            while (cut > 0 && rest.ptr[cut] != ' ') {
                cut--;
            }
            cut = cut > 0 ? cut : rest.len; /* one long word */
        }
        start_line(p, level->indent, level->comments);
        (void)fprintf(p->out, "# %.*s\n", (int)cut, rest.ptr);
        rest = str_trim(str_slice(rest, cut, SIZE_MAX));
    }
}

static void print_sentence(const struct printer *p, const struct level *level,
                           const struct key *key)
{
    struct keys_words words = {.len = 0};
    if (!keys_doc_has_block(key)) {
        keys_value_words(key, &words);
    }
    const char *required = key->is_required ? "required" : "";
    const char *glue = words.len > 0 && key->is_required ? "; " : "";
    char text[2 * KEYS_WORDS_SIZE];
    if (words.len > 0 || key->is_required) {
        (void)snprintf(text, sizeof text, "%s (%s%s%s)", key->sentence, words.text, glue, required);
    } else {
        (void)snprintf(text, sizeof text, "%s", key->sentence);
    }
    print_comment(p, level, text);
}

/* A value that is shown where there is neither default nor example. */
static const char *stand_in(const struct key *key)
{
    switch (key->type) {
    case KEY_INT:
    case KEY_REAL:
    case KEY_BYTES:
    case KEY_PRICE:
        return "0";
    case KEY_BOOL:
        return "false";
    case KEY_CHOICE:
        return key->choices[0];
    case KEY_TEXT_LIST:
    case KEY_LIST:
        return "[]";
    case KEY_BLOCK:
    case KEY_MAP:
        return "{}";
    case KEY_CUSTOM:
        return keys_doc_is_list(key) ? "[]" : "{}";
    case KEY_TEXT:
    case KEY_SECRET:
    case KEY_PATH:
        return "\"\"";
    }
    return "\"\"";
}

/* The value behind "key:"; one of several lines goes below, each behind the comment sign. */
static void print_value(const struct printer *p, const struct level *level, const char *value)
{
    struct str rest = str_from(value);
    if (str_find_char(rest, '\n') == rest.len) {
        (void)fprintf(p->out, "%s%s\n", rest.len > 0 ? " " : "", value);
        return;
    }
    (void)fputc('\n', p->out);
    struct str line = STR("");
    while (str_split(rest, '\n', &line, &rest)) {
        start_line(p, level->indent + INDENT, level->comments);
        (void)fprintf(p->out, "%.*s\n", STR_ARG(line));
    }
}

static bool has_required(const struct keys *keys)
{
    struct keys_doc_tree tree;
    keys_doc_walk(keys, &tree);
    for (size_t i = 0; i < tree.count; i++) {
        const struct keys_doc_place *place = &tree.places[i];
        bool is_always_there = place->via == NULL || place->via->type == KEY_BLOCK;
        for (size_t row = 0; is_always_there && row < place->keys->count; row++) {
            if (place->keys->rows[row].is_required) {
                return true;
            }
        }
    }
    return false;
}

/* A key is shown as it takes effect if it must be there or has a default; a block if it can be
 * given without anything. */
static bool is_live(const struct key *key)
{
    if (key->is_required || key->fallback != NULL) {
        return true;
    }
    return key->type == KEY_BLOCK && !has_required(key->block);
}

static bool is_open(const struct printer *p, const struct keys *keys)
{
    for (size_t i = 0; i < p->depth; i++) {
        if (p->levels[i].keys == keys) {
            return true;
        }
    }
    return false;
}

/* Opens the table below a key: directly, below an example's name, or below a list's dash. */
static void open_block(struct printer *p, const struct level *level, const struct key *key)
{
    size_t indent = level->indent + INDENT;
    (void)fputc('\n', p->out);
    if (key->type == KEY_MAP) {
        start_line(p, indent, level->comments);
        (void)fprintf(p->out, "%s:\n", key->example != NULL ? key->example : "NAME");
        indent += INDENT;
    } else if (keys_doc_is_list(key)) {
        start_line(p, indent, level->comments);
        (void)fputs("-\n", p->out);
        indent += INDENT;
    }
    ASSERT(p->depth < KEYS_DOC_DEPTH_MAX);
    p->levels[p->depth] =
        (struct level){.keys = key->block, .row = 0, .indent = indent, .comments = level->comments};
    p->depth++;
}

static void print_key(struct printer *p, struct level level, const struct key *key)
{
    print_sentence(p, &level, key);
    if (!is_live(key)) {
        level.comments |= 1ULL << (level.indent / INDENT);
    }
    start_line(p, level.indent, level.comments);
    (void)fprintf(p->out, "%s:", key->name);
    bool is_element = key->type == KEY_MAP || key->type == KEY_LIST || key->type == KEY_BLOCK;
    if (is_element && key->fallback == NULL && !is_open(p, key->block)) {
        open_block(p, &level, key);
        return;
    }
    const char *shown = key->fallback != NULL ? key->fallback : key->example;
    print_value(p, &level, shown != NULL ? shown : stand_in(key));
}

void keys_print_reference(const struct keys *keys, FILE *out)
{
    struct printer p = {.out = out, .depth = 1};
    p.levels[0] = (struct level){.keys = keys};
    if (keys->sentence != NULL) {
        print_comment(&p, &p.levels[0], keys->sentence);
        (void)fputc('\n', out);
    }
    while (p.depth > 0) {
        struct level *top = &p.levels[p.depth - 1];
        if (top->row == top->keys->count) {
            p.depth--;
            continue;
        }
        const struct key *key = &top->keys->rows[top->row];
        top->row++;
        if (p.depth == 1 && top->row > 1) {
            (void)fputc('\n', out);
        }
        print_key(&p, *top, key);
    }
}
