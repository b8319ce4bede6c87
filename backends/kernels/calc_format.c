/* See calc_format.h. Exact results are shown exactly; what is rounded says so by its sign. */
#include "backends/kernels/calc_format.h"

#include <stdio.h>

enum {
    DIGITS_SHOWN = 12,     /* of a result that has no end */
    PLACES_EXACT_MAX = 30, /* an ending decimal up to here is written out */
    FRACTION_MAX = 40,     /* bytes of a fraction that is shown beside its decimal */
    MAGNITUDE_MIN = -30,   /* smaller results are written as 1.2e-45 */
    MAGNITUDE_MAX = 60,    /* so are larger ones that are not whole */
};

#define ABOUT " \xE2\x89\x88 "

struct written { /* how a value is shown */
    struct rational q;
    struct str label; /* unit, or empty */
    bool is_approximate;
    bool is_percent;
};

/* ---- units ---- */

static struct str power_text(int8_t power)
{
    static const char *const texts[] = {"", "", "\xC2\xB2", "\xC2\xB3"};
    return power <= 3 ? str_from(texts[power]) : STR("^?");
}

/* "km/h", "kg·m²": the label of a product of units. */
static struct str target_label(struct arena *arena, const struct calc_target *target, size_t count,
                               bool is_one)
{
    struct str label = STR("");
    for (size_t i = 0; i < count; i++) {
        bool divides = target[i].power < 0;
        int8_t power = (int8_t)(divides ? -target[i].power : target[i].power);
        const char *sign = "";
        if (i > 0 || divides) {
            sign = divides ? "/" : "\xC2\xB7";
        }
        struct str name = units_label(target[i].unit, divides || is_one);
        struct str exponent = power_text(power);
        if (power > 3) {
            exponent = arena_printf(arena, "^%d", power);
        }
        label = arena_printf(arena, "%.*s%s%.*s%.*s", STR_ARG(label), sign, STR_ARG(name),
                             STR_ARG(exponent));
    }
    return label;
}

/* Divides q by the target's factors. False: it measures something else. */
static bool convert(struct calc_evaluator *ev, const struct calc_value *v,
                    const struct calc_target *target, size_t count, struct rational *q)
{
    struct unit_dims dims = {{0}};
    struct rational factor;
    rational_init(&factor);
    rational_set(q, &v->q);
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        for (size_t k = 0; k < UNIT_QUANTITIES; k++) {
            dims.powers[k] =
                (int8_t)(dims.powers[k] + target[i].power * target[i].unit->dims.powers[k]);
        }
        if (v->is_point) {
            units_offset(target[i].unit, &factor);
            st = rational_sub(q, &factor);
        }
        units_factor(target[i].unit, &factor);
        st = st == ST_OK ? rational_pow(&factor, target[i].power) : st;
        st = st == ST_OK ? rational_div(q, &factor) : st;
    }
    rational_fini(&factor);
    if (st != ST_OK) {
        ev->problem = CALC_TOO_BIG;
    } else if (!units_same_dims(&dims, &v->dims)) {
        ev->problem = CALC_UNITS_DIFFER;
    }
    return ev->problem == CALC_FINE;
}

/* The base quantity that a unit is a first power of, UNIT_QUANTITIES if it is none. */
static size_t single_quantity(const struct unit *unit)
{
    size_t found = UNIT_QUANTITIES;
    for (size_t k = 0; k < UNIT_QUANTITIES; k++) {
        if (unit->dims.powers[k] == 0) {
            continue;
        }
        if (unit->dims.powers[k] != 1 || found != UNIT_QUANTITIES) {
            return UNIT_QUANTITIES;
        }
        found = k;
    }
    return found;
}

/* A unit for a result that none was asked for: the first one of the expression that measures the
 * same, or a product of those in the expression, or of the base units. */
static size_t choose_target(const struct calc_evaluator *ev, const struct calc_expression *e,
                            const struct unit_dims *dims, struct calc_target *target)
{
    static const char *const base_units[UNIT_QUANTITIES] = {"m", "kg", "s", "K", "b"};
    const struct unit *units[UNIT_QUANTITIES] = {NULL};
    for (size_t i = 0; i < e->count; i++) {
        if (e->items[i].op != CALC_OP_UNIT && e->items[i].op != CALC_OP_ONE) {
            continue;
        }
        const struct calc_token *token = &ev->tokens->items[e->items[i].token];
        if (token->power == 1 && units_same_dims(&token->unit->dims, dims)) {
            target[0] = (struct calc_target){token->unit, 1};
            return 1;
        }
        size_t quantity = single_quantity(token->unit);
        if (quantity < UNIT_QUANTITIES && units[quantity] == NULL) {
            units[quantity] = token->unit;
        }
    }
    size_t count = 0;
    for (int sign = 1; sign >= -1; sign -= 2) { /* what divides comes last */
        for (size_t k = 0; k < UNIT_QUANTITIES; k++) {
            if (dims->powers[k] * sign > 0) {
                const struct unit *unit =
                    units[k] != NULL ? units[k] : units_find(str_from(base_units[k]));
                target[count++] = (struct calc_target){unit, dims->powers[k]};
            }
        }
    }
    return count;
}

/* Finds the unit and converts into it. False: ev->problem says why not. */
static bool settle_unit(struct calc_evaluator *ev, const struct calc_expression *e,
                        const struct calc_value *v, struct written *w)
{
    struct calc_target chosen[UNIT_QUANTITIES];
    const struct calc_target *target = e->target;
    size_t count = e->target_count;
    if (count == 0) {
        count = choose_target(ev, e, &v->dims, chosen);
        target = chosen;
    }
    if (!convert(ev, v, target, count, &w->q)) {
        return false;
    }
    struct rational one;
    rational_init(&one);
    rational_set_int(&one, 1);
    bool is_one = rational_cmp(&w->q, &one) <= 0;
    rational_fini(&one);
    w->label = target_label(ev->arena, target, count, is_one);
    if (w->label.ptr == NULL) {
        ev->st = ST_NO_MEMORY;
    }
    return true;
}

/* ---- numbers ---- */

static enum status write_unit(const struct written *w, struct buf *out)
{
    if (w->is_percent) {
        return buf_append_char(out, '%');
    }
    if (w->label.len == 0) {
        return ST_OK;
    }
    enum status st = buf_append_char(out, ' ');
    return st == ST_OK ? buf_append(out, w->label) : st;
}

/* " = 1.25e-45": a decimal with one digit before the point, times a power of ten. */
static enum status write_scientific(const struct written *w, struct buf *out)
{
    int64_t magnitude = rational_magnitude(&w->q);
    struct rational mantissa;
    rational_init(&mantissa);
    rational_set(&mantissa, &w->q);
    rational_shift(&mantissa, -magnitude);
    int64_t places = rational_places(&mantissa);
    bool is_exact = !w->is_approximate && places >= 0 && places < DIGITS_SHOWN;
    enum status st = buf_append(out, is_exact ? STR(" = ") : STR(ABOUT));
    if (st == ST_OK) {
        st = rational_write_decimal(&mantissa, is_exact ? places : DIGITS_SHOWN - 1, out);
    }
    if (st == ST_OK) {
        st = buf_printf(out, "e%lld", (long long)magnitude);
    }
    rational_fini(&mantissa);
    return st == ST_OK ? write_unit(w, out) : st;
}

/* " = X" or " ≈ X" with the unit. */
static enum status write_rounded(const struct written *w, int64_t places, struct buf *out)
{
    int64_t exact = rational_places(&w->q);
    bool is_exact = !w->is_approximate && exact >= 0 && exact <= places;
    enum status st = buf_append(out, is_exact ? STR(" = ") : STR(ABOUT));
    if (st == ST_OK) {
        st = rational_write_decimal(&w->q, places, out);
    }
    return st == ST_OK ? write_unit(w, out) : st;
}

/* " = 19/12" with the unit where it is short. */
static enum status write_short_fraction(const struct written *w, struct buf *out)
{
    struct buf fraction;
    buf_init(&fraction, 64UL * 1024);
    enum status st = rational_write_fraction(&w->q, 10, &fraction);
    if (st == ST_OK && fraction.len <= FRACTION_MAX) {
        st = buf_append(out, STR(" = "));
        st = st == ST_OK ? buf_append(out, buf_str(&fraction)) : st;
        st = st == ST_OK ? write_unit(w, out) : st;
    }
    buf_fini(&fraction);
    return st;
}

/* Places that show `digits` significant digits. */
static int64_t places_for(const struct rational *q, int64_t digits)
{
    int64_t places = digits - 1 - rational_magnitude(q);
    return places < 0 ? 0 : places;
}

static enum status write_default(const struct written *w, struct buf *out)
{
    int64_t exact = rational_places(&w->q);
    int64_t magnitude = rational_magnitude(&w->q);
    if (!w->is_approximate && exact >= 0 && exact <= PLACES_EXACT_MAX) {
        return write_rounded(w, exact, out);
    }
    enum status st = ST_OK;
    if (!w->is_approximate && w->label.len == 0) {
        st = write_short_fraction(w, out);
    }
    if (st != ST_OK) {
        return st;
    }
    if (magnitude >= MAGNITUDE_MIN && magnitude <= MAGNITUDE_MAX) {
        int64_t places = places_for(&w->q, DIGITS_SHOWN);
        return write_rounded(w, places < 2 ? 2 : places, out);
    }
    return write_scientific(w, out);
}

static enum status write_places(const struct written *w, const struct calc_expression *e,
                                struct buf *out)
{
    int64_t most = RATIONAL_PLACES_MAX;
    int64_t wanted = e->places < 0 ? 0 : e->places;
    wanted = wanted > most ? most : wanted;
    if (e->places_op == CALC_OP_DIGITS) {
        wanted = places_for(&w->q, wanted < 1 ? 1 : wanted);
        wanted = wanted > most ? most : wanted;
    }
    enum status st = write_rounded(w, wanted, out);
    if (st == ST_OK && e->places > most) {
        st = buf_append(out, STR(" (200 places are the most that I show)"));
    }
    return st;
}

static enum status write_base(const struct written *w, enum calc_op format, struct buf *out)
{
    int base = 16;
    const char *prefix = "0x";
    if (format == CALC_OP_BINARY) {
        base = 2;
        prefix = "0b";
    } else if (format == CALC_OP_OCTAL) {
        base = 8;
        prefix = "0o";
    }
    if (!rational_is_integer(&w->q) || w->is_approximate) {
        enum status st = write_default(w, out);
        return st == ST_OK ? buf_append(out, STR(" (only whole numbers can be written in another "
                                                 "base)"))
                           : st;
    }
    struct rational size;
    rational_init(&size);
    rational_set(&size, &w->q);
    rational_abs(&size);
    enum status st = buf_printf(out, " = %s%s", rational_sign(&w->q) < 0 ? "-" : "", prefix);
    st = st == ST_OK ? rational_write_fraction(&size, base, out) : st;
    rational_fini(&size);
    return st == ST_OK ? write_unit(w, out) : st;
}

static enum status write_as_fraction(const struct written *w, struct buf *out)
{
    if (w->is_approximate) {
        enum status st = write_default(w, out);
        return st == ST_OK ? buf_append(out, STR(" (irrational: it is no fraction)")) : st;
    }
    enum status st = buf_append(out, STR(" = "));
    st = st == ST_OK ? rational_write_fraction(&w->q, 10, out) : st;
    return st == ST_OK ? write_unit(w, out) : st;
}

static enum status write_result(const struct written *w, const struct calc_expression *e,
                                struct buf *out)
{
    switch ((int)e->format) {
    case CALC_OP_HEX:
    case CALC_OP_BINARY:
    case CALC_OP_OCTAL:
        return write_base(w, e->format, out);
    case CALC_OP_FRACTION:
        return write_as_fraction(w, out);
    default:
        return e->places_op != CALC_OP_NONE ? write_places(w, e, out) : write_default(w, out);
    }
}

/* Percentages are shown a hundredfold. */
static enum status settle_percent(const struct calc_expression *e, const struct calc_value *v,
                                  struct written *w)
{
    bool keeps_percent = v->is_percent && e->format == CALC_OP_NONE;
    if ((!keeps_percent && e->format != CALC_OP_AS_PERCENT) || w->label.len > 0) {
        return ST_OK;
    }
    struct rational hundred;
    rational_init(&hundred);
    rational_set_int(&hundred, 100);
    enum status st = rational_mul(&w->q, &hundred);
    rational_fini(&hundred);
    w->is_percent = true;
    return st;
}

static enum status write_problem(enum calc_problem problem, struct buf *out)
{
    return buf_printf(out, ": %s.", calc_eval_problem_text(problem));
}

enum status calc_format(struct calc_evaluator *ev, const struct calc_expression *expression,
                        struct buf *out)
{
    struct calc_value *v = NULL;
    enum status st = calc_eval(ev, expression, &v);
    if (st != ST_OK) {
        return st;
    }
    st = buf_append(out, v->text);
    if (st != ST_OK || ev->problem != CALC_FINE) {
        return st == ST_OK ? write_problem(ev->problem, out) : st;
    }
    struct written w = {.label = STR(""), .is_approximate = v->is_approximate};
    rational_init(&w.q);
    rational_set(&w.q, &v->q);
    bool has_unit = !units_no_dims(&v->dims) || expression->target_count > 0;
    if (has_unit && !settle_unit(ev, expression, v, &w)) {
        st = write_problem(ev->problem, out);
    } else if (ev->st != ST_OK) {
        st = ev->st;
    } else if (settle_percent(expression, v, &w) != ST_OK) {
        st = write_problem(CALC_TOO_BIG, out);
    } else {
        st = write_result(&w, expression, out);
    }
    rational_fini(&w.q);
    return st;
}
