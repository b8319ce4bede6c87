/* See privacy.h. */
#include "gateway/privacy.h"

#include <stddef.h>

enum locality {
    LOCALITY_REMOTE,
    LOCALITY_LOCAL,
    LOCALITY_ANY,
};

static const char *const localities[] = {"remote", "local", "any", NULL};

static const struct key pattern_rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct privacy_pattern, name),
     .is_required = true,
     .sentence = "small letters, digits and _; in capitals it stands in the placeholder"},
    {.name = "match",
     .type = KEY_TEXT,
     .offset = offsetof(struct privacy_pattern, match),
     .is_required = true,
     .sentence = "regular expression (PCRE2) for what is replaced",
     .example = "'MRN[- ]?\\d{7}'"},
};

static const struct keys pattern_keys = {"pattern", sizeof(struct privacy_pattern), pattern_rows, 2,
                                         "What is private by an expression of one's own."};

static const struct key when_rows[] = {
    {.name = "category",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct privacy_when, categories),
     .sentence = "prompts of these categories, and prompts whose category is not known because "
                 "the client named the expert; none: all",
     .example = "[medical]"},
    {.name = "tenant",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct privacy_when, tenants),
     .sentence = "requests of these tenants; none: all"},
    {.name = "locality",
     .type = KEY_CHOICE,
     .offset = offsetof(struct privacy_when, locality),
     .choices = localities,
     .fallback = "remote",
     .sentence = "experts of this locality: remote, local or any"},
};

static const struct keys when_keys = {"redact_when", sizeof(struct privacy_when), when_rows, 3,
                                      "Which prompts, and on the way to which experts."};

static const struct key rule_rows[] = {
    {.name = "when",
     .type = KEY_BLOCK,
     .offset = offsetof(struct privacy_rule, when),
     .sentence = "which prompts, and on the way to which experts",
     .block = &when_keys},
    {.name = "kinds",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct privacy_rule, kinds),
     .sentence = "what is replaced: email, iban, card, national_id, medical_id, insurance_id, ip, "
                 "phone, birth_date, date, address, name, or all",
     .example = "[email, phone, card, iban, national_id, name]"},
    {.name = "patterns",
     .type = KEY_LIST,
     .offset = offsetof(struct privacy_rule, patterns),
     .sentence = "what else is replaced, by own expressions",
     .block = &pattern_keys},
    {.name = "tool_arguments",
     .type = KEY_BOOL,
     .offset = offsetof(struct privacy_rule, tool_arguments),
     .fallback = "true",
     .sentence = "also in the arguments of earlier tool calls"},
};

static const struct keys rule_keys_of_privacy = {
    "redact", sizeof(struct privacy_rule), rule_rows, 4,
    "Private data that is replaced by placeholders on the way out and restored in the answer."};

static const struct key log_rows[] = {
    {.name = "path",
     .type = KEY_TEXT,
     .offset = offsetof(struct privacy_log, path),
     .sentence = "file for one JSON line per prompt that goes to an expert, made with mode 0600; "
                 "none: prompts are not logged"},
    {.name = "redacted",
     .type = KEY_BOOL,
     .offset = offsetof(struct privacy_log, redacted),
     .fallback = "true",
     .sentence = "replace everything that is found, of every kind, in what is logged"},
};

static const struct keys log_keys = {"prompt_log", sizeof(struct privacy_log), log_rows, 2,
                                     "Prompts on disk."};

static const struct key rows[] = {
    {.name = "redact",
     .type = KEY_LIST,
     .offset = offsetof(struct privacy, redact),
     .sentence = "what is replaced by placeholders; all rules that hold count together",
     .block = &rule_keys_of_privacy},
    {.name = "prompt_log",
     .type = KEY_BLOCK,
     .offset = offsetof(struct privacy, prompt_log),
     .sentence = "prompts on disk; off without a path",
     .block = &log_keys},
};

const struct keys privacy_keys = {"privacy", sizeof(struct privacy), rows, 2,
                                  "What leaves the house and what is written down."};

/* ---------------------------------------------------------------- build */

static enum status build_kinds(struct privacy_rule *rule, struct key_reader *reader,
                               struct str file)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < rule->kinds.count; i++) {
        enum redact_kind kind = REDACT_EMAIL;
        struct str name = rule->kinds.items[i];
        if (str_eq(name, STR("all"))) {
            rule->kind_bits = REDACT_ALL;
        } else if (redact_kind_of(name, &kind)) {
            rule->kind_bits |= 1U << kind;
        } else {
            diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                      "there is no kind of private data called \"%.*s\"", STR_ARG(name));
            st = ST_INVALID;
        }
    }
    if (rule->kinds.count == 0 && rule->patterns.count == 0) {
        diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                  "this rule has neither \"kinds\" nor \"patterns\": it would replace nothing");
        st = ST_INVALID;
    }
    return st;
}

static bool has_tenant(const struct tenants *tenants, struct str name)
{
    const struct tenant *items = tenants->list.items;
    for (size_t i = 0; i < tenants->list.count; i++) {
        if (str_eq(items[i].name, name)) {
            return true;
        }
    }
    return false;
}

static enum status complain(struct key_reader *reader, struct str file,
                            const struct privacy_rule *rule, const char *what, struct str name)
{
    diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos, "there is no %s \"%.*s\"", what,
              STR_ARG(name));
    return ST_INVALID;
}

/* A rule for experts of a place where there are none is misunderstood by whoever relies on it. */
static void advise_place(const struct privacy_rule *rule, const struct routes *routes,
                         struct key_reader *reader, struct str file)
{
    const struct expert *experts = routes->experts.items;
    bool is_local = rule->when.locality == LOCALITY_LOCAL;
    for (size_t i = 0; i < routes->experts.count; i++) {
        if (rule->when.locality == LOCALITY_ANY || expert_is_local(&experts[i]) == is_local) {
            return;
        }
    }
    diags_add(reader->diags, DIAG_WARNING, file, rule->id.pos,
              "this rule replaces nothing: it is about %s experts, and there is none",
              is_local ? "local" : "remote");
}

static enum status build_when(const struct privacy_rule *rule, const struct routes *routes,
                              const struct tenants *tenants, struct key_reader *reader,
                              struct str file)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < rule->when.categories.count; i++) {
        struct str name = rule->when.categories.items[i];
        if (routes_category(routes, name) == NULL) {
            st = complain(reader, file, rule, "category", name);
        }
    }
    for (size_t i = 0; i < rule->when.tenants.count; i++) {
        struct str name = rule->when.tenants.items[i];
        if (!has_tenant(tenants, name)) {
            st = complain(reader, file, rule, "tenant", name);
        }
    }
    advise_place(rule, routes, reader, file);
    return st;
}

/* The name in capitals, or the empty string if it is none. */
static struct str label_of(struct str name, struct arena *arena)
{
    char label[REDACT_LABEL_MAX];
    if (name.len == 0 || name.len > REDACT_LABEL_MAX) {
        return STR("");
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = c >= 'a' && c <= 'z';
        bool is_other = i > 0 && (c == '_' || (c >= '0' && c <= '9'));
        if (!is_letter && !is_other) {
            return STR("");
        }
        label[i] = is_letter ? (char)(c - ('a' - 'A')) : c;
    }
    return arena_copy(arena, (struct str){label, name.len});
}

static bool has_label(const struct privacy *privacy, struct str label)
{
    for (size_t i = 0; i < REDACT_KINDS + privacy->compiled_count; i++) {
        if (str_eq(privacy->labels[i], label)) {
            return true;
        }
    }
    return false;
}

static enum status build_pattern(struct privacy *privacy, const struct privacy_pattern *pattern,
                                 struct key_reader *reader, struct str file)
{
    char why[REDACT_WHY_BYTES] = "";
    struct str label = label_of(pattern->name, reader->arena);
    if (label.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    if (label.len == 0 || has_label(privacy, label)) {
        diags_add(
            reader->diags, DIAG_ERROR, file, pattern->id.pos,
            "the name of a pattern must be its own: at most %d small letters, digits and _, a "
            "letter first, and no kind's name; \"%.*s\" is not",
            REDACT_LABEL_MAX, STR_ARG(pattern->name));
        return ST_INVALID;
    }
    if (privacy->compiled_count == PRIVACY_PATTERNS_MAX) {
        diags_add(reader->diags, DIAG_ERROR, file, pattern->id.pos,
                  "there may be at most %d patterns", PRIVACY_PATTERNS_MAX);
        return ST_INVALID;
    }
    enum status st =
        redact_pattern_create(pattern->match, why, &privacy->compiled[privacy->compiled_count]);
    if (st == ST_INVALID) {
        diags_add(reader->diags, DIAG_ERROR, file, pattern->id.pos,
                  "the expression of pattern \"%.*s\" cannot be used: %s", STR_ARG(pattern->name),
                  why);
    }
    if (st == ST_OK) {
        privacy->labels[REDACT_KINDS + privacy->compiled_count++] = label;
    }
    return st;
}

static enum status build_patterns(struct privacy *privacy, struct privacy_rule *rule,
                                  struct key_reader *reader, struct str file)
{
    const struct privacy_pattern *patterns = rule->patterns.items;
    enum status all = ST_OK;
    for (size_t i = 0; i < rule->patterns.count; i++) {
        enum status st = build_pattern(privacy, &patterns[i], reader, file);
        if (st == ST_NO_MEMORY) {
            return st;
        }
        if (st == ST_OK) {
            rule->pattern_bits |= (uint64_t)1 << (privacy->compiled_count - 1);
        }
        all = st == ST_OK ? all : st;
    }
    return all;
}

enum status privacy_build(struct privacy *privacy, const struct routes *routes,
                          const struct tenants *tenants, struct key_reader *reader, struct str file)
{
    struct privacy_rule *rules = privacy->redact.items;
    enum status all = ST_OK;
    privacy->tenants = tenants;
    for (size_t i = 0; i < REDACT_KINDS; i++) {
        privacy->labels[i] = str_from(redact_kind_label((enum redact_kind)i));
    }
    for (size_t i = 0; i < privacy->redact.count; i++) {
        enum status kinds = build_kinds(&rules[i], reader, file);
        enum status when = build_when(&rules[i], routes, tenants, reader, file);
        enum status patterns = build_patterns(privacy, &rules[i], reader, file);
        if (patterns == ST_NO_MEMORY) {
            return ST_NO_MEMORY;
        }
        if (kinds != ST_OK || when != ST_OK || patterns != ST_OK) {
            all = ST_INVALID;
        }
    }
    return all;
}

void privacy_fini(struct privacy *privacy)
{
    for (size_t i = 0; i < privacy->compiled_count; i++) {
        redact_pattern_destroy(privacy->compiled[i]);
    }
    privacy->compiled_count = 0;
}

/* ---------------------------------------------------------------- ask */

static bool holds(const struct privacy_when *when, const struct privacy_facts *facts)
{
    bool is_category = when->categories.count == 0 || facts->category.len == 0;
    for (size_t i = 0; i < when->categories.count; i++) {
        is_category = is_category || str_eq(when->categories.items[i], facts->category);
    }
    bool is_tenant = when->tenants.count == 0;
    for (size_t i = 0; i < when->tenants.count; i++) {
        is_tenant = is_tenant || str_eq(when->tenants.items[i], facts->tenant);
    }
    return is_category && is_tenant &&
           (when->locality == LOCALITY_ANY ||
            (when->locality == LOCALITY_LOCAL) == facts->is_local);
}

static void add_patterns(const struct privacy *privacy, uint64_t bits, struct privacy_set *set)
{
    for (size_t i = 0; i < privacy->compiled_count; i++) {
        if ((bits >> i & 1) != 0) {
            set->patterns[i] = privacy->compiled[i];
            set->pattern_count = i + 1 > set->pattern_count ? i + 1 : set->pattern_count;
        }
    }
}

bool privacy_ask(const struct privacy *privacy, const struct privacy_facts *facts,
                 struct privacy_set *ret_set)
{
    const struct privacy_rule *rules = privacy->redact.items;
    bool is_any = false;
    *ret_set = (struct privacy_set){0};
    for (size_t i = 0; i < privacy->redact.count; i++) {
        if (holds(&rules[i].when, facts)) {
            is_any = true;
            ret_set->kinds |= rules[i].kind_bits;
            ret_set->tool_arguments = ret_set->tool_arguments || rules[i].tool_arguments;
            add_patterns(privacy, rules[i].pattern_bits, ret_set);
        }
    }
    return is_any;
}

enum redaction privacy_redaction(const void *ctx, struct str category,
                                 const struct key_texts *names, const struct expert *expert)
{
    const struct privacy *privacy = ctx;
    const struct tenant *tenants = privacy->tenants->list.items;
    size_t all = privacy->tenants->list.count;
    size_t count = names->count > 0 ? names->count : all > 0 ? all : 1;
    size_t redacted = 0;
    for (size_t i = 0; i < count; i++) {
        struct privacy_set set;
        struct privacy_facts facts = {.category = category, .is_local = expert_is_local(expert)};
        if (names->count > 0) {
            facts.tenant = names->items[i];
        } else if (all > 0) {
            facts.tenant = tenants[i].name;
        }
        redacted += privacy_ask(privacy, &facts, &set);
    }
    return redacted == 0       ? REDACTION_NEVER
           : redacted == count ? REDACTION_ALWAYS
                               : REDACTION_SOMETIMES;
}

void privacy_ask_all(const struct privacy *privacy, struct privacy_set *ret_set)
{
    *ret_set = (struct privacy_set){.kinds = REDACT_ALL, .tool_arguments = true};
    add_patterns(privacy, UINT64_MAX, ret_set);
}
