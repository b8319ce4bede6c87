/* See talks.h. */
#include "bench/talks.h"

#include "base/file.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum {
    LINE_MAX_BYTES = 1 << 24
};

struct row { /* one message */
    bool is_user;
    bool is_assistant;
    struct talk_turn turn; /* texts.user holds the text, whoever said it */
};

static enum status take_text(struct json_reader *r, struct arena *arena, struct str *ret_text)
{
    struct json_value value = {0};
    if (!json_take(r, &value) || value.type != JSON_STRING) {
        return ST_INVALID;
    }
    struct buf text;
    buf_init(&text, LINE_MAX_BYTES);
    enum status st = json_decode(value, &text);
    if (st == ST_OK) {
        *ret_text = arena_copy(arena, buf_str(&text));
        st = ret_text->ptr == NULL ? ST_NO_MEMORY : ST_OK;
    }
    buf_fini(&text);
    return st;
}

static enum status read_accept(struct json_reader *r, struct arena *arena, struct talk_turn *turn)
{
    enum status st = json_open(r, JSON_ARRAY) ? ST_OK : ST_INVALID;
    while (st == ST_OK && json_next_item(r)) {
        if (turn->good_count == sizeof turn->good / sizeof turn->good[0]) {
            return ST_TOO_BIG;
        }
        turn->good_count = turn->good_count == 0 ? 1 : turn->good_count;
        st = take_text(r, arena, &turn->good[turn->good_count++]);
    }
    return st;
}

static enum status read_member(struct json_reader *r, struct arena *arena, struct json_value key,
                               struct row *row)
{
    struct json_value value = {0};
    if (json_text_is(key, STR("text"))) {
        return take_text(r, arena, &row->turn.texts.user);
    }
    if (json_text_is(key, STR("accept"))) {
        return read_accept(r, arena, &row->turn);
    }
    if (json_text_is(key, STR("label"))) {
        row->turn.good_count = row->turn.good_count == 0 ? 1 : row->turn.good_count;
        return take_text(r, arena, &row->turn.good[0]);
    }
    (void)json_take(r, &value); /* errors are sticky and seen by json_close */
    if (json_text_is(key, STR("role"))) {
        row->is_user = json_text_is(value, STR("user"));
        row->is_assistant = json_text_is(value, STR("assistant"));
    } else if (json_text_is(key, STR("change"))) {
        row->turn.is_change = value.type == JSON_TRUE;
    }
    return ST_OK;
}

static enum status read_turns(struct json_reader *r, struct arena *arena, struct talk *t)
{
    enum status st = json_open(r, JSON_ARRAY) ? ST_OK : ST_INVALID;
    while (st == ST_OK && json_next_item(r)) {
        struct row row = {0};
        struct json_value key;
        st = json_open(r, JSON_OBJECT) ? ST_OK : ST_INVALID;
        while (st == ST_OK && json_next_member(r, &key)) {
            st = read_member(r, arena, key, &row);
        }
        if (st == ST_OK && row.is_user) {
            if (t->count == TALK_TURNS_MAX) {
                return ST_TOO_BIG;
            }
            t->turns[t->count++] = row.turn;
        } else if (st == ST_OK && row.is_assistant && t->count > 0) {
            t->turns[t->count - 1].texts.reply = row.turn.texts.user;
        }
    }
    return st;
}

static enum status read_line(struct str line, struct arena *arena, struct talk *t)
{
    struct json_reader r;
    struct json_value key;
    enum status st = ST_OK;
    json_reader_init(&r, line);
    if (json_open(&r, JSON_OBJECT)) {
        while (st == ST_OK && json_next_member(&r, &key)) {
            if (json_text_is(key, STR("turns"))) {
                st = read_turns(&r, arena, t);
            } else {
                (void)json_take(&r, NULL); /* errors are sticky */
            }
        }
    }
    return st == ST_OK ? json_close(&r) : st;
}

enum status talks_read(const char *path, struct arena *arena, struct diags *diags,
                       struct talk **ret_first)
{
    struct str text;
    struct str line;
    struct talk *first = NULL;
    struct talk **last = &first;
    enum status st = file_map(path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct str rest = text;
    for (int number = 1; st == ST_OK && str_split(rest, '\n', &line, &rest); number++) {
        if (str_trim(line).len == 0) {
            continue;
        }
        struct talk *t = arena_alloc(arena, sizeof *t);
        st = t == NULL ? ST_NO_MEMORY : ST_OK;
        if (st == ST_OK) {
            *t = (struct talk){.count = 0};
            st = read_line(str_trim(line), arena, t);
            *last = t;
            last = &t->next;
        }
        if (st == ST_INVALID || st == ST_TOO_BIG) {
            diags_add(diags, DIAG_ERROR, str_from(path), (struct pos){number, 1},
                      "is no conversation: %s",
                      st == ST_INVALID ? "wrong JSON or types" : "too many turns or labels");
        }
    }
    file_unmap(text);
    if (st == ST_OK) {
        *ret_first = first;
    }
    return st;
}

void talk_until(const struct talk *t, size_t at, struct conversation *ret_talk)
{
    *ret_talk = (struct conversation){.count = 0};
    size_t from = at < CONVERSATION_TURNS_MAX ? 1 : at - (CONVERSATION_TURNS_MAX - 2);
    ret_talk->turns[ret_talk->count++] = t->turns[0].texts;
    for (size_t i = from; i <= at; i++) {
        ret_talk->turns[ret_talk->count++] = t->turns[i].texts;
    }
    ret_talk->turns[ret_talk->count - 1].reply = STR(""); /* nobody has answered it yet */
}
