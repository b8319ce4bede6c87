/* See guards.h. The window is cut into lines and these into pieces between blanks. Pieces tell noise
 * (data, implausible words, repetition); lines tell code and logs; a table of thresholds decides.
 * Thresholds were set on prompts and noise made for that, see docs/classifier.md. */
#include "router/guards.h"

#include <limits.h>
#include <string.h>

#include "base/utf8.h"
#include "router/features.h"
#include "router/scripts.h"

enum {
    LINE_PIECES_RECENT = 2, /* a word repeats when one of the last two was the same */
    DATA_BYTES_MIN = 16,    /* shorter runs of hex digits and base64 can be names */
    PERIOD_MAX = 4,
    LETTERS_FOR_MASH = 6,
};

struct tally { /* of one text; sizes in bytes unless the name says more */
    const int8_t *pairs;
    size_t solid;   /* without blanks */
    size_t letters; /* one beyond ASCII counts two */
    size_t capitals;
    size_t digits;
    size_t bad;      /* control characters and invalid UTF-8 */
    size_t beyond;   /* valid, not ASCII */
    size_t switches; /* neighbours of different classes inside pieces */
    size_t data;     /* in hex, base64, identifiers of 16 bytes and more */
    size_t pieces;
    size_t repeats;          /* pieces that one of the two before equals */
    size_t same[PERIOD_MAX]; /* bytes that equal the one so many before */
    size_t pair_count;       /* of Latin letters, word borders included */
    long pair_sum;           /* of the model's logarithms */
    size_t key_steps;        /* pairs of letters that are neighbours on a keyboard */
    uint64_t recent[LINE_PIECES_RECENT];
    size_t code;         /* in lines like code */
    size_t keyworded;    /* in lines that begin like code and go on like prose */
    size_t strong_lines; /* that only code has */
    size_t sealed_lines; /* that are code by themselves, without others of their kind */
    size_t marks;        /* brackets and the like */
    size_t commands;     /* \\word, as in TeX */
    size_t log;          /* in lines like a log's or a trace's */
};

enum byte_class {
    BYTE_LOWER,
    BYTE_UPPER,
    BYTE_DIGIT,
    BYTE_MARK,  /* what code is full of: brackets, ; = _ */
    BYTE_POINT, /* what prose has, too */
    BYTE_BLANK,
    BYTE_CONTROL,
    BYTE_BEYOND,
};

/* By byte, as digits: members of enum byte_class. */
static const char ascii_classes[] =
    "6666666665555566666666666666666654444444334444442222222222433334" /* controls, blanks, digits */
    "4111111111111111111111111113434340000000000000000000000000034346"; /* letters */

static enum byte_class class_of(unsigned char c)
{
    return c >= 0x80 ? BYTE_BEYOND : (enum byte_class)(ascii_classes[c] - '0');
}

static bool is_word(const char *three)
{
    return class_of((unsigned char)three[0]) == BYTE_LOWER &&
           class_of((unsigned char)three[1]) == BYTE_LOWER &&
           class_of((unsigned char)three[2]) == BYTE_LOWER;
}

/* ---------------------------------------------------------------- pieces */

struct piece { /* what stands between two blanks */
    struct str text;
    size_t counts[BYTE_BEYOND + 1];
    size_t switches;
    size_t commands;
};

static void count_piece(struct piece *p)
{
    enum byte_class before = BYTE_BLANK;
    for (size_t i = 0; i < p->text.len; i++) {
        enum byte_class class = class_of((unsigned char)p->text.ptr[i]);
        p->counts[class]++;
        p->switches += class != before;
        before = class;
        if (p->text.ptr[i] == '\\') {
            p->commands += i + 3 < p->text.len && is_word(p->text.ptr + i + 1);
        }
    }
}

static bool consists_of(struct str text, const char *alphabet)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(alphabet, text.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Hex digits, identifiers and base64: long, of that alphabet alone, and mixed as no word is. */
static bool is_data(const struct piece *p)
{
    size_t len = p->text.len;
    if (len < DATA_BYTES_MIN) {
        return false;
    }
    size_t letters = p->counts[BYTE_LOWER] + p->counts[BYTE_UPPER];
    if (p->counts[BYTE_DIGIT] > 0 && consists_of(p->text, "0123456789abcdefABCDEF-")) {
        return letters > 0 || p->counts[BYTE_POINT] == 4; /* figures alone are a number */
    }
    return p->switches * 3 >= len && p->counts[BYTE_LOWER] > 0 && p->counts[BYTE_UPPER] > 0 &&
           consists_of(p->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789+/=-_");
}

/* Place on a keyboard (qwertyuiop, asdfghjkl, zxcvbnm): row * 16 + column. */
static int key_of(unsigned letter)
{
    static const signed char places[26] = {
        16, 36, 34, 18, 2, 19, 20, 21, 7,  22, 23, 24, 38,
        37, 8,  9,  0,  3, 17, 4,  6,  35, 1,  33, 5,  32,
    };
    return places[letter];
}

/* Pairs of letters, with the borders of words as a letter of its own. */
static void count_pairs(struct tally *t, struct str piece)
{
    unsigned before = 0;
    for (size_t i = 0; i <= piece.len; i++) {
        unsigned c = i < piece.len ? (unsigned char)piece.ptr[i] | 0x20U : ' ';
        unsigned letter = c >= 'a' && c <= 'z' ? c - 'a' + 1 : 0;
        if (letter == 0 && before == 0) {
            continue;
        }
        t->pair_sum += t->pairs[before * LANGUAGE_PAIR_LETTERS + letter];
        t->pair_count++;
        if (letter != 0 && before != 0) {
            int step = key_of(letter - 1) - key_of(before - 1);
            t->key_steps += step == 1 || step == -1 || step == 0;
        }
        before = letter;
    }
}

static void count_repeat(struct tally *t, struct str piece)
{
    uint64_t hash = str_hash(str_slice(piece, 0, 32));
    t->repeats += hash == t->recent[0] || hash == t->recent[1];
    t->recent[1] = t->recent[0];
    t->recent[0] = hash;
}

static void take_piece(struct tally *t, struct str text)
{
    struct piece p = {.text = text};
    count_piece(&p);
    size_t beyond = p.counts[BYTE_BEYOND];
    t->pieces++;
    t->solid += text.len;
    t->letters += p.counts[BYTE_LOWER] + p.counts[BYTE_UPPER];
    t->capitals += p.counts[BYTE_UPPER];
    t->digits += p.counts[BYTE_DIGIT];
    t->bad += p.counts[BYTE_CONTROL];
    t->beyond += beyond;
    t->marks += p.counts[BYTE_MARK];
    t->commands += p.commands;
    t->switches += p.switches - 1;
    count_repeat(t, text);
    if (is_data(&p)) {
        t->data += text.len;
    } else if (t->pairs != NULL && p.counts[BYTE_LOWER] + p.counts[BYTE_UPPER] > 0) {
        count_pairs(t, text);
    }
}

/* ----------------------------------------------------------------- lines */

struct line {
    struct str text;  /* without blanks at both ends */
    bool is_indented; /* by a tab or two blanks and more */
    size_t solid;     /* of its pieces */
    size_t marks;
};

/* Ordered by nothing; each with its blank or bracket, so that "classic" is no class. */
static bool starts_with_any(struct str line, const struct str *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].ptr[0] == line.ptr[0] && str_starts_with(line, words[i])) {
            return true;
        }
    }
    return false;
}

static bool starts_like_code(struct str line)
{
    static const struct str words[] = {
        STR_INIT("#include"),  STR_INIT("#define"),   STR_INIT("#!/"),      STR_INIT("def "),
        STR_INIT("class "),    STR_INIT("import "),   STR_INIT("from "),    STR_INIT("function "),
        STR_INIT("public "),   STR_INIT("private "),  STR_INIT("static "),  STR_INIT("const "),
        STR_INIT("let "),      STR_INIT("var "),      STR_INIT("return "),  STR_INIT("package "),
        STR_INIT("using "),    STR_INIT("func "),     STR_INIT("fn "),      STR_INIT("struct "),
        STR_INIT("enum "),     STR_INIT("if ("),      STR_INIT("if("),      STR_INIT("for ("),
        STR_INIT("for("),      STR_INIT("while ("),   STR_INIT("while("),   STR_INIT("print("),
        STR_INIT("println!("), STR_INIT("echo "),     STR_INIT("elif "),    STR_INIT("else:"),
        STR_INIT("else {"),    STR_INIT("try:"),      STR_INIT("except"),   STR_INIT("@"),
        STR_INIT("SELECT "),   STR_INIT("select "),   STR_INIT("INSERT "),  STR_INIT("UPDATE "),
        STR_INIT("CREATE "),   STR_INIT("ALTER "),    STR_INIT("<?"),       STR_INIT("<!"),
        STR_INIT("</"),        STR_INIT("console."),  STR_INIT("async "),   STR_INIT("await "),
        STR_INIT("export "),   STR_INIT("template<"), STR_INIT("for i in"), STR_INIT("impl "),
        STR_INIT("if err"),    STR_INIT("with open"), STR_INIT("int "),     STR_INIT("void "),
        STR_INIT("FROM "),     STR_INIT("WHERE "),    STR_INIT("RUN "),     STR_INIT("```"),
    };
    return starts_with_any(line, words, sizeof words / sizeof words[0]);
}

static bool starts_like_log(struct str line)
{
    static const struct str words[] = {
        STR_INIT("Traceback (most"),
        STR_INIT("File \""),
        STR_INIT("Caused by:"),
        STR_INIT("goroutine "),
        STR_INIT("panic:"),
        STR_INIT("Exception in"),
        STR_INIT("thread '"),
        STR_INIT("error["),
        STR_INIT("error: "),
        STR_INIT("fatal: "),
        STR_INIT("[ERROR]"),
        STR_INIT("[INFO]"),
        STR_INIT("[WARN"),
        STR_INIT("ERROR"),
        STR_INIT("WARN"),
        STR_INIT("INFO"),
        STR_INIT("DEBUG"),
        STR_INIT("npm ERR!"),
        STR_INIT("Segmentation"),
        STR_INIT("E/AndroidRun"),
        STR_INIT("Unhandled"),
    };
    return starts_with_any(line, words, sizeof words / sizeof words[0]);
}

/* The time of day in the head of a log line: 12:00:01, alone or after a date. */
static bool starts_with_time(struct str line)
{
    struct str head = str_slice(line, 0, 28);
    for (size_t i = 2; i + 5 < head.len; i++) {
        const char *at = head.ptr + i;
        if (at[0] == ':' && at[3] == ':' && class_of((unsigned char)at[-1]) == BYTE_DIGIT &&
            class_of((unsigned char)at[1]) == BYTE_DIGIT &&
            class_of((unsigned char)at[4]) == BYTE_DIGIT) {
            return true;
        }
    }
    return false;
}

/* "SomethingError: ", "FooException: ", or "at name(", as traces have them. */
static bool is_trace(struct str line)
{
    if (str_starts_with(line, STR("at ")) && line.len > 5) {
        return str_find_char(line, '(') != line.len || str_find_char(line, ':') != line.len;
    }
    size_t colon = str_find_char(line, ':');
    struct str head = str_slice(line, 0, colon);
    return colon < line.len && str_find_char(head, ' ') == head.len &&
           (str_ends_with(head, STR("Error")) || str_ends_with(head, STR("Exception")));
}

static bool ends_like_code(struct str line)
{
    char last = line.ptr[line.len - 1];
    return last == ';' || last == '{' || last == '}' ||
           (last == ':' && line.len > 2 && line.ptr[line.len - 2] == ')');
}

static void take_line(struct tally *t, const struct line *line)
{
    if (starts_like_log(line->text) || is_trace(line->text) || starts_with_time(line->text)) {
        t->log += line->solid;
        return;
    }
    bool has_marks = line->marks > 0 || ends_like_code(line->text);
    bool is_dense = line->marks * 8 >= line->solid;
    bool is_strong = (ends_like_code(line->text) && line->marks > 0) ||
                     (starts_like_code(line->text) && has_marks);
    t->strong_lines += is_strong;
    t->sealed_lines += ends_like_code(line->text) &&
                       (starts_like_code(line->text) || line->marks * 7 >= line->solid);
    if (is_strong || is_dense || (line->is_indented && t->strong_lines > 0)) {
        t->code += line->solid;
        /* what a trace quotes belongs to it */
        t->log += line->is_indented && t->log > 0 ? line->solid : 0;
    } else if (starts_like_code(line->text)) {
        t->keyworded += line->solid;
    }
}

/* Bytes that equal the one `period` before; sixteen at a time, as vectors of the compiler's. */
static size_t count_same(struct str text, size_t period)
{
    typedef signed char bytes16 __attribute__((vector_size(16)));

    _Static_assert((int)FEATURES_WINDOW_BYTES / 16 <= SCHAR_MAX, "a lane counts that far");
    size_t count = 0;
    size_t i = period;
    bytes16 lanes = {0};
    for (; i + sizeof lanes <= text.len; i += sizeof lanes) {
        bytes16 here;
        bytes16 before;
        memcpy(&here, text.ptr + i, sizeof here);
        memcpy(&before, text.ptr + i - period, sizeof before);
        lanes -= here == before; /* true is -1 */
    }
    for (size_t k = 0; k < sizeof lanes; k++) {
        count += (size_t)lanes[k];
    }
    for (; i < text.len; i++) {
        count += text.ptr[i] == text.ptr[i - period];
    }
    return count;
}

static void take_text(struct tally *t, struct str text)
{
    struct str rest = text;
    struct str raw;
    while (str_split(rest, '\n', &raw, &rest)) {
        struct line line = {.text = str_trim(raw)};
        size_t solid = t->solid;
        size_t marks = t->marks;
        for (size_t i = 0; i < raw.len;) {
            size_t from = i;
            while (i < raw.len && class_of((unsigned char)raw.ptr[i]) != BYTE_BLANK) {
                i++;
            }
            if (i > from) {
                take_piece(t, (struct str){raw.ptr + from, i - from});
            }
            i++;
        }
        if (line.text.len == 0) {
            continue;
        }
        line.is_indented = str_starts_with(raw, STR("  ")) || str_starts_with(raw, STR("\t"));
        line.solid = t->solid - solid;
        line.marks = t->marks - marks;
        take_line(t, &line);
    }
    for (size_t period = 1; period <= PERIOD_MAX; period++) {
        t->same[period - 1] += count_same(text, period);
    }
}

/* ---------------------------------------------------------------- verdict */

static float share(size_t part, size_t whole)
{
    float s = whole == 0 ? 0.0F : (float)part / (float)whole;
    return s > 1.0F ? 1.0F : s;
}

struct verdict {
    enum guard_kind kind;
    float least; /* share from which on it holds */
    const char *reason;
    float (*measure)(const struct tally *t);
};

static float measure_bad(const struct tally *t)
{
    return share(10 * t->bad, t->solid); /* a tenth is all */
}

static float measure_same(const struct tally *t)
{
    size_t most = 0;
    for (size_t i = 0; i < PERIOD_MAX; i++) {
        most = t->same[i] > most ? t->same[i] : most;
    }
    return t->solid < 8 || t->letters * 2 < t->solid ? 0.0F : share(most, t->solid - 1);
}

static float measure_repeats(const struct tally *t)
{
    return t->pieces < 6 ? 0.0F : share(t->repeats, t->pieces - 1);
}

static float measure_data(const struct tally *t)
{
    return share(t->data, t->solid);
}

/* Printable characters drawn from all of the keyboard: no blanks, every class, hardly two alike in a
 * row. Formulas have blanks, or no capitals, or fewer marks. */
static float measure_random(const struct tally *t)
{
    size_t others = t->solid - t->letters - t->digits;
    bool is_mixed = t->letters * 3 >= t->solid && t->capitals * 8 >= t->solid &&
                    others * 5 >= t->solid && t->solid >= 14 * t->pieces;
    return t->beyond > 0 || !is_mixed ? 0.0F : share(t->switches, t->solid);
}

/* How far letters follow each other as in no word; 1/2 is where words never are. The fewer there are,
 * the rarer they have to be: abbreviations are rare, too. */
static float measure_mash(const struct tally *t)
{
    static const float usual = 40.0F; /* -16 ln P, mean of a pair; prose: 42, dice: 62 */
    static const float spread = 20.0F;
    static const float doubt = 140.0F;

    if (t->pair_count < LETTERS_FOR_MASH || t->beyond > 0) {
        return 0.0F;
    }
    float n = (float)t->pair_count;
    float rare = ((float)-t->pair_sum / n - doubt / n - usual) / spread;
    return rare < 0.0F ? 0.0F : rare > 1.0F ? 1.0F : rare;
}

static float measure_keys(const struct tally *t)
{
    return t->pair_count < LETTERS_FOR_MASH ? 0.0F : share(t->key_steps, t->pair_count);
}

static float measure_log(const struct tally *t)
{
    return share(t->log, t->solid);
}

static float measure_code(const struct tally *t)
{
    bool is_enough = t->strong_lines >= 2 || t->sealed_lines >= 1;
    bool is_formula = t->commands * 40 > t->solid || t->beyond * 4 > t->solid;
    return is_enough && !is_formula ? share(t->code + t->keyworded, t->solid) : 0.0F;
}

/* The first that holds is the verdict. */
static const struct verdict verdicts[] = {
    {GUARD_NOISE, 1.0F, "bytes that are no text", measure_bad},
    {GUARD_NOISE, 0.7F, "the same characters over and over", measure_same},
    {GUARD_NOISE, 0.8F, "the same words over and over", measure_repeats},
    {GUARD_NOISE, 0.8F, "data such as hex, base64 or identifiers", measure_data},
    {GUARD_LOG, 0.6F, "lines of a log or a stack trace", measure_log},
    {GUARD_CODE, 0.75F, "lines of source code", measure_code},
    {GUARD_NOISE, 0.55F, "characters drawn at random", measure_random},
    {GUARD_NOISE, 0.5F, "letters that form no words", measure_mash},
    {GUARD_NOISE, 0.5F, "a run over the keyboard", measure_keys},
};

/* Letters beyond ASCII, and bytes that are no UTF-8. */
static void count_beyond(struct tally *t, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        uint32_t point = 0;
        size_t length = 1;
        if ((unsigned char)text.ptr[i] >= 0x80) {
            length = utf8_decode(str_slice(text, i, 4), &point);
            t->letters += length > 0 && scripts_of(point) != SCRIPT_NONE ? 2 : 0;
            t->bad += length == 0;
            length = length == 0 ? 1 : length;
        }
        i += length;
    }
}

void guards_judge(const struct language_model *model, struct str text, struct guard *ret_guard)
{
    struct tally t = {.pairs = model == NULL ? NULL : language_pairs(model)};
    struct str parts[2];
    utf8_window(text, FEATURES_HEAD_BYTES, FEATURES_TAIL_BYTES, &parts[0], &parts[1]);
    for (size_t i = 0; i < 2; i++) {
        size_t beyond = t.beyond;
        take_text(&t, parts[i]);
        if (t.beyond != beyond) {
            count_beyond(&t, parts[i]);
        }
    }
    *ret_guard = (struct guard){GUARD_PROSE, 0.0F, ""};
    if (t.letters + t.digits < 2 && t.bad == 0) {
        *ret_guard = (struct guard){GUARD_EMPTY, 1.0F, "no letters and no digits, or a single one"};
        return;
    }
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        float measured = verdicts[i].measure(&t);
        if (measured >= verdicts[i].least) {
            *ret_guard = (struct guard){verdicts[i].kind, measured, verdicts[i].reason};
            return;
        }
    }
}

const char *guards_kind_text(enum guard_kind kind)
{
    static const char *const texts[] = {
#define GUARDS_TEXT(name, text, sentence) [GUARD_##name] = text,
        GUARDS(GUARDS_TEXT)
#undef GUARDS_TEXT
    };
    return texts[kind];
}
