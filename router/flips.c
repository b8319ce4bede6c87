/* See flips.h. */
#include "router/flips.h"

#include "router/eval_put.h"

static size_t category_of(const struct flips *f, const struct classifier_result *r)
{
    return (double)r->p[r->best] < f->threshold ? f->general : r->best;
}

static double rate(size_t part, size_t all)
{
    return all > 0 ? (double)part / (double)all : 0.0;
}

void flips_add(struct flips *f, enum perturb_kind kind, const struct classifier_result *before,
               const struct classifier_result *after)
{
    struct flips_count *count = &f->kinds[kind];
    bool is_flipped = before->best != after->best;
    bool is_above = !((double)before->p[before->best] < f->threshold);
    count->rows++;
    count->flipped += is_flipped;
    count->above += is_above;
    count->above_flipped += is_above && is_flipped;
    count->rerouted += category_of(f, before) != category_of(f, after);
}

struct flips_count flips_total(const struct flips *f)
{
    struct flips_count total = {0};
    for (size_t i = 0; i < PERTURB_KINDS; i++) {
        total.rows += f->kinds[i].rows;
        total.flipped += f->kinds[i].flipped;
        total.above += f->kinds[i].above;
        total.above_flipped += f->kinds[i].above_flipped;
        total.rerouted += f->kinds[i].rerouted;
    }
    return total;
}

static void put_line(struct put *p, const char *name, const struct flips_count *c)
{
    put(p, "%-12s %7zu %8.4f %7zu %8.4f %9.4f\n", name, c->rows, rate(c->flipped, c->rows),
        c->above, rate(c->above_flipped, c->above), rate(c->rerouted, c->rows));
}

static void put_object(struct put *p, const char *name, const struct flips_count *c)
{
    put(p,
        "\"%s\":{\"rows\":%zu,\"flip_rate\":%.4f,\"above\":%zu,\"above_flip_rate\":%.4f,"
        "\"reroute_rate\":%.4f}",
        name, c->rows, rate(c->flipped, c->rows), c->above, rate(c->above_flipped, c->above),
        rate(c->rerouted, c->rows));
}

enum status flips_write_text(const struct flips *f, struct buf *out)
{
    struct put p = {out, ST_OK};
    struct flips_count total = flips_total(f);
    put(&p, "\n%-12s %7s %8s %7s %8s %9s\n", "changed", "rows", "flipped", "above", "flipped",
        "rerouted");
    for (unsigned i = 0; i < PERTURB_KINDS; i++) {
        put_line(&p, perturb_name((enum perturb_kind)i), &f->kinds[i]);
    }
    put_line(&p, "all", &total);
    return p.st;
}

enum status flips_write_json(const struct flips *f, struct buf *out)
{
    struct put p = {out, ST_OK};
    struct flips_count total = flips_total(f);
    put(&p, "{");
    put_object(&p, "all", &total);
    for (unsigned i = 0; i < PERTURB_KINDS; i++) {
        put(&p, ",");
        put_object(&p, perturb_name((enum perturb_kind)i), &f->kinds[i]);
    }
    put(&p, "}");
    return p.st;
}
