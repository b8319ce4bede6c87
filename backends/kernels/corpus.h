/* A folder of passages (conf/corpora/README.md): *.md files in which each passage is a line
 * "## Title", paragraphs, and a last line "Source: …". What stands before the first title of a file is
 * not read. Loaded once, then immutable. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    CORPUS_FILES_MAX = 1000,
    CORPUS_FILE_MAX_BYTES = 4 * 1024 * 1024,
    CORPUS_PASSAGES_MAX = 20000,
};

struct corpus_passage {
    struct str title;
    struct str text; /* paragraphs joined by an empty line, each on one line */
    struct str source;
};

struct corpus {
    struct arena *arena; /* owns all texts */
    struct corpus_passage *passages;
    size_t count;
    size_t cap;
};

/* Reads all *.md files of the folder, in the order of their names. Mistakes go to diags with file and
 * line, or with `where` if it is the folder that is wrong: ST_INVALID. ST_NO_MEMORY. ret_corpus is
 * filled in every case and wants corpus_fini. */
struct corpus_where {
    struct str file;
    struct pos pos;
};

MUST_CHECK enum status corpus_load(struct str folder, struct diags *diags,
                                   struct corpus_where where, struct corpus *ret_corpus);
void corpus_fini(struct corpus *corpus);

/* Reads the passages of one file's text; for corpus_load and tests. `name` is for messages. The text
 * may go afterwards. ST_INVALID, ST_NO_MEMORY. */
MUST_CHECK enum status corpus_read(struct corpus *corpus, struct str text, struct str name,
                                   struct diags *diags);
