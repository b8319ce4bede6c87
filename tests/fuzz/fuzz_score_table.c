/* Bytes as an evaluation table: no crash, and every cell that is accepted is sound. */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/assert.h"
#include "router/score_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct score_table *t = score_table_create();
    struct diags diags;
    diags_init(&diags, arena);
    enum status st =
        score_table_scan(t, (struct str){(const char *)data, size}, STR("scores"), &diags);
    ASSERT((st == ST_INVALID) == diags_has_errors(&diags));
    for (size_t c = 0; c < score_table_categories(t); c++) {
        for (size_t e = 0; e < score_table_experts(t); e++) {
            struct score_cell cell = score_table_cell(t, c, e);
            ASSERT(cell.right >= 0.0 && cell.right <= cell.count * (1.0 + 1e-9));
        }
    }
    score_table_destroy(t);
    arena_destroy(arena);
    return 0;
}
