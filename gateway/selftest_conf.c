/* See selftest_conf.h. Subtrees are copied as they stand in the file, as JSON, which is YAML: so keys
 * that this file has never heard of are tested with the others. */
#include "gateway/selftest_conf.h"

#include <inttypes.h>
#include <string.h>

#include "base/json_write.h"

static const char *const expert_members[] = {"price",    "context",  "reply_bytes",
                                             "breaker",  "queue",    "concurrency",
                                             "queue_ms", "locality", NULL};
static const char *const category_members[] = {"experts", "parent", NULL};

/* Written from what was decoded, or about what a self-test has not. */
static const char *const own_policies[] = {"deadline_ms", "backoff_ms", "backoff_max_ms", "degrade",
                                           NULL};

static bool is_among(const char *const names[], struct str name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (str_eq(name, str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- trees */

/* Whether a scalar means the same inside brackets, so that a number stays a number. */
static bool is_plain(const struct yaml_node *node)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
    bool is = !node->is_quoted && node->text.len > 0;
    for (size_t i = 0; is && i < node->text.len; i++) {
        is = strchr(letters, node->text.ptr[i]) != NULL && node->text.ptr[i] != '\0';
    }
    return is;
}

/* A dollar begins a variable of the environment: it was one already. */
static enum status write_text(struct buf *out, struct str text)
{
    enum status st = buf_append_char(out, '"');
    struct str head;
    while (st == ST_OK && text.len > 0) {
        size_t at = str_find_char(text, '$');
        head = str_slice(text, 0, at);
        st = json_write_escaped(out, head);
        if (st == ST_OK && at < text.len) {
            st = buf_append(out, STR("$$"));
        }
        text = str_slice(text, at + 1, text.len);
    }
    return st == ST_OK ? buf_append_char(out, '"') : st;
}

static enum status write_scalar(struct buf *out, const struct yaml_node *node)
{
    if (yaml_is_null(node)) {
        return buf_append(out, STR("null"));
    }
    return is_plain(node) ? buf_append(out, node->text) : write_text(out, node->text);
}

struct level { /* of a tree that is being written */
    const struct yaml_node *node;
    size_t next;
};

static enum status write_begin(struct buf *out, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR) {
        return write_scalar(out, node);
    }
    return buf_append_char(out, node->kind == YAML_MAPPING ? '{' : '[');
}

static enum status write_tree(struct buf *out, const struct yaml_node *node)
{
    struct level levels[YAML_DEPTH_MAX + 1] = {{node, 0}};
    size_t depth = 1;
    enum status st = write_begin(out, node);
    while (st == ST_OK && depth > 0) {
        struct level *level = &levels[depth - 1];
        const struct yaml_node *at = level->node;
        if (at->kind == YAML_SCALAR || level->next == at->count) {
            st = at->kind == YAML_SCALAR
                     ? ST_OK
                     : buf_append_char(out, at->kind == YAML_MAPPING ? '}' : ']');
            depth--;
            continue;
        }
        size_t i = level->next++;
        st = i > 0 ? buf_append(out, STR(", ")) : ST_OK;
        if (st == ST_OK && at->kind == YAML_MAPPING) {
            st = write_text(out, at->keys[i]->text);
            st = st == ST_OK ? buf_append(out, STR(": ")) : st;
        }
        levels[depth++] = (struct level){at->items[i], 0};
        st = st == ST_OK ? write_begin(out, at->items[i]) : st;
    }
    return st;
}

/* The members of a mapping that are among the names, or those that are not, each with a comma behind
 * it. node may be NULL. */
static enum status write_members(struct buf *out, const struct yaml_node *node,
                                 const char *const names[], bool is_wanted)
{
    enum status st = ST_OK;
    size_t count = node != NULL && node->kind == YAML_MAPPING ? node->count : 0;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        if (is_among(names, node->keys[i]->text) != is_wanted) {
            continue;
        }
        st = write_text(out, node->keys[i]->text);
        st = st == ST_OK ? buf_append(out, STR(": ")) : st;
        st = st == ST_OK ? write_tree(out, node->items[i]) : st;
        st = st == ST_OK ? buf_append(out, STR(", ")) : st;
    }
    return st;
}

/* ---------------------------------------------------------------- blocks */

static int64_t scaled(int64_t ms, int64_t divisor)
{
    return ms / divisor > 0 ? ms / divisor : 1;
}

/* Kernels have a breaker only where one is written down; those that this one stands for have. */
static enum status write_breaker(struct buf *out, const struct yaml_node *common)
{
    enum status st = buf_append(out, STR("\"breaker\": "));
    if (st == ST_OK) {
        st = common == NULL ? buf_append(out, STR("{}")) : write_tree(out, common);
    }
    return st == ST_OK ? buf_append(out, STR(", ")) : st;
}

/* Kernels that stand in for experts do not embed, and may not say so. node may be NULL. */
static enum status write_capabilities(struct buf *out, const struct yaml_node *node)
{
    const struct yaml_node *one = node;
    bool is_list = node != NULL && node->kind == YAML_SEQUENCE;
    size_t count = is_list ? node->count : node != NULL;
    enum status st = count > 0 || is_list ? buf_append(out, STR("\"capabilities\": [")) : ST_OK;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        one = is_list ? node->items[i] : node;
        if (!str_eq(one->text, STR("embed"))) {
            st = write_text(out, one->text);
            st = st == ST_OK ? buf_append(out, STR(", ")) : st;
        }
    }
    return st == ST_OK && (count > 0 || is_list) ? buf_append(out, STR("], ")) : st;
}

static enum status write_expert(struct buf *out, const struct selftest_conf *c,
                                const struct expert *e, const struct yaml_node *node)
{
    const struct expert_deadlines *d = &e->deadlines;
    bool is_failing = e == c->failing;
    int64_t divisor = is_failing ? c->divisor : 1;
    enum status st = write_text(out, e->id.name);
    st = st == ST_OK ? buf_append(out, STR(": {")) : st;
    st = st == ST_OK ? write_members(out, node, expert_members, true) : st;
    st = st == ST_OK ? write_capabilities(out, yaml_get(node, STR("capabilities"))) : st;
    if (st == ST_OK && e->kernel_spec.builtin == NULL && !e->kernel_spec.is_file &&
        yaml_get(node, STR("breaker")) == NULL) {
        st = write_breaker(out, yaml_get(yaml_get(c->root, STR("policies")), STR("breaker")));
    }
    if (st != ST_OK) {
        return st;
    }
    return buf_printf(out,
                      "\"deadlines\": {\"first_token_ms\": %" PRId64 ", \"idle_ms\": %" PRId64
                      ", \"total_ms\": %" PRId64 "}, \"kernel\": {\"fault\": {\"script\": [%s], "
                      "\"pieces\": 60}}},\n",
                      scaled(d->first_token_ms, divisor), scaled(d->idle_ms, divisor),
                      scaled(d->total_ms, divisor), is_failing ? c->script : "ok");
}

static enum status write_experts(struct buf *out, const struct selftest_conf *c)
{
    const struct key_array *list = &c->s->conf.routes.experts;
    const struct expert *experts = list->items;
    const struct yaml_node *block = yaml_get(c->root, STR("experts"));
    enum status st = buf_append(out, STR("\"experts\": {\n"));
    for (size_t i = 0; st == ST_OK && i < list->count; i++) {
        st = write_expert(out, c, &experts[i], yaml_get(block, experts[i].id.name));
    }
    return st == ST_OK ? buf_append(out, STR("},\n")) : st;
}

static enum status write_categories(struct buf *out, const struct selftest_conf *c)
{
    const struct key_array *list = &c->s->conf.routes.categories;
    const struct category *categories = list->items;
    const struct yaml_node *block = yaml_get(c->root, STR("categories"));
    if (list->count == 0) {
        return ST_OK;
    }
    enum status st = buf_append(out, STR("\"router\": {\"general\": "));
    st = st == ST_OK ? write_text(out, c->s->conf.routes.router.general) : st;
    st = st == ST_OK ? buf_append(out, STR("},\n\"categories\": {\n")) : st;
    for (size_t i = 0; st == ST_OK && i < list->count; i++) {
        st = write_text(out, categories[i].id.name);
        st = st == ST_OK ? buf_append(out, STR(": {")) : st;
        st = st == ST_OK ? write_members(out, yaml_get(block, categories[i].id.name),
                                         category_members, true)
                         : st;
        st = st == ST_OK ? buf_append(out, STR("},\n")) : st;
    }
    return st == ST_OK ? buf_append(out, STR("},\n")) : st;
}

static enum status write_policies(struct buf *out, const struct selftest_conf *c)
{
    const struct plan_settings *p = &c->s->conf.routes.policies.plan;
    enum status st = buf_append(out, STR("\"policies\": {"));
    if (st == ST_OK) {
        st = write_members(out, yaml_get(c->root, STR("policies")), own_policies, false);
    }
    if (st != ST_OK) {
        return st;
    }
    return buf_printf(out,
                      "\"deadline_ms\": %" PRId64 ", \"backoff_ms\": %" PRId64
                      ", \"backoff_max_ms\": %" PRId64 "}\n",
                      scaled(p->deadline_ms, c->divisor), p->backoff_ms / c->divisor,
                      p->backoff_max_ms / c->divisor);
}

enum status selftest_conf_write(const struct selftest_conf *c, struct buf *out)
{
    static const char server[] =
        "{\"server\": {\"listen\": \"127.0.0.1:0\", \"admin\": \"127.0.0.1:0\", \"workers\": 1, "
        "\"sandbox\": \"off\", \"access_log\": \"off\", \"drain_ms\": 2000, "
        "\"kernel_threads\": 4},\n\"state\": {\"path\": \"%.*s/state.db\", \"durability\": \"interval\"},\n";
    static const char *const aliases[] = {"aliases", NULL};
    enum status st = buf_printf(out, server, STR_ARG(c->folder));
    st = st == ST_OK ? write_experts(out, c) : st;
    st = st == ST_OK ? write_categories(out, c) : st;
    st = st == ST_OK ? write_members(out, c->root, aliases, true) : st;
    st = st == ST_OK ? write_policies(out, c) : st;
    return st == ST_OK ? buf_append(out, STR("}\n")) : st;
}
