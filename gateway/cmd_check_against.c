/* expertd check --against: what a changed configuration would have done with the requests of which the
 * one in use keeps receipts. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/cmd.h"
#include "gateway/preview.h"
#include "gateway/receipts.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    TEXT_MAX_BYTES = 4 * 1024 * 1024,
};

struct sample { /* of what came lately */
    struct preview_request *items;
    size_t count;
    size_t unread; /* receipts without signals */
    struct arena *arena;
};

static enum status take(void *ctx, const struct receipt_row *row)
{
    struct sample *s = ctx;
    if (s->count == PREVIEW_REQUESTS_MAX) {
        return ST_OK;
    }
    struct preview_request *request = &s->items[s->count];
    enum status st = signals_read(row->signals, s->arena, &request->signals);
    request->made_ms = row->made_ms;
    s->count += st == ST_OK;
    s->unread += st == ST_INVALID;
    return st == ST_NO_MEMORY ? st : ST_OK;
}

static enum status read_receipts(const struct snapshot *old, struct sample *ret)
{
    struct db *db = cmd_open_state("check", old, DB_READ);
    if (db == NULL) {
        return ST_IO;
    }
    enum status st = receipts_last(db, PREVIEW_REQUESTS_MAX, take, ret);
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd check: %s: %s\n", status_text(st), db_why(db));
    }
    db_close(db);
    return st;
}

static enum status print(const struct preview *p, bool is_json)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    enum status st = is_json ? preview_write(p, &text) : preview_write_text(p, &text);
    if (st == ST_OK) {
        (void)printf("%.*s%s", STR_ARG(buf_str(&text)), is_json ? "\n" : "");
    }
    buf_fini(&text);
    return st;
}

int cmd_check_against(const struct snapshot *candidate, const struct snapshot *old, bool is_json)
{
    struct preview preview;
    struct sample sample = {.items = mem_zalloc(PREVIEW_REQUESTS_MAX, sizeof *sample.items)};
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    sample.arena = arena;
    enum status st = sample.items == NULL || arena == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = read_receipts(old, &sample);
    }
    if (st == ST_OK && sample.count == 0) {
        (void)fputs("expertd check: there are no receipts with signals: state.receipts: replayable "
                    "makes them\n",
                    stderr);
        st = ST_NOT_FOUND;
    }
    if (st == ST_OK) {
        const struct preview_source source = {sample.items, sample.count, clock_wall_s()};
        st = preview_run(old, candidate, &source, arena, &preview);
    }
    if (st == ST_OK) {
        st = print(&preview, is_json);
    }
    if (st == ST_NO_MEMORY) {
        (void)fputs("expertd check: no memory\n", stderr);
    }
    arena_destroy(arena);
    mem_free(sample.items);
    return st == ST_OK ? 0 : 1;
}
