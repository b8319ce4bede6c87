/* YAML files from disk, see yaml.h. Blocking: for start and reload, never for the request path. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/yaml.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    ERRNO_TEXT_BYTES = 128,
};

/* Reads a file to its end or one byte over the ceiling, which yaml_parse then refuses. */
static enum status read_all(FILE *file, struct buf *out)
{
    for (;;) {
        size_t room = out->max - out->len;
        size_t want = room < CHUNK_BYTES ? room : CHUNK_BYTES;
        if (want == 0) {
            return ST_OK;
        }
        char *into = buf_reserve(out, want);
        if (into == NULL) {
            return ST_NO_MEMORY;
        }
        size_t got = fread(into, 1, want, file);
        buf_commit(out, got);
        if (ferror(file) != 0) {
            return ST_IO;
        }
        if (got == 0) {
            return ST_OK;
        }
    }
}

/* Room for the whole file at once: a buffer that grows leaves copies behind, and there may be keys in
 * them. Only saves; reading says what fails. */
static void make_room(FILE *file, struct buf *out)
{
    struct stat info;
    size_t size = fstat(fileno(file), &info) == 0 && info.st_size > 0 ? (size_t)info.st_size : 0;
    if (size < out->max - CHUNK_BYTES) {
        (void)buf_reserve(out, size + CHUNK_BYTES);
    }
}

static void report_io(struct diags *diags, struct str file, int error)
{
    char text[ERRNO_TEXT_BYTES];
    diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "cannot read the file: %s",
              strerror_r(error, text, sizeof text));
}

enum status yaml_read(const char *path, struct arena *arena, struct diags *diags,
                      struct str *ret_text)
{
    struct str name = arena_copy(arena, str_from(path));
    if (name.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        report_io(diags, name, errno);
        return ST_IO;
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* no copy of the file that we cannot wipe */
    struct buf bytes;
    buf_init(&bytes, YAML_BYTES_MAX + 1);
    make_room(file, &bytes);
    enum status st = read_all(file, &bytes);
    int error = errno;
    (void)fclose(file); /* nothing was written */
    if (st == ST_OK) {
        *ret_text = arena_copy(arena, buf_str(&bytes));
        st = ret_text->ptr == NULL ? ST_NO_MEMORY : ST_OK;
    } else if (st == ST_IO) {
        report_io(diags, name, error);
    }
    if (bytes.data != NULL) {
        explicit_bzero(bytes.data, bytes.cap); /* there may be keys in it */
    }
    buf_fini(&bytes);
    return st;
}

enum status yaml_load(const char *path, struct arena *arena, struct diags *diags,
                      struct yaml_node **ret_root)
{
    struct str text;
    struct str name = arena_copy(arena, str_from(path));
    enum status st = name.ptr == NULL ? ST_NO_MEMORY : yaml_read(path, arena, diags, &text);
    return st == ST_OK ? yaml_parse(text, name, arena, diags, ret_root) : st;
}
