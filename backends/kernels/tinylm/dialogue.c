/* See dialogue.h. */
#include "backends/kernels/tinylm/dialogue.h"

enum {
    SPECIAL_MAX_BYTES = 40, /* the longest control token that a family writes, and more */
    MARKS_MAX = 2,
};

#define BOS "\001" /* the model's own tokens for begin and end of text, in the texts below */
#define EOS "\002"

enum speaker {
    SYSTEM,
    USER,
    ASSISTANT,
};

struct frame { /* around a message */
    const char *before;
    const char *after;
};

struct dialogue_family {
    const char *name;
    const char *marks[MARKS_MAX]; /* all stand in its templates */
    const char *absent;           /* this does not; NULL: anything may */
    struct frame frames[ASSISTANT + 1];
    const char
        *user_after_system; /* in place of what stands before a user's message; NULL: the same */
    const char *between;    /* messages */
    const char *end;        /* before the answer */
    bool trims;             /* blanks around messages */
};

/* More telling marks come first. */
static const struct dialogue_family families[] = {
    {
        .name = "chatml",
        .marks = {"<|im_start|>", "<|im_end|>"},
        .frames = {[SYSTEM] = {"<|im_start|>system\n", "<|im_end|>\n"},
                   [USER] = {"<|im_start|>user\n", "<|im_end|>\n"},
                   [ASSISTANT] = {"<|im_start|>assistant\n", "<|im_end|>\n"}},
        .between = "",
        .end = "<|im_start|>assistant\n",
    },
    {
        .name = "llama3",
        .marks = {"<|start_header_id|>", "<|eot_id|>"},
        .frames = {[SYSTEM] = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
                   [USER] = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
                   [ASSISTANT] = {"<|start_header_id|>assistant<|end_header_id|>\n\n",
                                  "<|eot_id|>"}},
        .between = "",
        .end = "<|start_header_id|>assistant<|end_header_id|>\n\n",
        .trims = true,
    },
    {
        .name = "llama2",
        .marks = {"[INST]", "<<SYS>>"},
        .frames = {[SYSTEM] = {BOS "[INST] <<SYS>>\n", "\n<</SYS>>\n\n"},
                   [USER] = {BOS "[INST] ", " [/INST]"},
                   [ASSISTANT] = {" ", " " EOS}},
        .user_after_system = "",
        .between = "",
        .end = "",
        .trims = true,
    },
    {
        .name = "zephyr",
        .marks = {"<|user|>", "eos_token"},
        .absent = "<|end|>",
        .frames = {[SYSTEM] = {"<|system|>\n", EOS "\n"},
                   [USER] = {"<|user|>\n", EOS "\n"},
                   [ASSISTANT] = {"<|assistant|>\n", EOS "\n"}},
        .between = "",
        .end = "<|assistant|>\n",
    },
    {
        .name = "alpaca",
        .marks = {"### Instruction:", "### Response:"},
        .frames = {[SYSTEM] = {"", "\n\n"},
                   [USER] = {"### Instruction:\n", "\n\n"},
                   [ASSISTANT] = {"### Response:\n", "\n\n"}},
        .between = "",
        .end = "### Response:\n",
    },
    {
        .name = "plain",
        .marks = {"content", "messages"},
        .absent = "role",
        .frames = {[SYSTEM] = {"", ""}, [USER] = {"", ""}, [ASSISTANT] = {"", ""}},
        .between = " ",
        .end = "",
    },
};

static const struct {
    const char *role;
    enum speaker speaker;
} speakers[] = {
    /* every other role speaks as a user does */
    {"system", SYSTEM},
    {"developer", SYSTEM},
    {"assistant", ASSISTANT},
};

static bool holds(struct str text, const char *part)
{
    return str_find(text, str_from(part)) < text.len;
}

const struct dialogue_family *dialogue_find(struct str name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (str_eq(name, str_from(families[i].name))) {
            return &families[i];
        }
    }
    return NULL;
}

const struct dialogue_family *dialogue_recognise(struct str chat_template)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct dialogue_family *f = &families[i];
        if (holds(chat_template, f->marks[0]) && holds(chat_template, f->marks[1]) &&
            (f->absent == NULL || !holds(chat_template, f->absent))) {
            return f;
        }
    }
    return NULL;
}

struct str dialogue_names(void)
{
    return STR("chatml, llama3, llama2, zephyr, alpaca, plain");
}

struct str dialogue_default_system(const struct dialogue_family *family, struct str chat_template)
{
    /* as in '<|im_start|>system\nYou are …<|im_end|>\n', where \n may be a line end or two characters */
    static const struct str head = STR_INIT("<|im_start|>system");
    if (family != &families[0]) {
        return STR("");
    }
    size_t at = str_find(chat_template, head);
    struct str rest = str_slice(chat_template, at + head.len, chat_template.len);
    bool is_escaped = str_starts_with(rest, STR("\\n"));
    if (!is_escaped && !str_starts_with(rest, STR("\n"))) {
        return STR("");
    }
    rest = str_slice(rest, is_escaped ? 2 : 1, rest.len);
    size_t end = str_find(rest, STR("<|im_end|>"));
    struct str text = str_slice(rest, 0, end);
    bool is_plain = end < rest.len && str_find_char(text, '\'') == text.len &&
                    str_find_char(text, '{') == text.len && str_find_char(text, '\\') == text.len &&
                    str_find_char(text, '"') == text.len;
    return is_plain ? text : STR("");
}

/* ---- writing ---- */

static enum status write_run(struct dialogue *d)
{
    /* a run starts the prompt or stands after a control token */
    enum status st = vocab_encode(d->vocab, buf_str(d->run), true, d->out);
    buf_reset(d->run);
    return st;
}

static enum status write_control(struct dialogue *d, int32_t id)
{
    enum status st = write_run(d);
    bool is_second_bos = id == vocab_bos(d->vocab) && d->out->count == 1 && d->out->ids[0] == id;
    return st != ST_OK || id == VOCAB_NONE || is_second_bos ? st : tokens_add(d->out, id);
}

/* The longest control token that a family's text starts with, or VOCAB_NONE. */
static int32_t special_at(const struct dialogue *d, struct str text, size_t *ret_len)
{
    size_t most = text.len < SPECIAL_MAX_BYTES ? text.len : SPECIAL_MAX_BYTES;
    for (size_t len = most; len > 1 && (text.ptr[0] == '<' || text.ptr[0] == '['); len--) {
        int32_t id = vocab_special(d->vocab, str_slice(text, 0, len));
        if (id != VOCAB_NONE) {
            *ret_len = len;
            return id;
        }
    }
    return VOCAB_NONE;
}

/* Text of a family: the only place where control tokens come from. */
static enum status write_frame(struct dialogue *d, const char *frame)
{
    struct str text = str_from(frame);
    enum status st = ST_OK;
    while (st == ST_OK && text.len > 0) {
        size_t n = 1;
        int32_t id = special_at(d, text, &n);
        if (text.ptr[0] == BOS[0]) {
            st = write_control(d, vocab_bos(d->vocab));
        } else if (text.ptr[0] == EOS[0]) {
            st = write_control(d, vocab_eos(d->vocab));
        } else if (id != VOCAB_NONE) {
            st = write_control(d, id);
        } else {
            st = buf_append_char(d->run, text.ptr[0]);
        }
        text = str_slice(text, n, text.len);
    }
    return st;
}

enum status dialogue_begin(struct dialogue *d, const struct dialogue_family *family,
                           const struct vocab *vocab, struct buf *run, struct tokens *out)
{
    *d = (struct dialogue){.family = family, .vocab = vocab, .out = out, .run = run};
    return vocab_wants_bos(vocab) ? tokens_add(out, vocab_bos(vocab)) : ST_OK;
}

static enum speaker speaker_of(struct str role)
{
    for (size_t i = 0; i < sizeof speakers / sizeof speakers[0]; i++) {
        if (str_eq(role, str_from(speakers[i].role))) {
            return speakers[i].speaker;
        }
    }
    return USER;
}

enum status dialogue_add(struct dialogue *d, struct str role, struct str text)
{
    const struct dialogue_family *f = d->family;
    enum speaker speaker = speaker_of(role);
    const char *before = f->frames[speaker].before;
    if (speaker == USER && d->is_after_system && f->user_after_system != NULL) {
        before = f->user_after_system;
    }
    d->is_after_system = speaker == SYSTEM;
    enum status st = d->messages++ > 0 ? write_frame(d, f->between) : ST_OK;
    st = st == ST_OK ? write_frame(d, before) : st;
    st = st == ST_OK ? buf_append(d->run, f->trims ? str_trim(text) : text) : st;
    return st == ST_OK ? write_frame(d, f->frames[speaker].after) : st;
}

enum status dialogue_end(struct dialogue *d)
{
    enum status st = write_frame(d, d->family->end);
    return st == ST_OK ? write_run(d) : st;
}
