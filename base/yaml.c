/* See yaml.h. A driver over libyaml's events: they build the tree with a stack of open collections,
 * no recursion. The stack is the ceiling on nesting: libyaml reads at most 1,024 bytes ahead of the
 * event that it hands out, so 100,000 opening brackets are refused after a millisecond, although
 * parsing them all takes it over 20 s.
 * The bytes are checked before (yaml_bytes.c), files are read in yaml_load.c, ready trees are asked
 * in yaml_node.c. Says nothing about what a key means: that is base/keys. libyaml appears in this
 * file only; the memory that it takes for itself does not come from base/mem. */
#include "base/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/yaml_bytes.h"
#include "base/yaml_env.h"
#include "base/yaml_problem.h"

enum {
    TABLE_FROM_KEYS = 16, /* from this many keys on a hash table finds the duplicates */
};

struct frame { /* an open mapping or sequence */
    struct yaml_node *node;
    size_t first; /* its first child in builder.pending */
};

struct builder {
    struct arena *arena;
    struct diags *diags;
    struct str text;
    struct str file;
    struct frame frames[YAML_DEPTH_MAX];
    size_t depth;
    struct yaml_node **pending; /* children of the open collections; keys and values in turn */
    size_t pending_count;
    size_t pending_cap;
    struct yaml_node *root;
};

#define REPORT(b, at, ...) diags_add((b)->diags, DIAG_ERROR, (b)->file, (at), __VA_ARGS__)

static struct pos pos_of_mark(yaml_mark_t mark)
{
    return (struct pos){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

/* ---- the tree ---- */

static bool expects_key(const struct builder *b)
{
    if (b->depth == 0) {
        return false;
    }
    const struct frame *top = &b->frames[b->depth - 1];
    return top->node->kind == YAML_MAPPING && (b->pending_count - top->first) % 2 == 0;
}

/* Makes a node the next child of the innermost open collection, or the root. */
static enum status attach(struct builder *b, struct yaml_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return ST_OK;
    }
    if (b->pending_count == b->pending_cap) {
        size_t cap = b->pending_cap == 0 ? 64 : b->pending_cap * 2;
        struct yaml_node **grown = mem_resize(b->pending, cap * sizeof(struct yaml_node *));
        if (grown == NULL) {
            return ST_NO_MEMORY;
        }
        b->pending = grown;
        b->pending_cap = cap;
    }
    b->pending[b->pending_count] = node;
    b->pending_count++;
    return ST_OK;
}

static struct yaml_node *make_node(const struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    struct yaml_node *node = arena_alloc(b->arena, sizeof *node);
    if (node != NULL) {
        node->kind = kind;
        node->pos = pos_of_mark(mark);
        node->file = b->file;
    }
    return node;
}

static void refuse_properties(const struct builder *b, const yaml_char_t *anchor,
                              const yaml_char_t *tag, yaml_mark_t mark)
{
    if (anchor != NULL) {
        REPORT(b, pos_of_mark(mark), "anchors are not supported: \"&%s\"",
               yaml_shown(str_from((const char *)anchor)).text);
    }
    if (tag != NULL) {
        REPORT(b, pos_of_mark(mark),
               "tags are not supported; put text that starts with \"!\" in quotes");
    }
}

/* A mistake in the text of a scalar that would make the tree misleading. */
static void check_key(const struct builder *b, const struct yaml_node *key)
{
    if (!key->is_quoted && str_eq(key->text, STR("<<"))) {
        REPORT(b, key->pos, "merge keys \"<<\" are not supported; write the keys out");
    } else if (str_find(key->text, STR("${")) != key->text.len) {
        REPORT(b, key->pos, "a key cannot come from the environment: \"%s\"",
               yaml_shown(key->text).text);
    }
}

/* Whether a value stands in a list or mapping under "argv" or "env": of a command. */
static bool is_of_command(const struct builder *b)
{
    if (b->depth < 2 || b->frames[b->depth - 2].node->kind != YAML_MAPPING) {
        return false;
    }
    struct str key = b->pending[b->frames[b->depth - 1].first - 2]->text; /* then the list itself */
    return str_eq(key, STR("argv")) || str_eq(key, STR("env"));
}

/* In commands ${PORT}, ${SOCKET} and ${THREADS} stay: they are known when the command is run. So
 * their dollar is doubled, which the expansion undoes. */
static enum status keep_places(const struct builder *b, struct str *text)
{
    static const struct str places[] = {STR_INIT("${PORT}"), STR_INIT("${SOCKET}"),
                                        STR_INIT("${THREADS}")};
    struct str done = STR("");
    struct str rest = *text;
    while (rest.len > 0) {
        size_t at = rest.len;
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            size_t found = str_find(rest, places[i]);
            at = found < at ? found : at;
        }
        bool is_place = at < rest.len;
        bool is_escaped = is_place && at > 0 && rest.ptr[at - 1] == '$';
        done = arena_printf(b->arena, "%.*s%.*s%s", STR_ARG(done), (int)at, rest.ptr,
                            !is_place    ? ""
                            : is_escaped ? "$"
                                         : "$$");
        if (done.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        rest = str_slice(rest, is_place ? at + 1 : at, rest.len);
    }
    *text = done;
    return ST_OK;
}

/* Copies the scalar's text and, in values, replaces ${}. A bad reference is reported and leaves the
 * text empty. */
static enum status fill_scalar(const struct builder *b, struct yaml_node *node, struct str raw)
{
    if (str_find_char(raw, '\0') != raw.len) {
        REPORT(b, node->pos, "the escape \"\\0\" is not allowed: text cannot contain NUL");
        return ST_OK;
    }
    node->text = arena_copy(b->arena, raw);
    if (node->text.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    if (expects_key(b)) {
        check_key(b, node);
        return ST_OK;
    }

    struct yaml_env env;
    bool has_place = str_find(node->text, STR("${")) < node->text.len && is_of_command(b);
    if (has_place && keep_places(b, &node->text) != ST_OK) {
        return ST_NO_MEMORY;
    }
    enum status st = yaml_env_expand(node->text, b->arena, b->diags, &env);
    if (st == ST_INVALID) {
        REPORT(b, node->pos, "%.*s", STR_ARG(env.why));
        return ST_OK;
    }
    if (st == ST_OK) {
        node->text = env.text;
        node->is_from_env = env.is_used;
    }
    return st;
}

static enum status add_scalar(struct builder *b, const yaml_event_t *event)
{
    refuse_properties(b, event->data.scalar.anchor, event->data.scalar.tag, event->start_mark);
    struct yaml_node *node = make_node(b, YAML_SCALAR, event->start_mark);
    if (node == NULL) {
        return ST_NO_MEMORY;
    }
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    struct str raw = {(const char *)event->data.scalar.value, event->data.scalar.length};
    enum status st = fill_scalar(b, node, raw);
    return st == ST_OK ? attach(b, node) : st;
}

/* Stands for the value that an alias would repeat, so that the rest of the file is checked too. */
static enum status add_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    REPORT(b, pos_of_mark(event->start_mark),
           "aliases are not supported: \"*%s\"; put text that starts with \"*\" in quotes",
           yaml_shown(str_from(name)).text);
    struct yaml_node *node = make_node(b, YAML_SCALAR, event->start_mark);
    if (node == NULL) {
        return ST_NO_MEMORY;
    }
    node->text = arena_copy(b->arena, str_from(name));
    return node->text.ptr != NULL ? attach(b, node) : ST_NO_MEMORY;
}

static enum status open_collection(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    if (b->depth == YAML_DEPTH_MAX) {
        REPORT(b, pos_of_mark(mark), "nested more than %d levels deep", YAML_DEPTH_MAX);
        return ST_INVALID;
    }
    if (expects_key(b)) {
        REPORT(b, pos_of_mark(mark), "a key must be text, not a %s",
               kind == YAML_MAPPING ? "mapping" : "list");
        return ST_INVALID;
    }
    struct yaml_node *node = make_node(b, kind, mark);
    if (node == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = attach(b, node);
    if (st != ST_OK) {
        return st;
    }
    b->frames[b->depth] = (struct frame){.node = node, .first = b->pending_count};
    b->depth++;
    return ST_OK;
}

static void report_duplicate(const struct builder *b, const struct yaml_node *key,
                             const struct yaml_node *first)
{
    REPORT(b, key->pos, "duplicate key \"%s\", first given at line %d, column %d",
           yaml_shown(key->text).text, first->pos.line, first->pos.column);
}

static void find_duplicates_in_few(const struct builder *b, const struct yaml_node *node)
{
    for (size_t i = 1; i < node->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (str_eq(node->keys[i]->text, node->keys[j]->text)) {
                report_duplicate(b, node->keys[i], node->keys[j]);
                break;
            }
        }
    }
}

static enum status find_duplicates(const struct builder *b, const struct yaml_node *node)
{
    if (node->count < TABLE_FROM_KEYS) {
        find_duplicates_in_few(b, node);
        return ST_OK;
    }
    struct table *seen = table_create();
    if (seen == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = ST_OK;
    for (size_t i = 0; i < node->count && st == ST_OK; i++) {
        const struct yaml_node *first = table_get(seen, node->keys[i]->text);
        if (first != NULL) {
            report_duplicate(b, node->keys[i], first);
        } else {
            st = table_put(seen, node->keys[i]->text, node->keys[i], NULL);
        }
    }
    table_destroy(seen);
    return st;
}

/* Moves the children of the innermost open collection from the pending ones into their node. */
static enum status close_collection(struct builder *b)
{
    b->depth--;
    const struct frame *frame = &b->frames[b->depth];
    struct yaml_node *node = frame->node;
    size_t n = b->pending_count - frame->first;
    b->pending_count = frame->first;
    if (n == 0) {
        return ST_OK;
    }
    struct yaml_node **children = b->pending + frame->first;
    struct yaml_node **kept = arena_alloc(b->arena, n * sizeof(struct yaml_node *));
    if (kept == NULL) {
        return ST_NO_MEMORY;
    }
    if (node->kind == YAML_SEQUENCE) {
        memcpy(kept, children, n * sizeof(struct yaml_node *));
        node->count = n;
        node->items = kept;
        return ST_OK;
    }
    node->count = n / 2;
    node->keys = kept;
    node->items = kept + node->count;
    for (size_t i = 0; i < node->count; i++) {
        node->keys[i] = children[2 * i];
        node->items[i] = children[2 * i + 1];
    }
    return find_duplicates(b, node);
}

static enum status open_document(const struct builder *b, const yaml_event_t *event)
{
    if (b->root != NULL) {
        REPORT(b, pos_of_mark(event->start_mark), "a second document (\"---\") is not allowed");
        return ST_INVALID;
    }
    return ST_OK;
}

/* Takes one event. ST_INVALID only where going on makes no sense; other mistakes are reported and
 * counted in the diagnostics. */
static enum status take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return open_document(b, event);
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return add_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        refuse_properties(b, event->data.sequence_start.anchor, event->data.sequence_start.tag,
                          event->start_mark);
        return open_collection(b, YAML_SEQUENCE, event->start_mark);
    case YAML_MAPPING_START_EVENT:
        refuse_properties(b, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                          event->start_mark);
        return open_collection(b, YAML_MAPPING, event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_collection(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return ST_OK;
    }
    return ST_OK;
}

/* ---- what libyaml refuses ---- */

/* The byte offset of a mark, whose index counts code points. */
static size_t offset_of_mark(struct str text, yaml_mark_t mark)
{
    size_t left = mark.index;
    size_t at = 0;
    while (at < text.len && left > 0) {
        at++;
        while (at < text.len && ((unsigned char)text.ptr[at] & 0xC0U) == 0x80U) {
            at++;
        }
        left--;
    }
    return at;
}

static bool has_at(struct str text, size_t offset, struct str wanted)
{
    return str_starts_with(str_slice(text, offset, SIZE_MAX), wanted);
}

static enum status report_problem(const struct builder *b, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return ST_NO_MEMORY;
    }
    if (parser->error == YAML_READER_ERROR) {
        REPORT(b, yaml_bytes_pos(b->text, parser->problem_offset),
               "the control character U+%04X is not allowed; write it as an escape in double "
               "quotes",
               (unsigned)parser->problem_value);
        return ST_INVALID;
    }

    const char *words = parser->problem != NULL ? parser->problem : "unknown problem";
    const struct yaml_problem *row = yaml_problem_find(words);
    bool has_start = parser->context != NULL;
    struct pos stop = pos_of_mark(parser->problem_mark);
    struct pos start = has_start ? pos_of_mark(parser->context_mark) : stop;
    size_t at = offset_of_mark(b->text, parser->problem_mark);
    if (row->sentence == NULL) {
        REPORT(b, stop, "this cannot be read as YAML: %s", words);
    } else if (has_at(b->text, at, STR("\t")) && row->place == YAML_PROBLEM_HERE) {
        REPORT(b, stop, "indent with spaces: a tab cannot stand here");
    } else if (row->place == YAML_PROBLEM_BOTH && at > 0 && has_at(b->text, at - 1, STR("${"))) {
        REPORT(b, stop, "inside [ ] and { } put \"${NAME}\" in quotes");
    } else if (row->place == YAML_PROBLEM_BOTH && start.line != stop.line) {
        REPORT(b, stop, "%s (it starts at line %d, column %d)", row->sentence, start.line,
               start.column);
    } else {
        REPORT(b, row->place == YAML_PROBLEM_START ? start : stop, "%s", row->sentence);
    }
    return ST_INVALID;
}

static enum status build(struct builder *b, yaml_parser_t *parser)
{
    for (;;) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            return report_problem(b, parser);
        }
        enum status st = take_event(b, &event);
        bool is_last = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_SCALAR_EVENT) {
            explicit_bzero(event.data.scalar.value, event.data.scalar.length);
        }
        yaml_event_delete(&event);
        if (st != ST_OK || is_last) {
            return st;
        }
    }
}

/* There may be keys in the file: libyaml's copies of it go before it frees them. */
static void wipe(const yaml_parser_t *parser)
{
    if (parser->raw_buffer.start != NULL) {
        explicit_bzero(parser->raw_buffer.start,
                       (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    }
    if (parser->buffer.start != NULL) {
        explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    }
}

static enum status run_parser(struct builder *b)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return ST_NO_MEMORY;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    const char *bytes = b->text.len > 0 ? b->text.ptr : "";
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, b->text.len);
    enum status st = build(b, &parser);
    wipe(&parser);
    yaml_parser_delete(&parser);
    mem_free(b->pending);
    return st;
}

enum status yaml_parse(struct str text, struct str file, struct arena *arena, struct diags *diags,
                       struct yaml_node **ret_root)
{
    struct builder b = {.arena = arena, .diags = diags, .text = text};
    b.file = arena_copy(arena, file);
    if (b.file.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    if (str_starts_with(text, STR("\xEF\xBB\xBF"))) {
        b.text = str_slice(text, 3, SIZE_MAX);
    }
    size_t errors = diags->errors;
    enum status st = yaml_bytes_check(b.text, b.file, diags);
    if (st == ST_OK) {
        st = run_parser(&b);
    }
    if (st == ST_OK && diags->errors > errors) {
        st = ST_INVALID;
    }
    if (st != ST_OK) {
        return st;
    }

    bool is_empty = b.root == NULL || (yaml_is_null(b.root) && b.root->text.len == 0);
    if (is_empty) {
        b.root = make_node(&b, YAML_MAPPING, (yaml_mark_t){0, 0, 0});
    }
    if (b.root == NULL) {
        return ST_NO_MEMORY;
    }
    *ret_root = b.root;
    return ST_OK;
}
