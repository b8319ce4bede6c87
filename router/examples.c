/* See examples.h. */
#include "router/examples.h"

#include <string.h>

#include "base/file.h"
#include "base/utf8.h"

struct reading {
    struct key_reader *reader;
    struct str file; /* for messages */
    struct pos pos;  /* where the list as a whole is given; line 0: each line has its own */
    struct examples examples;
    size_t errors; /* before */
};

static void complain(const struct reading *r, enum diag_severity severity, int line,
                     const char *what)
{
    struct pos pos = r->pos.line > 0 ? r->pos : (struct pos){line, 0};
    diags_add(r->reader->diags, severity, r->file, pos, "%s", what);
}

static bool is_there(const struct reading *r, struct str text)
{
    for (size_t i = 0; i < r->examples.count; i++) {
        if (str_eq(r->examples.lines[i].text, text)) {
            return true;
        }
    }
    return false;
}

static enum status take(struct reading *r, struct str line, int number)
{
    struct str text = str_trim(line);
    if (text.len == 0 || text.ptr[0] == '#') {
        return ST_OK;
    }
    if (utf8_valid_prefix(text) != text.len || memchr(text.ptr, '\0', text.len) != NULL) {
        complain(r, DIAG_ERROR, number, "this example is no text: it must be UTF-8 without NUL");
        return ST_OK;
    }
    if (text.len > EXAMPLES_LINE_MAX) {
        complain(r, DIAG_ERROR, number, "this example has more than 8192 bytes");
        return ST_OK;
    }
    if (is_there(r, text)) {
        complain(r, DIAG_WARNING, number, "this example stands here twice and counts once");
        return ST_OK;
    }
    struct custom_line *next = &r->examples.lines[r->examples.count];
    next->text = arena_copy(r->reader->arena, text);
    next->line = number;
    r->examples.count++;
    return next->text.ptr == NULL ? ST_NO_MEMORY : ST_OK;
}

static enum status take_file(struct reading *r, struct str bytes)
{
    struct str line;
    int number = 1;
    enum status st = ST_OK;
    if (bytes.len > EXAMPLES_BYTES_MAX) {
        complain(r, DIAG_ERROR, 0, "this file of examples has more than 1 MiB");
        return ST_OK;
    }
    while (st == ST_OK && r->examples.count < EXAMPLES_MAX &&
           str_split(bytes, '\n', &line, &bytes)) {
        st = take(r, line, number++);
    }
    if (st == ST_OK && bytes.len > 0) {
        complain(r, DIAG_ERROR, number, "there are more than 2000 examples");
    }
    return st;
}

static enum status read_file(struct reading *r, struct str path)
{
    char *name = arena_copy_z(r->reader->arena, path);
    struct str bytes;
    if (name == NULL || keys_note_path(r->reader, path) != ST_OK) {
        return ST_NO_MEMORY;
    }
    if (!keys_may_read(r->reader, name) || file_map(name, r->reader->diags, &bytes) != ST_OK) {
        return ST_OK; /* the diagnostic says it */
    }
    r->file = str_from(name);
    r->pos = (struct pos){0, 0};
    enum status st = take_file(r, bytes);
    file_unmap(bytes);
    return st;
}

static enum status read_list(struct reading *r, const struct key_texts *given)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < given->count; i++) {
        if (r->examples.count == EXAMPLES_MAX) {
            complain(r, DIAG_ERROR, 0, "there are more than 2000 examples");
            break;
        }
        st = take(r, given->items[i], (int)i + 1);
    }
    return st;
}

enum status examples_read(struct key_reader *reader, struct str file, struct pos pos,
                          const struct key_texts *given, struct examples *ret_examples)
{
    struct reading r = {.reader = reader, .file = file, .pos = pos};
    *ret_examples = (struct examples){0};
    r.errors = reader->diags->errors;
    r.examples.lines = arena_alloc(reader->arena, EXAMPLES_MAX * sizeof *r.examples.lines);
    if (r.examples.lines == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = given->count == 1 ? read_file(&r, given->items[0]) : read_list(&r, given);
    if (st != ST_OK || reader->diags->errors != r.errors) {
        return st;
    }
    if (r.examples.count < EXAMPLES_MIN) {
        complain(&r, DIAG_ERROR, 0,
                 "a category needs 5 examples at least, 20 are better: one prompt a line");
        return ST_OK;
    }
    if (r.examples.count < EXAMPLES_FEW) {
        complain(&r, DIAG_WARNING, 0, "these are few examples for a category: 20 are better");
    }
    *ret_examples = r.examples;
    return ST_OK;
}
