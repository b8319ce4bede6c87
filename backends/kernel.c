/* The table of built-in kernels and making kernels: what the gateway does with them. See kernel.h. */
#include "backends/kernel.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel_inside.h"
#include "backends/kernel_options.h"
#include "backends/kernel_turn.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

enum {
    OPTIONS_MAX_BYTES = 16 * 1024 * 1024, /* more than any configuration may have */
};

static const struct kernel_builtin *const builtins[] = {
    &calc_kernel,   &lookup_kernel, &constant_kernel, &refuse_kernel,
    &tinylm_kernel, &fault_kernel,  &echo_kernel,
};

enum {
    BUILTINS = sizeof builtins / sizeof builtins[0]
};

/* Written once, before anybody reads. */
static const struct kernel_builtin *_Atomic lent;

const struct kernel_builtin *kernel_builtin(size_t n)
{
    return n < BUILTINS ? builtins[n] : n == BUILTINS ? lent : NULL;
}

void kernel_lend(const struct kernel_builtin *builtin)
{
    lent = builtin;
}

struct kernel *kernel_wrap(const struct ek_kernel *abi, struct ek_instance *instance)
{
    struct kernel *kernel = mem_zalloc(1, sizeof *kernel);
    if (kernel != NULL) {
        *kernel = (struct kernel){
            .abi = abi, .instance = instance, .grace_ms = KERNEL_GRACE_MS, .users = 1};
    }
    return kernel;
}

void kernel_ref(struct kernel *kernel)
{
    kernel->users++;
}

void kernel_unref(struct kernel *kernel)
{
    if (kernel == NULL || --kernel->users > 0) {
        return;
    }
    if (kernel->crew != NULL) {
        kernel_crew_release(kernel->crew);
        return;
    }
    kernel->abi->destroy(kernel->instance);
    mem_free(kernel);
}

uint32_t kernel_capabilities(const struct kernel *kernel)
{
    return kernel->crew != NULL ? kernel_crew_capabilities(kernel->crew)
                                : kernel->abi->info()->capabilities;
}

struct kernel_pool *kernel_own_pool(const struct kernel *kernel)
{
    return kernel->crew != NULL ? kernel_crew_pool(kernel->crew) : NULL;
}

size_t kernel_threads(const struct kernel *kernel)
{
    return kernel->threads;
}

void kernel_set_turn(struct kernel *kernel, struct kernel_turn *ret_turn)
{
    *ret_turn = (struct kernel_turn){
        .threads = kernel->threads, .grace_ms = kernel->grace_ms, .stuck = &kernel->stuck};
}

bool kernel_is_stuck(const struct kernel *kernel)
{
    return atomic_load(&kernel->stuck) > 0;
}

bool kernel_is_child(const struct kernel *kernel)
{
    return kernel->crew != NULL && kernel_crew_is_child(kernel->crew);
}

static struct ek_instance *instance_of(const struct kernel *kernel, size_t thread)
{
    return kernel->crew != NULL ? kernel_crew_instance(kernel->crew, thread) : kernel->instance;
}

enum ek_status kernel_generate(struct kernel *kernel, const struct kernel_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    *ret_result = (struct ek_result){
        .size = sizeof *ret_result, .prompt_tokens = -1, .completion_tokens = -1};
    *ret_error = (struct ek_error){.size = sizeof *ret_error, .retry_after_s = -1};
    enum ek_status status = kernel->abi->generate(instance_of(kernel, request->thread),
                                                  &request->ek, sink, ret_result, ret_error);
    if (kernel->crew != NULL && ret_result->finish > EK_FINISH_CUT) {
        ret_result->finish = EK_FINISH_CUT; /* later versions may know more */
    }
    ret_error->message[sizeof ret_error->message - 1] = '\0';
    ret_error->code[sizeof ret_error->code - 1] = '\0';
    return status;
}

static bool are_finite(const struct ek_vectors *v)
{
    bool are = true;
    for (size_t i = 0; i < v->width; i++) {
        are = are && isfinite(v->values[i]) != 0;
    }
    return are;
}

enum ek_status kernel_embed(struct kernel *kernel, struct kernel_vectors *vectors, struct str text,
                            struct ek_error *ret_error)
{
    struct ek_vectors *v = &vectors->ek;
    const struct ek_text one = kernel_text(text);
    *ret_error = (struct ek_error){.size = sizeof *ret_error, .retry_after_s = -1};
    v->width = 0;
    v->tokens = -1;
    if (kernel->abi->embed == NULL || (kernel_capabilities(kernel) & EK_CAP_EMBED) == 0) {
        return kernel_fail(ret_error, EK_UNSUPPORTED, "the expert does not embed");
    }
    enum ek_status status =
        kernel->abi->embed(instance_of(kernel, vectors->thread), &one, 1, v, ret_error);
    ret_error->message[sizeof ret_error->message - 1] = '\0';
    ret_error->code[sizeof ret_error->code - 1] = '\0';
    ret_error->option[sizeof ret_error->option - 1] = '\0';
    if (status == EK_TOO_LONG && v->width > v->capacity) {
        return kernel_fail(ret_error, EK_FAILED, "the expert's vectors have %zu numbers, over %zu",
                           v->width, v->capacity);
    }
    if (status != EK_OK) {
        return status;
    }
    if (v->width == 0 || v->width > v->capacity || !are_finite(v)) {
        return kernel_fail(ret_error, EK_FAILED, "the expert made no vector of numbers");
    }
    return v->dimensions == 0 || v->dimensions == v->width
               ? EK_OK
               : kernel_refuse_dimensions(ret_error, v->width, false);
}

int64_t kernel_count(struct kernel *kernel, size_t thread, struct str text)
{
    uint64_t tokens = 0;
    bool is_counted =
        kernel->abi->count != NULL &&
        kernel->abi->count(instance_of(kernel, thread), kernel_text(text), &tokens) == EK_OK &&
        tokens <= INT32_MAX;
    return is_counted ? (int64_t)tokens : kernel_count_tokens(text);
}

/* ---- making ---- */

/* Shows what create complained about, where it stands. */
static void complain(struct key_reader *reader, const struct yaml_node *options,
                     const struct kernel_builtin *builtin, const struct ek_error *error)
{
    const struct yaml_node *at = kernel_options_find(options, str_from(error->option));
    diags_add(reader->diags, DIAG_ERROR, at != NULL ? at->file : STR(""),
              at != NULL ? at->pos : (struct pos){0, 0}, "%s",
              error->message[0] != '\0' ? error->message : builtin->name);
}

static enum status create_instance(const struct kernel_builtin *builtin, struct key_reader *reader,
                                   const struct yaml_node *options, struct str json,
                                   struct ek_instance **ret_instance)
{
    struct ek_config config = {
        .size = sizeof config, .options = kernel_text(json), .folder = kernel_text(reader->root)};
    struct ek_error error = {.size = sizeof error, .retry_after_s = -1};
    enum ek_status status = builtin->abi->create(&config, ret_instance, &error);
    if (status == EK_NO_MEMORY) {
        return ST_NO_MEMORY;
    }
    if (status != EK_OK) {
        complain(reader, options, builtin, &error);
        return ST_INVALID;
    }
    return ST_OK;
}

/* {NAME: TEXT} is short for {NAME: {first option: TEXT}}. Writes the long form into the arena. NULL: no
 * memory. */
static const struct yaml_node *spell_out(const struct kernel_builtin *builtin, struct arena *arena,
                                         const struct yaml_node *text)
{
    struct yaml_node *node = arena_alloc(arena, sizeof *node);
    struct yaml_node *key = arena_alloc(arena, sizeof *key);
    struct yaml_node **pair = arena_alloc(arena, 2 * sizeof *pair);
    struct yaml_node *value = arena_alloc(arena, sizeof *value);
    if (node == NULL || key == NULL || pair == NULL || value == NULL) {
        return NULL;
    }
    *value = *text;
    *key = (struct yaml_node){.kind = YAML_SCALAR,
                              .pos = text->pos,
                              .file = text->file,
                              .text = str_from(builtin->keys->rows[0].name)};
    pair[0] = key;
    pair[1] = value;
    *node = (struct yaml_node){.kind = YAML_MAPPING,
                               .pos = text->pos,
                               .file = text->file,
                               .count = 1,
                               .keys = &pair[0],
                               .items = &pair[1]};
    return node;
}

/* A list that stands for a mapping with one key. NULL: no memory. */
static const struct yaml_node *wrap_list(struct arena *arena, const char *key,
                                         const struct yaml_node *list)
{
    struct {
        struct yaml_node mapping;
        struct yaml_node key;
        struct yaml_node *keys[1];
        struct yaml_node *items[1];
        struct yaml_node list;
    } *made = arena_alloc(arena, sizeof *made);

    if (made == NULL) {
        return NULL;
    }
    made->list = *list;
    made->key = (struct yaml_node){
        .kind = YAML_SCALAR, .pos = list->pos, .file = list->file, .text = str_from(key)};
    made->mapping = (struct yaml_node){.kind = YAML_MAPPING,
                                       .pos = list->pos,
                                       .file = list->file,
                                       .count = 1,
                                       .keys = made->keys,
                                       .items = made->items};
    made->keys[0] = &made->key;
    made->items[0] = &made->list;
    return &made->mapping;
}

/* Says it where more answers are asked for at once than may be computed: they will take turns. */
static void advise(struct key_reader *reader, const struct kernel_builtin *builtin,
                   const struct yaml_node *options)
{
    const struct yaml_node *at =
        builtin->parallel == NULL ? NULL : yaml_get(options, str_from(builtin->parallel));
    int64_t answers = 0;
    if (at != NULL && str_to_int(at->text, &answers) == ST_OK &&
        kernel_turn_exceeds(builtin->threads, answers)) {
        diags_add(reader->diags, DIAG_WARNING, at->file, at->pos,
                  "\"%s\" is %" PRId64
                  ", and server.kernel_cpus lets %zu threads compute at a time: "
                  "answers take turns",
                  builtin->parallel, answers, kernel_turn_most());
    }
}

enum status kernel_create(const struct kernel_builtin *builtin, struct key_reader *reader,
                          const struct yaml_node *options, struct kernel **ret_kernel)
{
    if (builtin->list_key != NULL && options != NULL && options->kind != YAML_MAPPING) {
        options = wrap_list(reader->arena, builtin->list_key, options);
        if (options == NULL) {
            return ST_NO_MEMORY;
        }
    }
    /* The key table sees the YAML itself, so that its complaints say where; create reads JSON. */
    void *decoded = arena_alloc(reader->arena, builtin->keys->size);
    struct ek_instance *instance = NULL;
    struct buf json;
    if (options != NULL && options->kind == YAML_SCALAR && builtin->keys->rows[0].is_required) {
        options = spell_out(builtin, reader->arena, options);
        decoded = options == NULL ? NULL : decoded;
    }
    if (decoded == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = keys_decode(builtin->keys, reader, options, decoded);
    if (st == ST_OK && reader->trial != NULL) {
        *ret_kernel = NULL;
        return ST_OK;
    }
    if (st == ST_OK) {
        advise(reader, builtin, options);
    }
    buf_init(&json, OPTIONS_MAX_BYTES);
    st = st == ST_OK ? kernel_options_write(options, &json) : st;
    st = st == ST_OK ? create_instance(builtin, reader, options, buf_str(&json), &instance) : st;
    buf_fini(&json);
    if (st != ST_OK) {
        return st == ST_TOO_BIG ? ST_NO_MEMORY : st;
    }
    struct kernel *kernel = kernel_wrap(builtin->abi, instance);
    if (kernel == NULL) {
        builtin->abi->destroy(instance);
        return ST_NO_MEMORY;
    }
    kernel->threads = builtin->threads;
    *ret_kernel = kernel;
    return ST_OK;
}
