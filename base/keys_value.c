/* See keys_value.h. Numbers are decimal and nothing else: what other YAML readers take for octal,
 * hexadecimal, sexagesimal or yes/no is refused, or is text where text is wanted. */
#include "base/keys_value.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/assert.h"

enum {
    PRICE_DECIMALS_MAX = 9,    /* a nano-USD */
    PRICE_USD_MAX = 1000000,   /* per million tokens; more is a slip of the unit */
    PRICE_WHOLE_DIGITS_MAX = 7 /* of PRICE_USD_MAX */
};

static const int64_t nano_per_usd = 1000000000;

struct unit {
    const char *name;
    int64_t bytes;
};

static const struct unit units[] = {
    {"GiB", 1LL << 30}, {"MiB", 1LL << 20}, {"KiB", 1LL << 10},
    {"GB", 1000000000}, {"MB", 1000000},    {"KB", 1000},
    {"kB", 1000},       {"B", 1},           {"", 1},
};

/* ---- words ---- */

static void say(struct keys_words *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct keys_words *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->len, sizeof w->text - w->len, format, args);
    va_end(args);
    if (n > 0) {
        size_t room = sizeof w->text - 1 - w->len;
        w->len += (size_t)n < room ? (size_t)n : room;
    }
}

static void say_bytes(struct keys_words *w, double bytes)
{
    for (size_t i = 0; i < 3; i++) { /* the binary units, largest first */
        double unit = (double)units[i].bytes;
        if (bytes >= unit && fmod(bytes, unit) <= 0.0) {
            say(w, "%.0f%s", bytes / unit, units[i].name);
            return;
        }
    }
    say(w, "%.0f", bytes);
}

static void say_bound(struct keys_words *w, const struct key *key, double bound)
{
    if (key->type == KEY_BYTES) {
        say_bytes(w, bound);
    } else {
        say(w, "%.15g", bound);
    }
}

static bool has_min(const struct key *key)
{
    return key->min > 0.0 || key->min < 0.0 || key->max > 0.0 || key->max < 0.0;
}

static bool has_max(const struct key *key)
{
    return has_min(key) && key->max >= key->min;
}

static void say_range(struct keys_words *w, const struct key *key)
{
    if (has_max(key)) {
        say(w, " from ");
        say_bound(w, key, key->min);
        say(w, " to ");
        say_bound(w, key, key->max);
    } else if (has_min(key)) {
        say(w, " from ");
        say_bound(w, key, key->min);
        say(w, " up");
    }
    if (key->unit != NULL) {
        say(w, has_min(key) ? " %s" : " (%s)", key->unit);
    }
}

static void say_choices(struct keys_words *w, const struct key *key)
{
    say(w, "one of ");
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        const char *glue = i == 0 ? "" : key->choices[i + 1] == NULL ? " or " : ", ";
        say(w, "%s%s", glue, key->choices[i]);
    }
}

static void say_custom(struct keys_words *w, const struct key *key)
{
    static const struct {
        const char *type; /* of JSON Schema */
        const char *words;
    } rows[] = {
        {"array", "a list"},           {"object", "a mapping"}, {"string", "text"},
        {"integer", "a whole number"}, {"number", "a number"},  {"boolean", "true or false"},
    };

    const char *type = key->custom_type != NULL ? key->custom_type : "any value";
    const char *words = type;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        words = strcmp(rows[i].type, type) == 0 ? rows[i].words : words;
    }
    say(w, "%s", words);
}

void keys_value_words(const struct key *key, struct keys_words *ret_words)
{
    ret_words->len = 0;
    switch (key->type) {
    case KEY_TEXT:
    case KEY_SECRET:
        say(ret_words, "text");
        break;
    case KEY_PATH:
        say(ret_words, "a path");
        break;
    case KEY_INT:
        say(ret_words, "a whole number");
        say_range(ret_words, key);
        break;
    case KEY_REAL:
        say(ret_words, "a number");
        say_range(ret_words, key);
        break;
    case KEY_BOOL:
        say(ret_words, "true or false");
        break;
    case KEY_BYTES:
        say(ret_words, "a size such as 4096, 512KiB or 8MB%s", has_min(key) ? "," : "");
        say_range(ret_words, key);
        break;
    case KEY_PRICE:
        say(ret_words, "%s with at most %d decimals",
            key->unit != NULL && strcmp(key->unit, "USD") == 0
                ? "an amount in USD"
                : "a price in USD per million tokens",
            PRICE_DECIMALS_MAX);
        say_range(ret_words, key);
        break;
    case KEY_CHOICE:
        say_choices(ret_words, key);
        break;
    case KEY_TEXT_LIST:
        say(ret_words, "a list of texts");
        break;
    case KEY_BLOCK:
        say(ret_words, "a mapping of keys");
        break;
    case KEY_MAP:
        say(ret_words, "a mapping of names, each to a mapping of keys (%s)", key->block->name);
        break;
    case KEY_LIST:
        say(ret_words, "a list of mappings (%s)", key->block->name);
        break;
    case KEY_CUSTOM:
        say_custom(ret_words, key);
        break;
    }
}

bool keys_value_is_scalar(enum key_type type)
{
    return type <= KEY_CHOICE;
}

/* ---- numbers ---- */

static bool in_range(const struct key *key, double value)
{
    return (!has_min(key) || value >= key->min) && (!has_max(key) || value <= key->max);
}

static size_t digits(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9') {
        n++;
    }
    return n;
}

/* Text in quotes is text. From the environment it may be a number: in { } and [ ] a reference
 * cannot be written without quotes. */
static bool is_text_only(const struct yaml_node *node, const char **ret_hint)
{
    if (node->is_quoted && !node->is_from_env) {
        *ret_hint = " (remove the quotes)";
        return true;
    }
    return false;
}

/* The whole part of a decimal number: no leading zero, which other readers take for octal. */
static bool has_octal_look(struct str s, const char **ret_hint)
{
    struct str unsigned_part = str_slice(s, str_starts_with(s, STR("-")) ? 1 : 0, SIZE_MAX);
    if (digits(unsigned_part) > 1 && unsigned_part.ptr[0] == '0') {
        *ret_hint = " (remove the leading zero)";
        return true;
    }
    return false;
}

static enum status decode_int(const struct key *key, struct str text, int64_t *field,
                              const char **ret_hint)
{
    int64_t value = 0;
    enum status st = str_to_int(text, &value);
    if (st != ST_OK || has_octal_look(text, ret_hint) || !in_range(key, (double)value)) {
        return ST_INVALID;
    }
    *field = value;
    return ST_OK;
}

static enum status decode_real(const struct key *key, struct str text, double *field,
                               const char **ret_hint)
{
    double value = 0.0;
    enum status st = str_to_real(text, &value);
    if (st != ST_OK || !isfinite(value) || has_octal_look(text, ret_hint) ||
        !in_range(key, value)) {
        return ST_INVALID;
    }
    *field = value;
    return ST_OK;
}

static enum status decode_bool(const struct yaml_node *node, bool *field, const char **ret_hint)
{
    if (str_eq(node->text, STR("true")) || str_eq(node->text, STR("false"))) {
        *field = node->text.len == 4;
        return ST_OK;
    }
    static const char *const yes_or_no[] = {"yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof yes_or_no / sizeof yes_or_no[0]; i++) {
        if (str_eq_nocase(node->text, str_from(yes_or_no[i]))) {
            *ret_hint = i % 2 == 0 ? " (write true)" : " (write false)";
        }
    }
    return ST_INVALID;
}

/* With a unit, quotes are fine: JSON cannot write a size without. */
static enum status decode_bytes(const struct key *key, const struct yaml_node *node, int64_t *field,
                                const char **ret_hint)
{
    struct str text = node->text;
    size_t n = digits(text);
    struct str number = str_slice(text, 0, n);
    struct str rest = str_slice(text, n, SIZE_MAX);
    struct str unit = str_slice(rest, str_starts_with(rest, STR(" ")) ? 1 : 0, SIZE_MAX);
    int64_t value = 0;
    enum status st = str_to_int(number, &value);
    if (st != ST_OK || has_octal_look(number, ret_hint) ||
        (unit.len == 0 && is_text_only(node, ret_hint))) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!str_eq(unit, str_from(units[i].name))) {
            continue;
        }
        if (__builtin_mul_overflow(value, units[i].bytes, &value) ||
            !in_range(key, (double)value)) {
            return ST_INVALID;
        }
        *field = value;
        return ST_OK;
    }
    *ret_hint = " (the units are B, kB, MB, GB and KiB, MiB, GiB)";
    return ST_INVALID;
}

/* Exact: digits are moved, never rounded. */
static enum status decode_price(const struct key *key, struct str text, int64_t *field,
                                const char **ret_hint)
{
    size_t whole = digits(text);
    struct str rest = str_slice(text, whole, SIZE_MAX);
    struct str decimals = STR("");
    if (rest.len > 1 && rest.ptr[0] == '.') {
        decimals = str_slice(rest, 1, SIZE_MAX);
        rest = str_slice(decimals, digits(decimals), SIZE_MAX);
    }
    if (whole == 0 || whole > PRICE_WHOLE_DIGITS_MAX || rest.len > 0 ||
        decimals.len > PRICE_DECIMALS_MAX || has_octal_look(text, ret_hint)) {
        return ST_INVALID;
    }
    int64_t value = 0;
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (text.ptr[i] - '0');
    }
    for (size_t i = 0; i < PRICE_DECIMALS_MAX; i++) {
        value = value * 10 + (i < decimals.len ? decimals.ptr[i] - '0' : 0);
    }
    if (value > PRICE_USD_MAX * nano_per_usd ||
        !in_range(key, (double)value / (double)nano_per_usd)) {
        return ST_INVALID;
    }
    *field = value;
    return ST_OK;
}

/* ---- texts ---- */

static enum status decode_choice(const struct key *key, struct str text, int *field)
{
    for (int i = 0; key->choices[i] != NULL; i++) {
        if (str_eq(text, str_from(key->choices[i]))) {
            *field = i;
            return ST_OK;
        }
    }
    return ST_INVALID;
}

enum status keys_note_path(const struct key_reader *reader, struct str path)
{
    if (reader->paths == NULL || path.len == 0) {
        return ST_OK;
    }
    struct key_path *note = arena_alloc(reader->arena, sizeof *note);
    if (note == NULL) {
        return ST_NO_MEMORY;
    }
    *note = (struct key_path){path, *reader->paths};
    *reader->paths = note;
    return ST_OK;
}

bool keys_may_read(const struct key_reader *reader, const char *path)
{
    const struct key_trial *trial = reader->trial;
    if (trial == NULL || trial->may_read == NULL || trial->may_read(trial->ctx, path)) {
        return true;
    }
    diags_add(reader->diags, DIAG_ERROR, str_from(path), (struct pos){0, 0},
              "is not read for a trial: the configuration in use does not name it, and it is "
              "neither in that one's folder nor in a folder of its server.sandbox_read");
    return false;
}

static enum status decode_path(const struct key_reader *reader, struct str text, struct str *field)
{
    bool is_relative = text.len > 0 && text.ptr[0] != '/';
    if (!is_relative || reader->root.len == 0) {
        *field = text;
        return keys_note_path(reader, text);
    }
    const char *glue = str_ends_with(reader->root, STR("/")) ? "" : "/";
    struct str joined =
        arena_printf(reader->arena, "%.*s%s%.*s", STR_ARG(reader->root), glue, STR_ARG(text));
    if (joined.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    *field = joined;
    return keys_note_path(reader, joined);
}

enum status keys_value_decode(const struct key *key, const struct key_reader *reader,
                              const struct yaml_node *node, void *field, const char **ret_hint)
{
    *ret_hint = "";
    bool is_bare = key->type == KEY_INT || key->type == KEY_REAL || key->type == KEY_BOOL ||
                   key->type == KEY_PRICE;
    if (node->kind != YAML_SCALAR || (is_bare && is_text_only(node, ret_hint))) {
        return ST_INVALID;
    }
    switch (key->type) {
    case KEY_TEXT:
    case KEY_SECRET:
        *(struct str *)field = node->text;
        return ST_OK;
    case KEY_PATH:
        return decode_path(reader, node->text, field);
    case KEY_INT:
        return decode_int(key, node->text, field, ret_hint);
    case KEY_REAL:
        return decode_real(key, node->text, field, ret_hint);
    case KEY_BOOL:
        return decode_bool(node, field, ret_hint);
    case KEY_BYTES:
        return decode_bytes(key, node, field, ret_hint);
    case KEY_PRICE:
        return decode_price(key, node->text, field, ret_hint);
    case KEY_CHOICE:
        return decode_choice(key, node->text, field);
    case KEY_TEXT_LIST:
    case KEY_BLOCK:
    case KEY_MAP:
    case KEY_LIST:
    case KEY_CUSTOM:
        break;
    }
    ASSERT(keys_value_is_scalar(key->type));
    return ST_INVALID;
}

/* Defaults are plain words and numbers nearly always; those are spared the parser, which would be
 * most of the time of a reload. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\"'[]{}$&*!|>%@`#:,?~\n", text.ptr[i]) != NULL) {
            return false;
        }
    }
    return text.len > 0 && text.ptr[0] != ' ' && text.ptr[0] != '-';
}

enum status keys_value_fallback(const struct key *key, struct arena *arena, struct diags *diags,
                                struct yaml_node **ret_node)
{
    struct str text = str_from(key->fallback);
    if (!is_plain(text)) {
        return yaml_parse(text, STR("default"), arena, diags, ret_node);
    }
    struct yaml_node *node = arena_alloc(arena, sizeof *node);
    if (node == NULL) {
        return ST_NO_MEMORY;
    }
    node->kind = YAML_SCALAR;
    node->text = text;
    *ret_node = node;
    return ST_OK;
}
