/* See keys.h. Decoding is a list of jobs, one per block, each of which appends the blocks inside it:
 * no recursion, however the tables nest. Values of single keys are decoded in keys_value.c; the
 * generators are keys_doc.c, keys_schema.c and keys_reference.c. */
#include "base/keys.h"

#include <string.h>

#include "base/assert.h"
#include "base/keys_value.h"
#include "base/mem.h"

enum {
    NAME_BYTES_MAX = 128, /* of a name in a KEY_MAP */
    PLACE_DEPTH_MAX = 16, /* blocks named in a message before it is cut */
};

static const size_t no_parent = SIZE_MAX;

/* A block that is given without keys: required ones are missing in it. */
static const struct yaml_node no_keys = {.kind = YAML_MAPPING};

struct job { /* a block to decode */
    const struct keys *keys;
    const struct yaml_node *node; /* a mapping; NULL: not given, defaults only */
    char *target;                 /* the struct */
    const char *label;            /* for messages: the key that holds it, or the block's name */
    struct str name;              /* of an element of a KEY_MAP; else empty */
    size_t number;                /* of an element of a KEY_LIST, from 1; else 0 */
    size_t parent;                /* index of the job around it */
    struct pos pos;
};

struct decoder {
    struct key_reader *reader;
    struct job *jobs;
    size_t count;
    size_t cap;
    struct str file;
};

struct slot { /* one key of one block */
    size_t job;
    const struct key *key;
    void *field;
};

#define REPORT(d, at, ...) diags_add((d)->reader->diags, DIAG_ERROR, (d)->file, (at), __VA_ARGS__)

/* ---- messages ---- */

static struct str label_text(const struct decoder *d, const struct job *job)
{
    struct arena *arena = d->reader->arena;
    if (job->number > 0) {
        return arena_printf(arena, "%s %zu", job->label, job->number);
    }
    if (job->name.len > 0) {
        return arena_printf(arena, "%s \"%s\"", job->label, yaml_shown(job->name).text);
    }
    return str_from(job->label);
}

/* "router", "deadlines of expert \"med\"": where a block stands, without the top level. */
static struct str place_text(const struct decoder *d, size_t index)
{
    struct str text = label_text(d, &d->jobs[index]);
    size_t at = d->jobs[index].parent;
    for (int i = 0; i < PLACE_DEPTH_MAX && at != no_parent; i++) {
        const struct job *job = &d->jobs[at];
        bool is_top = job->parent == no_parent;
        if (!is_top) {
            struct str outer = label_text(d, job);
            text = arena_printf(d->reader->arena, "%.*s of %.*s", STR_ARG(text), STR_ARG(outer));
        }
        at = job->parent;
    }
    return text;
}

struct shown_value {
    char text[128];
};

/* The wrong value for a message; never a secret, never what the environment holds. */
static struct shown_value value_text(const struct key *key, const struct yaml_node *node)
{
    struct shown_value shown;
    const char *text = NULL;
    if (node->kind == YAML_MAPPING) {
        text = "a mapping";
    } else if (node->kind == YAML_SEQUENCE) {
        text = "a list";
    } else if (yaml_is_null(node)) {
        text = "nothing";
    } else if (node->is_from_env) {
        text = "what the environment holds";
    } else if (key != NULL && key->type == KEY_SECRET) {
        text = "the given value";
    }
    if (text != NULL) {
        (void)snprintf(shown.text, sizeof shown.text, "%s", text);
    } else {
        (void)snprintf(shown.text, sizeof shown.text, "%s\"%s\"",
                       node->is_quoted ? "the text " : "", yaml_shown(node->text).text);
    }
    return shown;
}

static void report_wrong_value(const struct decoder *d, const struct slot *slot,
                               const struct yaml_node *node, const char *hint)
{
    struct keys_words words;
    keys_value_words(slot->key, &words);
    struct shown_value shown = value_text(slot->key, node);
    struct str place = place_text(d, slot->job);
    REPORT(d, node->pos, "\"%s\" in %.*s must be %s, not %s%s", slot->key->name, STR_ARG(place),
           words.text, shown.text, hint);
}

/* The nearest of two texts so far, for did-you-mean: within a third of the length, at least 2. */
static void keep_nearest(struct str wanted, const char *candidate, const char **best, size_t *limit)
{
    size_t distance = str_distance(wanted, str_from(candidate), *limit);
    if (distance < *limit) {
        *limit = distance;
        *best = candidate;
    }
}

static size_t nearest_limit(struct str wanted)
{
    return (wanted.len / 3 > 2 ? wanted.len / 3 : 2) + 1;
}

static void report_wrong_choice(const struct decoder *d, const struct slot *slot,
                                const struct yaml_node *node)
{
    const char *best = NULL;
    size_t limit = nearest_limit(node->text);
    for (size_t i = 0; !node->is_from_env && slot->key->choices[i] != NULL; i++) {
        keep_nearest(node->text, slot->key->choices[i], &best, &limit);
    }
    char hint[KEYS_WORDS_SIZE] = "";
    if (best != NULL) {
        (void)snprintf(hint, sizeof hint, ", did you mean \"%s\"?", best);
    }
    report_wrong_value(d, slot, node, hint);
}

static const struct key *find_row(const struct keys *keys, struct str name)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (str_eq(name, str_from(keys->rows[i].name))) {
            return &keys->rows[i];
        }
    }
    return NULL;
}

static void report_unknown_key(const struct decoder *d, size_t index, const struct yaml_node *key)
{
    const struct keys *keys = d->jobs[index].keys;
    const char *best = NULL;
    size_t limit = nearest_limit(key->text);
    for (size_t i = 0; i < keys->count; i++) {
        keep_nearest(key->text, keys->rows[i].name, &best, &limit);
    }
    struct str place = place_text(d, index);
    if (best != NULL) {
        REPORT(d, key->pos, "unknown key \"%s\" in %.*s, did you mean \"%s\"?",
               yaml_shown(key->text).text, STR_ARG(place), best);
    } else {
        REPORT(d, key->pos, "unknown key \"%s\" in %.*s", yaml_shown(key->text).text,
               STR_ARG(place));
    }
}

/* ---- jobs ---- */

/* Appends a job. Pointers to jobs are invalid afterwards; indexes stay. A node that is no mapping is
 * reported and counts as not given. */
static enum status push_job(struct decoder *d, const struct job *job)
{
    if (d->count == d->cap) {
        size_t cap = d->cap == 0 ? 32 : d->cap * 2;
        struct job *grown = mem_resize(d->jobs, cap * sizeof *grown);
        if (grown == NULL) {
            return ST_NO_MEMORY;
        }
        d->jobs = grown;
        d->cap = cap;
    }
    d->jobs[d->count] = *job;
    d->count++;
    struct job *added = &d->jobs[d->count - 1];
    const struct yaml_node *node = added->node;
    if (node != NULL && node->kind != YAML_MAPPING) {
        added->node = NULL;
        struct str place = place_text(d, d->count - 1);
        REPORT(d, node->pos, "%.*s must be a mapping of keys, not %s", STR_ARG(place),
               value_text(NULL, node).text);
    }
    return ST_OK;
}

/* ---- lists, maps, blocks ---- */

static enum status decode_texts(const struct decoder *d, const struct slot *slot,
                                const struct yaml_node *node)
{
    struct key_texts *field = slot->field;
    bool is_one = node->kind == YAML_SCALAR;
    size_t count = is_one ? 1 : node->count;
    if (node->kind == YAML_MAPPING) {
        report_wrong_value(d, slot, node, "");
        return ST_OK;
    }
    struct str *items = arena_alloc(d->reader->arena, count * sizeof *items);
    if (items == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = is_one ? node : node->items[i];
        if (item->kind != YAML_SCALAR || yaml_is_null(item)) {
            struct str place = place_text(d, slot->job);
            REPORT(d, item->pos, "item %zu of \"%s\" in %.*s must be text, not %s", i + 1,
                   slot->key->name, STR_ARG(place), value_text(slot->key, item).text);
        } else {
            items[i] = item->text;
        }
    }
    *field = (struct key_texts){.items = items, .count = count};
    return ST_OK;
}

static bool is_good_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-' || c == '/';
        if (!is_good) {
            return false;
        }
    }
    return name.len > 0 && name.len <= NAME_BYTES_MAX;
}

/* The elements of a KEY_MAP or KEY_LIST: an array, filled by one job each. */
static enum status decode_elements(struct decoder *d, const struct slot *slot,
                                   const struct yaml_node *node)
{
    const struct keys *block = slot->key->block;
    bool is_map = slot->key->type == KEY_MAP;
    if (node->kind != (is_map ? YAML_MAPPING : YAML_SEQUENCE)) {
        report_wrong_value(d, slot, node, "");
        return ST_OK;
    }
    ASSERT(block->size >= sizeof(struct key_id));
    char *items = arena_alloc(d->reader->arena, node->count * block->size);
    if (items == NULL) {
        return ST_NO_MEMORY;
    }
    *(struct key_array *)slot->field = (struct key_array){.items = items, .count = node->count};
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[i];
        const struct yaml_node *named = is_map ? node->keys[i] : item;
        struct job job = {.keys = block,
                          .node = yaml_is_null(item) ? &no_keys : item,
                          .target = items + i * block->size,
                          .label = block->name,
                          .name = is_map ? named->text : STR(""),
                          .number = is_map ? 0 : i + 1,
                          .parent = slot->job,
                          .pos = named->pos};
        *(struct key_id *)(void *)job.target = (struct key_id){.name = job.name, .pos = job.pos};
        if (is_map && !is_good_name(named->text)) {
            REPORT(d, named->pos,
                   "the name \"%s\" of this %s must be 1 to %d letters, digits or . _ - /",
                   yaml_shown(named->text).text, block->name, NAME_BYTES_MAX);
        }
        enum status st = push_job(d, &job);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static enum status decode_block(struct decoder *d, const struct slot *slot,
                                const struct yaml_node *node)
{
    struct job job = {.keys = slot->key->block,
                      .node = node,
                      .target = slot->field,
                      .label = slot->key->name,
                      .parent = slot->job,
                      .pos = node != NULL ? node->pos : (struct pos){0, 0}};
    return push_job(d, &job);
}

static enum status decode_value(struct decoder *d, const struct slot *slot,
                                const struct yaml_node *node)
{
    const struct key *key = slot->key;
    if (keys_value_is_scalar(key->type)) {
        const char *hint = "";
        enum status st = keys_value_decode(key, d->reader, node, slot->field, &hint);
        if (st == ST_INVALID && key->type == KEY_CHOICE && node->kind == YAML_SCALAR) {
            report_wrong_choice(d, slot, node);
        } else if (st == ST_INVALID) {
            report_wrong_value(d, slot, node, hint);
        }
        return st == ST_NO_MEMORY ? st : ST_OK;
    }
    if (key->type == KEY_TEXT_LIST) {
        return decode_texts(d, slot, node);
    }
    if (key->type == KEY_BLOCK) {
        return decode_block(d, slot, node);
    }
    if (key->type == KEY_CUSTOM) {
        ASSERT(key->decode != NULL);
        return key->decode(d->reader, node, slot->field);
    }
    return decode_elements(d, slot, node);
}

/* A key that is not given: its default, an empty block, or a mistake. */
static enum status decode_absent(struct decoder *d, const struct slot *slot)
{
    const struct key *key = slot->key;
    const struct job *job = &d->jobs[slot->job];
    if (key->fallback != NULL) {
        struct yaml_node *node = NULL;
        enum status st = keys_value_fallback(key, d->reader->arena, d->reader->diags, &node);
        if (st == ST_OK && !yaml_is_null(node)) {
            return decode_value(d, slot, node);
        }
        return st == ST_NO_MEMORY ? st : ST_OK;
    }
    if (key->is_required && job->node != NULL) {
        struct str place = place_text(d, slot->job);
        REPORT(d, job->pos, "%.*s lacks the required key \"%s\"", STR_ARG(place), key->name);
    }
    return key->type == KEY_BLOCK ? decode_block(d, slot, NULL) : ST_OK;
}

static enum status run_job(struct decoder *d, size_t index)
{
    const struct job job = d->jobs[index]; /* a copy: the array grows */
    for (size_t i = 0; i < job.keys->count; i++) {
        const struct key *key = &job.keys->rows[i];
        struct slot slot = {.job = index, .key = key, .field = job.target + key->offset};
        const struct yaml_node *node = yaml_get(job.node, str_from(key->name));
        bool is_given = node != NULL && !yaml_is_null(node);
        enum status st = is_given ? decode_value(d, &slot, node) : decode_absent(d, &slot);
        if (st != ST_OK) {
            return st;
        }
    }
    for (size_t i = 0; job.node != NULL && i < job.node->count; i++) {
        if (find_row(job.keys, job.node->keys[i]->text) == NULL) {
            report_unknown_key(d, index, job.node->keys[i]);
        }
    }
    return ST_OK;
}

static bool stands_after(const struct diag *a, const struct diag *b)
{
    if (!str_eq(a->file, b->file)) {
        return false;
    }
    return a->pos.line > b->pos.line ||
           (a->pos.line == b->pos.line && a->pos.column > b->pos.column);
}

/* Puts the diagnostics from `first` on into the order of the file: blocks are decoded outside in. */
static void sort_diags(struct diags *diags, size_t first)
{
    for (size_t i = first + 1; i < diags->count; i++) {
        struct diag moving = diags->items[i];
        size_t at = i;
        while (at > first && stands_after(&diags->items[at - 1], &moving)) {
            diags->items[at] = diags->items[at - 1];
            at--;
        }
        diags->items[at] = moving;
    }
}

enum status keys_decode(const struct keys *keys, struct key_reader *reader,
                        const struct yaml_node *node, void *ret)
{
    bool is_empty = node == NULL || yaml_is_null(node);
    struct decoder d = {.reader = reader, .file = node != NULL ? node->file : STR("")};
    struct job job = {.keys = keys,
                      .node = is_empty ? &no_keys : node,
                      .target = ret,
                      .label = keys->name,
                      .parent = no_parent,
                      .pos = node != NULL ? node->pos : (struct pos){0, 0}};
    size_t errors = reader->diags->errors;
    size_t first = reader->diags->count;
    memset(ret, 0, keys->size);
    enum status st = push_job(&d, &job);
    for (size_t i = 0; i < d.count && st == ST_OK; i++) {
        st = run_job(&d, i);
    }
    mem_free(d.jobs);
    sort_diags(reader->diags, first);
    if (st == ST_OK && reader->diags->errors > errors) {
        return ST_INVALID;
    }
    return st;
}
