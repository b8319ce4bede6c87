/* See corpus.h. Reads line by line; does not interpret Markdown. */
#include "backends/kernels/corpus.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 256 * 1024 * 1024,
    PATH_MAX_BYTES = 4096,
};

struct reading { /* one file */
    struct corpus *corpus;
    struct diags *diags;
    struct str name;
    int line;
    int title_line;
    bool is_open; /* inside a passage */
    bool has_gap; /* an empty line since the last text */
    struct str title;
    struct str source;
    struct buf text;
    enum status st; /* sticky */
};

static void complain(struct reading *r, int line, const char *what)
{
    diags_add(r->diags, DIAG_ERROR, r->name, (struct pos){line, 1}, "passage \"%.*s\": %s",
              STR_ARG(r->title), what);
    r->st = ST_INVALID;
}

static void no_memory(struct reading *r)
{
    r->st = ST_NO_MEMORY;
}

static struct str keep(struct reading *r, struct str text)
{
    struct str kept = arena_copy(r->corpus->arena, text);
    if (kept.ptr == NULL) {
        no_memory(r);
        return STR("");
    }
    return kept;
}

static void add_passage(struct reading *r)
{
    struct corpus *c = r->corpus;
    if (c->count == CORPUS_PASSAGES_MAX) {
        complain(r, r->title_line, "the corpus has more passages than can be indexed");
        return;
    }
    if (c->count == c->cap) {
        size_t cap = c->cap == 0 ? 128 : c->cap * 2;
        struct corpus_passage *grown = mem_resize(c->passages, cap * sizeof *grown);
        if (grown == NULL) {
            no_memory(r);
            return;
        }
        c->passages = grown;
        c->cap = cap;
    }
    struct corpus_passage passage = {keep(r, r->title), keep(r, buf_str(&r->text)),
                                     keep(r, r->source)};
    if (r->st != ST_NO_MEMORY) {
        c->passages[c->count++] = passage;
    }
}

static void close_passage(struct reading *r)
{
    if (!r->is_open || r->st == ST_NO_MEMORY) {
        return;
    }
    r->is_open = false;
    if (r->title.len == 0) {
        complain(r, r->title_line, "the title is empty");
    } else if (r->text.len == 0) {
        complain(r, r->title_line, "there is no text");
    } else if (r->source.len == 0) {
        complain(r, r->title_line, "the last line must be \"Source: …\"");
    } else {
        add_passage(r);
    }
}

static void open_passage(struct reading *r, struct str title)
{
    close_passage(r);
    r->is_open = true;
    r->has_gap = false;
    r->title = title;
    r->title_line = r->line;
    r->source = STR("");
    buf_reset(&r->text);
}

static void append(struct reading *r, struct str text)
{
    if (buf_append(&r->text, text) != ST_OK) {
        no_memory(r);
    }
}

static void read_line(struct reading *r, struct str line)
{
    struct str trimmed = str_trim(line);
    struct str source = STR("Source:");
    if (str_starts_with(line, STR("## "))) {
        open_passage(r, str_trim(str_slice(line, 3, line.len)));
        return;
    }
    if (!r->is_open) {
        return;
    }
    if (trimmed.len == 0) {
        r->has_gap = true;
        return;
    }
    if (r->source.len > 0) {
        complain(r, r->line, "there is text after its source");
        r->is_open = false;
        return;
    }
    if (str_starts_with(trimmed, source)) {
        r->source = str_trim(str_slice(trimmed, source.len, trimmed.len));
        if (r->source.len == 0) {
            complain(r, r->line, "the source is empty");
            r->is_open = false;
        }
        return;
    }
    if (r->text.len > 0) {
        append(r, r->has_gap ? STR("\n\n") : STR(" "));
    }
    r->has_gap = false;
    append(r, trimmed);
}

enum status corpus_read(struct corpus *corpus, struct str text, struct str name,
                        struct diags *diags)
{
    struct reading r = {.corpus = corpus, .diags = diags, .name = name, .st = ST_OK};
    buf_init(&r.text, CORPUS_FILE_MAX_BYTES);
    struct str rest = text;
    struct str line;
    while (r.st != ST_NO_MEMORY && str_split(rest, '\n', &line, &rest)) {
        r.line++;
        read_line(&r, line);
    }
    close_passage(&r);
    buf_fini(&r.text);
    return r.st;
}

/* The whole file. ST_IO, ST_TOO_BIG, ST_NO_MEMORY. */
static enum status read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return ST_IO;
    }
    enum status st = ST_OK;
    for (;;) {
        char chunk[8192];
        size_t n = fread(chunk, 1, sizeof chunk, file);
        if (n == 0) {
            break;
        }
        st = buf_append(out, (struct str){chunk, n});
        if (st != ST_OK) {
            break;
        }
    }
    if (st == ST_OK && ferror(file) != 0) {
        st = ST_IO;
    }
    (void)fclose(file);
    return st;
}

static enum status load_file(struct corpus *corpus, const char *path, struct diags *diags)
{
    struct buf text;
    buf_init(&text, CORPUS_FILE_MAX_BYTES);
    struct str name = arena_copy(corpus->arena, str_from(path));
    enum status st = name.ptr == NULL ? ST_NO_MEMORY : read_file(path, &text);
    if (st == ST_IO || st == ST_TOO_BIG) {
        diags_add(diags, DIAG_ERROR, name, (struct pos){0, 0},
                  st == ST_IO ? "cannot be read" : "is larger than 4 MiB");
        st = ST_INVALID;
    } else if (st == ST_OK) {
        st = corpus_read(corpus, buf_str(&text), name, diags);
    }
    buf_fini(&text);
    return st;
}

static int is_passage_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && str_ends_with(str_from(entry->d_name), STR(".md"));
}

static enum status load_files(struct corpus *corpus, struct str folder, struct diags *diags,
                              struct corpus_where where)
{
    char path[PATH_MAX_BYTES];
    struct dirent **entries = NULL;
    enum status st = ST_OK;
    (void)snprintf(path, sizeof path, "%.*s", STR_ARG(folder));
    int count = scandir(path, &entries, is_passage_file, alphasort);
    if (count < 0) {
        bool is_memory = errno == ENOMEM;
        if (!is_memory) {
            diags_add(diags, DIAG_ERROR, where.file, where.pos,
                      "the folder \"%.*s\" cannot be read", STR_ARG(folder));
        }
        return is_memory ? ST_NO_MEMORY : ST_INVALID;
    }
    if (count > CORPUS_FILES_MAX) {
        diags_add(diags, DIAG_ERROR, where.file, where.pos,
                  "the folder \"%.*s\" has more than 1000 files", STR_ARG(folder));
        st = ST_INVALID;
    }
    for (int i = 0; i < count; i++) {
        int len = snprintf(path, sizeof path, "%.*s/%s", STR_ARG(folder), entries[i]->d_name);
        if (st != ST_NO_MEMORY && count <= CORPUS_FILES_MAX && len < (int)sizeof path) {
            enum status file_st = load_file(corpus, path, diags);
            st = file_st != ST_OK ? file_st : st;
        }
        free(entries[i]); /* allow free: scandir's memory */
    }
    free(entries); /* allow free: scandir's memory */
    return st;
}

enum status corpus_load(struct str folder, struct diags *diags, struct corpus_where where,
                        struct corpus *ret_corpus)
{
    *ret_corpus = (struct corpus){.arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES)};
    if (ret_corpus->arena == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = load_files(ret_corpus, folder, diags, where);
    if (st == ST_OK && ret_corpus->count == 0) {
        diags_add(diags, DIAG_ERROR, where.file, where.pos, "the folder \"%.*s\" has no passages",
                  STR_ARG(folder));
        st = ST_INVALID;
    }
    return st;
}

void corpus_fini(struct corpus *corpus)
{
    arena_destroy(corpus->arena);
    mem_free(corpus->passages);
}
