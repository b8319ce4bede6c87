/* See prompt.h. The template sees a mark for each message's text, between two bytes that no template
 * has; the texts are put in where the marks come out. */
#include "kernels/llama/prompt.h"

#include <llama.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel.h"
#include "base/buf.h"
#include "base/mem.h"

enum {
    MARK = 1,         /* the byte around a message's number */
    MARK_BYTES = 24,  /* of a mark, terminated */
    SPARE_TOKENS = 8, /* begin and end of text, a blank */
    TEXT_MAX_BYTES = 256 * 1024 * 1024,
};

struct rendering { /* a prompt being written */
    const struct engine *engine;
    const struct prompt_style *style;
    const struct ek_request *request;
    struct buf frame; /* what the template says, with marks */
    struct buf text;  /* a stretch that is tokenized at once */
    struct prompt out;
    size_t cap; /* of out */
};

/* Of a message, or of the model's own system message, which counts as one more. */
static struct str text_of(const struct rendering *r, size_t i)
{
    return i < r->request->message_count ? kernel_str(r->request->messages[i].text)
                                         : r->style->default_system;
}

/* A role is one that templates know: never a client's own text. */
static const char *role_of(const struct ek_message *message)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct str role = kernel_str(message->role);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (str_eq(role, str_from(roles[i]))) {
            return roles[i];
        }
    }
    return str_eq(role, STR("developer")) ? "system" : "user";
}

/* ---- templates ---- */

enum ek_status prompt_choose(const struct engine *e, const char *name,
                             struct prompt_style *ret_style, struct ek_error *ret_error)
{
    const struct llama_chat_message hello = {"user", "hello"};
    const char *template =
        strcmp(name, "auto") == 0 ? llama_model_chat_template(e->model, NULL) : name;
    *ret_style = (struct prompt_style){NULL, STR("")};
    if (template == NULL || strcmp(name, "plain") == 0) {
        return EK_OK;
    }
    if (llama_chat_apply_template(template, &hello, 1, true, NULL, 0) <= 0) {
        (void)snprintf(ret_error->option, sizeof ret_error->option, "template");
        return kernel_fail(ret_error, EK_BAD_CONFIG,
                           template == name ? "libllama has no chat template of this name"
                                            : "libllama does not know the model's chat template: "
                                              "choose one by name");
    }
    ret_style->template = template;
    return EK_OK;
}

static enum status write_marks_alone(struct rendering *r)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->request->message_count; i++) {
        char mark[MARK_BYTES];
        (void)snprintf(mark, sizeof mark, "%s%c%zu%c", i > 0 ? "\n" : "", MARK, i, MARK);
        st = buf_append(&r->frame, str_from(mark));
    }
    return st;
}

/* The messages as the template sees them; returns how many. `chat` and `marks` have room for one more
 * than the request has. */
static size_t fill_chat(const struct rendering *r, struct llama_chat_message *chat,
                        char (*marks)[MARK_BYTES])
{
    size_t count = r->request->message_count;
    size_t n = 0;
    bool has_system = r->style->default_system.len == 0;
    for (size_t i = 0; i < count; i++) {
        has_system = has_system || strcmp(role_of(&r->request->messages[i]), "system") == 0;
    }
    if (!has_system) {
        (void)snprintf(marks[n], MARK_BYTES, "%c%zu%c", MARK, count, MARK);
        chat[n] = (struct llama_chat_message){"system", marks[n]};
        n++;
    }
    for (size_t i = 0; i < count; i++, n++) {
        (void)snprintf(marks[n], MARK_BYTES, "%c%zu%c", MARK, i, MARK);
        chat[n] = (struct llama_chat_message){role_of(&r->request->messages[i]), marks[n]};
    }
    return n;
}

static enum status apply(struct rendering *r, const struct llama_chat_message *chat, size_t count)
{
    const char *template = r->style->template;
    int32_t len = llama_chat_apply_template(template, chat, count, true, NULL, 0);
    char *room = len <= 0 ? NULL : buf_reserve(&r->frame, (size_t)len + 1);
    if (room == NULL) {
        return len <= 0 ? ST_INVALID : ST_NO_MEMORY;
    }
    (void)llama_chat_apply_template(template, chat, count, true, room, len + 1); /* as long */
    buf_commit(&r->frame, (size_t)len);
    return ST_OK;
}

static enum status write_frame(struct rendering *r)
{
    if (r->style->template == NULL) {
        return write_marks_alone(r);
    }
    size_t most = r->request->message_count + 1;
    struct llama_chat_message *chat = mem_zalloc(most, sizeof *chat);
    char(*marks)[MARK_BYTES] = mem_zalloc(most, sizeof *marks);
    enum status st =
        chat == NULL || marks == NULL ? ST_NO_MEMORY : apply(r, chat, fill_chat(r, chat, marks));
    mem_free(chat);
    mem_free(marks);
    return st;
}

/* ---- tokens ---- */

static enum status tokenize(struct rendering *r, struct str text, bool is_control)
{
    size_t wanted = r->out.count + text.len + SPARE_TOKENS;
    if (wanted > INT32_MAX) {
        return ST_TOO_BIG;
    }
    if (wanted > r->cap) {
        int32_t *ids = mem_resize(r->out.ids, wanted * sizeof *ids);
        if (ids == NULL) {
            return ST_NO_MEMORY;
        }
        r->out.ids = ids;
        r->cap = wanted;
    }
    int32_t n =
        llama_tokenize(r->engine->vocab, text.ptr, (int32_t)text.len, r->out.ids + r->out.count,
                       (int32_t)(r->cap - r->out.count), r->out.count == 0, is_control);
    if (n < 0) {
        return ST_INVALID;
    }
    r->out.count += (size_t)n;
    return ST_OK;
}

/* Whether the text would become a control token if it were the template's. */
static enum status looks_like_control(struct rendering *r, struct str text, bool *ret)
{
    enum status st = tokenize(r, text, true);
    *ret = false;
    for (size_t i = 0; st == ST_OK && i < r->out.count; i++) {
        enum llama_token_attr attr = llama_vocab_get_attr(r->engine->vocab, r->out.ids[i]);
        bool is_begin = i == 0 && r->out.ids[i] == llama_vocab_bos(r->engine->vocab);
        *ret = *ret ||
               (!is_begin &&
                ((unsigned)attr & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0);
    }
    r->out.count = 0;
    return st;
}

/* The stretch until now becomes tokens. */
static enum status flush(struct rendering *r, bool is_control)
{
    enum status st = r->text.len > 0 ? tokenize(r, buf_str(&r->text), is_control) : ST_OK;
    buf_reset(&r->text);
    return st;
}

/* Puts the texts where their marks are. `is_apart`: what clients wrote is tokenized by itself. */
static enum status fill_in(struct rendering *r, bool is_apart, bool is_control)
{
    struct str rest = buf_str(&r->frame);
    enum status st = ST_OK;
    while (st == ST_OK && rest.len > 0) {
        size_t at = str_find_char(rest, MARK);
        st = buf_append(&r->text, str_slice(rest, 0, at));
        if (at == rest.len || st != ST_OK) {
            break;
        }
        size_t number = 0;
        for (at++; at < rest.len && rest.ptr[at] != MARK; at++) {
            number = number * 10 + (size_t)(rest.ptr[at] - '0');
        }
        rest = str_slice(rest, at + 1, rest.len);
        st = is_apart ? flush(r, is_control) : ST_OK;
        st = st == ST_OK ? buf_append(&r->text, text_of(r, number)) : st;
        st = st == ST_OK && is_apart ? flush(r, false) : st;
    }
    return st == ST_OK ? flush(r, is_control) : st;
}

static enum status render(struct rendering *r)
{
    bool has_template = r->style->template != NULL;
    bool is_apart = false;
    enum status st = write_frame(r);
    for (size_t i = 0; st == ST_OK && has_template && !is_apart && i < r->request->message_count;
         i++) {
        st = looks_like_control(r, text_of(r, i), &is_apart);
    }
    return st == ST_OK ? fill_in(r, is_apart, has_template) : st;
}

static enum ek_status refuse_length(const struct engine *e, size_t tokens, const char *least,
                                    struct ek_error *ret_error)
{
    (void)snprintf(ret_error->code, sizeof ret_error->code, "context_length_exceeded");
    return kernel_fail(ret_error, EK_TOO_LONG,
                       "This model's maximum context length is %zu tokens. However, your messages "
                       "resulted in %s%zu tokens. Please reduce the length of the messages.",
                       e->context, least, tokens);
}

enum ek_status prompt_write(const struct engine *e, const struct prompt_style *style,
                            const struct ek_request *request, struct prompt *ret_prompt,
                            struct ek_error *ret_error)
{
    struct rendering r = {.engine = e, .style = style, .request = request};
    size_t bytes = 0;
    for (size_t i = 0; i < request->message_count; i++) {
        bytes += request->messages[i].text.len;
    }
    if (bytes / e->longest_token >= e->context) {
        return refuse_length(e, bytes / e->longest_token, "at least ", ret_error);
    }
    buf_init(&r.frame, TEXT_MAX_BYTES);
    buf_init(&r.text, TEXT_MAX_BYTES);
    enum status st = request->message_count == 0 ? ST_INVALID : render(&r);
    buf_fini(&r.frame);
    buf_fini(&r.text);
    enum ek_status status = EK_OK;
    if (st == ST_INVALID || (st == ST_OK && r.out.count == 0)) {
        status = kernel_fail(ret_error, EK_BAD_REQUEST, "the model cannot read these messages");
    } else if (st != ST_OK) {
        status = kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
    } else if (r.out.count >= e->context) {
        status = refuse_length(e, r.out.count, "", ret_error);
    }
    *ret_prompt = r.out;
    if (status != EK_OK) {
        prompt_fini(ret_prompt);
    }
    return status;
}

void prompt_fini(struct prompt *prompt)
{
    mem_free(prompt->ids);
    *prompt = (struct prompt){NULL, 0};
}

enum ek_status prompt_count(const struct engine *e, struct ek_text text, uint64_t *ret_tokens)
{
    struct rendering r = {.engine = e};
    enum status st = tokenize(&r, kernel_str(text), false);
    *ret_tokens = r.out.count;
    prompt_fini(&r.out);
    return st == ST_OK ? EK_OK : EK_FAILED;
}
