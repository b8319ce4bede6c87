/* The lookup kernel: answers with the passage of a corpus that speaks about what was asked, word for
 * word, with its title and source, or says that there is none. Writes nothing of its own. */
#include <stdio.h>

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

struct ek_instance {
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

static void destroy(struct ek_instance *lookup)
{
    bm25_destroy(lookup->index);
    corpus_fini(&lookup->corpus);
    mem_free(lookup);
}

static enum status load(struct ek_instance *lookup, const struct lookup_options *options,
                        struct diags *diags)
{
    enum status st = corpus_load(options->folder, diags, (struct corpus_where){STR(""), {0, 0}},
                                 &lookup->corpus);
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

/* The first thing that is wrong with the folder, and how much more there is. */
static enum ek_status complain(const struct diags *diags, struct ek_error *ret_error)
{
    const struct diag *d = &diags->items[0];
    char more[40] = "";
    if (diags->count > 1) {
        (void)snprintf(more, sizeof more, " (and %zu more)", diags->count - 1);
    }
    (void)snprintf(ret_error->option, sizeof ret_error->option, "folder");
    return d->file.len == 0
               ? kernel_fail(ret_error, EK_BAD_CONFIG, "%.*s%s", STR_ARG(d->message), more)
               : kernel_fail(ret_error, EK_BAD_CONFIG, "%.*s:%d:%d: %.*s%s", STR_ARG(d->file),
                             d->pos.line, d->pos.column, STR_ARG(d->message), more);
}

static enum ek_status build(const void *decoded, struct arena *arena,
                            struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    const struct lookup_options *options = decoded;
    struct ek_instance *lookup = mem_zalloc(1, sizeof *lookup);
    struct diags *diags = arena_alloc(arena, sizeof *diags);
    enum status st = ST_NO_MEMORY;
    if (lookup != NULL && diags != NULL) {
        diags_init(diags, arena);
        lookup->passages = (size_t)options->passages;
        lookup->min_share = options->min_share;
        st = load(lookup, options, diags);
    }
    if (st == ST_OK) {
        *ret_instance = lookup;
        return EK_OK;
    }
    if (lookup != NULL) {
        destroy(lookup);
    }
    return st == ST_INVALID ? complain(diags, ret_error)
                            : kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the passages");
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    return kernel_make(config, &lookup_keys, build, ret_instance, ret_error);
}

/* The user message before the one at `last`, or the empty string. */
static struct str question_before(const struct ek_request *request, size_t last)
{
    for (size_t i = last; i > 0; i--) {
        if (str_eq(kernel_str(request->messages[i - 1].role), STR("user"))) {
            return kernel_str(request->messages[i - 1].text);
        }
    }
    return STR("");
}

/* The terms of the last question, and of the one before where there are few. */
static void read_question(const struct ek_request *request, struct bm25_query *query)
{
    for (size_t i = request->message_count; i > 0; i--) {
        const struct ek_message *message = &request->messages[i - 1];
        if (!str_eq(kernel_str(message->role), STR("user"))) {
            continue;
        }
        struct str text = str_slice(kernel_str(message->text), 0, QUESTION_MAX_BYTES);
        size_t terms = bm25_query_add(query, text, 1);
        if (terms > 0 && terms < SHORT_QUESTION_TERMS) {
            struct str before = question_before(request, i - 1);
            (void)bm25_query_add(query, str_slice(before, 0, QUESTION_MAX_BYTES), BEFORE);
        }
        return;
    }
}

static enum ek_status say_passage(const struct ek_sink *sink, const struct corpus_passage *passage)
{
    enum ek_status st = kernel_say(sink, passage->text);
    st = st == EK_OK ? kernel_say(sink, STR("\n\nFrom \"")) : st;
    st = st == EK_OK ? kernel_say(sink, passage->title) : st;
    st = st == EK_OK ? kernel_say(sink, STR("\". Source: ")) : st;
    return st == EK_OK ? kernel_say(sink, passage->source) : st;
}

static enum ek_status say_nothing_found(const struct ek_sink *sink, struct str title)
{
    enum ek_status st = kernel_say(sink, STR("I found nothing on that in \""));
    st = st == EK_OK ? kernel_say(sink, title) : st;
    return st == EK_OK
               ? kernel_say(sink, STR("\". I can only answer with passages from this collection; "
                                      "other words for the same question may help."))
               : st;
}

static enum ek_status generate(struct ek_instance *lookup, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct bm25_query query = {.count = 0};
    struct bm25_hit hits[PASSAGES_MAX];
    size_t count = 0;
    (void)ret_result;
    read_question(request, &query);
    if (bm25_search(lookup->index, &query, hits, lookup->passages, &count) != ST_OK) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory to search");
    }
    enum ek_status st = EK_OK;
    size_t said = 0;
    for (size_t i = 0; st == EK_OK && i < count && hits[i].share >= lookup->min_share; i++) {
        st = i > 0 ? kernel_say(sink, STR("\n\n")) : EK_OK;
        st = st == EK_OK ? say_passage(sink, &lookup->corpus.passages[hits[i].doc]) : st;
        said++;
    }
    if (st == EK_OK && said == 0) {
        st = say_nothing_found(sink, lookup->title);
    }
    return st;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts =
        KERNEL_FACTS("lookup", EK_CAP_GENERATE | EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL);
    return &facts;
}

static const struct ek_kernel abi = {
    .size = sizeof abi,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .info = info,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};

const struct kernel_builtin lookup_kernel = {
    .name = "lookup",
    .sentence = "answers with passages of a folder, word for word and with their sources",
    .keys = &lookup_keys,
    .abi = &abi,
};
