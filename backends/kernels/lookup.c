/* The lookup kernel: answers with the passage of a corpus that speaks about what was asked, word for
 * word, with its title and source, or says that there is none. Writes nothing of its own. */
#include <string.h>

#include "backends/kernels/bm25.h"
#include "backends/kernels/corpus.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

enum {
    PASSAGES_MAX = 5,
    SHORT_QUESTION_TERMS = 3, /* fewer terms than this lean on the question before */
    QUESTION_MAX_BYTES = 4000,
};

/* Weight of the question before. */
static const double BEFORE = 0.6;

struct lookup {
    struct kernel base;
    struct corpus corpus;
    struct bm25 *index;
    struct str title; /* in the corpus's arena */
    size_t passages;
    double min_share;
};

struct lookup_options {
    struct str folder;
    struct str title;
    int64_t passages;
    double min_share;
};

#define FIELD(member) offsetof(struct lookup_options, member)

static const struct key lookup_rows[] = {
    {
        .name = "folder",
        .type = KEY_PATH,
        .offset = FIELD(folder),
        .is_required = true,
        .sentence = "folder with the passages, as *.md files",
        .example = "conf/corpora/first-aid",
    },
    {
        .name = "title",
        .type = KEY_TEXT,
        .offset = FIELD(title),
        .is_required = true,
        .sentence = "what the collection is called in answers",
        .example = "First aid",
    },
    {
        .name = "passages",
        .type = KEY_INT,
        .offset = FIELD(passages),
        .min = 1,
        .max = PASSAGES_MAX,
        .unit = "passages",
        .fallback = "1",
        .sentence = "the most passages that an answer consists of",
    },
    {
        .name = "min_share",
        .type = KEY_REAL,
        .offset = FIELD(min_share),
        .min = 0,
        .max = 1,
        .fallback = "0.26",
        .sentence =
            "how much of the question a passage must speak about; below it the answer is that "
            "nothing was found",
    },
};

static const struct keys lookup_keys = {
    .name = "lookup",
    .size = sizeof(struct lookup_options),
    .rows = lookup_rows,
    .count = sizeof lookup_rows / sizeof lookup_rows[0],
    .sentence = "answers with passages of a folder, word for word",
};

static void destroy(struct kernel *kernel)
{
    struct lookup *lookup = (struct lookup *)kernel;
    bm25_destroy(lookup->index);
    corpus_fini(&lookup->corpus);
    mem_free(lookup);
}

static enum status load(struct lookup *lookup, const struct lookup_options *options,
                        struct diags *diags, struct corpus_where where)
{
    enum status st = corpus_load(options->folder, diags, where, &lookup->corpus);
    if (st != ST_OK) {
        return st;
    }
    lookup->title = arena_copy(lookup->corpus.arena, options->title);
    lookup->index = bm25_create();
    if (lookup->title.ptr == NULL || lookup->index == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < lookup->corpus.count && st == ST_OK; i++) {
        const struct corpus_passage *passage = &lookup->corpus.passages[i];
        st = bm25_add(lookup->index, passage->title, passage->text);
    }
    bm25_build(lookup->index);
    return st;
}

static enum status create(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel)
{
    struct lookup_options decoded;
    enum status st = keys_decode(&lookup_keys, reader, options, &decoded);
    if (st != ST_OK) {
        return st;
    }
    struct lookup *lookup = mem_zalloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return ST_NO_MEMORY;
    }
    kernel_init(&lookup->base, &lookup_kernel_type);
    lookup->passages = (size_t)decoded.passages;
    lookup->min_share = decoded.min_share;
    const struct yaml_node *folder = yaml_get(options, STR("folder"));
    const struct yaml_node *at = folder != NULL ? folder : options;
    st = load(lookup, &decoded, reader->diags, (struct corpus_where){at->file, at->pos});
    if (st != ST_OK) {
        destroy(&lookup->base);
        return st;
    }
    *ret_kernel = &lookup->base;
    return ST_OK;
}

/* The user message before the one at `last`, or the empty string. */
static struct str question_before(const struct kernel_prompt *prompt, size_t last)
{
    for (size_t i = last; i > 0; i--) {
        if (str_eq(prompt->messages[i - 1].role, STR("user"))) {
            return prompt->messages[i - 1].text;
        }
    }
    return STR("");
}

/* The terms of the last question, and of the one before where there are few. */
static void read_question(const struct kernel_prompt *prompt, struct bm25_query *query)
{
    for (size_t i = prompt->count; i > 0; i--) {
        const struct kernel_message *message = &prompt->messages[i - 1];
        if (!str_eq(message->role, STR("user"))) {
            continue;
        }
        struct str text = str_slice(message->text, 0, QUESTION_MAX_BYTES);
        size_t terms = bm25_query_add(query, text, 1);
        if (terms > 0 && terms < SHORT_QUESTION_TERMS) {
            struct str before = question_before(prompt, i - 1);
            (void)bm25_query_add(query, str_slice(before, 0, QUESTION_MAX_BYTES), BEFORE);
        }
        return;
    }
}

static enum status say(const struct kernel_sink *sink, struct str text)
{
    return sink->text(sink->ctx, text);
}

static enum status say_passage(const struct kernel_sink *sink, const struct corpus_passage *passage)
{
    enum status st = say(sink, passage->text);
    st = st == ST_OK ? say(sink, STR("\n\nFrom \"")) : st;
    st = st == ST_OK ? say(sink, passage->title) : st;
    st = st == ST_OK ? say(sink, STR("\". Source: ")) : st;
    return st == ST_OK ? say(sink, passage->source) : st;
}

static enum status say_nothing_found(const struct kernel_sink *sink, struct str title)
{
    enum status st = say(sink, STR("I found nothing on that in \""));
    st = st == ST_OK ? say(sink, title) : st;
    return st == ST_OK ? say(sink, STR("\". I can only answer with passages from this collection; "
                                       "other words for the same question may help."))
                       : st;
}

static void generate(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result)
{
    const struct lookup *lookup = (const struct lookup *)kernel;
    struct bm25_query query = {.count = 0};
    struct bm25_hit hits[PASSAGES_MAX];
    size_t count = 0;
    read_question(prompt, &query);
    enum status st = bm25_search(lookup->index, &query, hits, lookup->passages, &count);
    size_t said = 0;
    for (size_t i = 0; st == ST_OK && i < count && hits[i].share >= lookup->min_share; i++) {
        st = i > 0 ? say(sink, STR("\n\n")) : ST_OK;
        st = st == ST_OK ? say_passage(sink, &lookup->corpus.passages[hits[i].doc]) : st;
        said++;
    }
    if (st == ST_OK && said == 0) {
        st = say_nothing_found(sink, lookup->title);
    }
    kernel_finish(ret_result, st);
}

const struct kernel_type lookup_kernel_type = {
    .name = "lookup",
    .sentence = "answers with passages of a folder, word for word and with their sources",
    .keys = &lookup_keys,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};
