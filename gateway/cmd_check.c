/* expertd check: reads a configuration as serve would, runs its tests, prints what is wrong. Also
 * prints what the key tables know: the reference file, the documentation, the JSON Schema. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel.h"
#include "backends/kernel_open.h"
#include "gateway/cmd.h"
#include "gateway/snapshot.h"

static void help(FILE *out)
{
    (void)fputs(
        "usage: expertd check --config FILE [--explain] [--against OLD [--json]]\n"
        "       expertd check --print reference|markdown|schema\n"
        "\n"
        "Checks a configuration without serving it: keys, names, files, tests.\n"
        "Exits 0 if it can be used, 1 with file:line:column: message for each mistake.\n"
        "\n"
        "  -c, --config FILE  configuration (YAML or JSON)\n"
        "  -e, --explain      also who answers what: for each rule, category and alias the\n"
        "                     experts in order, with the guarantees that apply\n"
        "  -a, --against OLD  also what would change: decides the last requests of which the\n"
        "                     configuration OLD keeps receipts (state.receipts: replayable)\n"
        "                     by both, and counts categories, experts, refusals, cost\n"
        "  -j, --json         that as JSON\n"
        "  -t, --timing       also how long each pass took, and of that on the CPU\n"
        "  -p, --print WHAT   print all keys instead: a commented reference file, the\n"
        "                     documentation as Markdown, or a JSON Schema for editors\n"
        "  -h, --help         this text\n",
        out);
}

/* The options of kernels are no part of the root table: each kernel decodes its own. */
static void print_kernels(void)
{
    (void)puts(
        "\n# Kernels\n\nExperts on this machine: `kernel: {NAME: OPTIONS}` instead of a `url`, "
        "or `kernel: {file: PATH, …}` with the keys under `file`.\n");
    keys_print_markdown(&kernel_file_keys, stdout);
    for (size_t i = 0; kernel_builtin(i) != NULL; i++) {
        (void)puts("");
        keys_print_markdown(kernel_builtin(i)->keys, stdout);
    }
}

static int print(const char *what)
{
    if (strcmp(what, "reference") == 0) {
        keys_print_reference(conf_keys(), stdout);
    } else if (strcmp(what, "markdown") == 0) {
        keys_print_markdown(conf_keys(), stdout);
        print_kernels();
    } else if (strcmp(what, "schema") == 0) {
        keys_print_schema(conf_keys(), stdout);
    } else {
        (void)fprintf(stderr, "expertd check: cannot print \"%s\": reference, markdown or schema\n",
                      what);
        return 2;
    }
    return 0;
}

/* The thresholds that a target has chosen, and what they are worth where sources are new. */
static void print_thresholds(const struct routes *routes)
{
    float precision = 0.0F;
    float share = 0.0F;
    double right = 0.0;
    double sum = 0.0;
    if (!(routes->router.target.precision > 0.0) && !(routes->router.target.coverage > 0.0)) {
        return;
    }
    (void)printf("%-20s %9s %9s %9s\n", "category", "threshold", "precision", "share");
    for (size_t i = 0; i < classifier_label_count(routes->classifier); i++) {
        if (!thresholds_expect(routes, i, &precision, &share)) {
            continue;
        }
        sum += (double)share;
        right += (double)share * (double)precision;
        struct str label = classifier_label(routes->classifier, i);
        if (share > 0.0F) {
            (void)printf("%-20.*s %9.3f %9.3f %9.3f\n", STR_ARG(label),
                         (double)routes->thresholds.of[i], (double)precision, (double)share);
        } else {
            (void)printf("%-20.*s %9s %9s %9.3f\n", STR_ARG(label), "never", "-", 0.0);
        }
    }
    (void)printf("%-20s %9s %9.3f %9.3f\n", "to experts", "", sum > 0.0 ? right / sum : 0.0, sum);
}

/* What cross-validation says of the categories made from examples. */
static void print_examples(const struct routes *routes)
{
    if (routes->custom == NULL) {
        return;
    }
    (void)printf("%-20s %5s %6s %9s %11s  %s\n", "from examples", "lines", "recall", "precision",
                 "others gone", "nearest");
    for (size_t i = 0; i < routes->custom_count; i++) {
        const struct custom_figures *f = custom_figures_of(routes->custom, i);
        (void)printf("%-20.*s %5zu %6.2f %9.2f %9.2f %% ",
                     STR_ARG(routes->custom_categories[i]->id.name), f->lines, f->recall,
                     f->precision, 100.0 * f->moved);
        for (size_t k = 0; k < f->confused_count; k++) {
            struct str label = classifier_label(routes->classifier, f->confused[k].label);
            (void)printf("%s%.*s", k == 0 ? " " : ", ", STR_ARG(label));
        }
        (void)puts("");
    }
}

struct options {
    const char *path;
    const char *against; /* or NULL */
    bool is_json;
    bool is_explained;
    bool is_timed;
};

static void print_timing(const struct snapshot *s)
{
    static const char *const passes[] = {[SNAPSHOT_PARSE] = "parse",
                                         [SNAPSHOT_CHECK] = "check keys",
                                         [SNAPSHOT_BUILD] = "build",
                                         [SNAPSHOT_PROVE] = "prove",
                                         [SNAPSHOT_TEST] = "run tests"};
    struct snapshot_time sum = {0, 0};
    (void)printf("%-12s %12s %12s\n", "pass", "wall", "CPU");
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        const struct snapshot_time *took = &s->took[i];
        (void)printf("%-12s %9.3f ms %9.3f ms\n", passes[i], (double)took->wall_us / 1000.0,
                     (double)took->cpu_us / 1000.0);
        sum.wall_us += took->wall_us;
        sum.cpu_us += took->cpu_us;
    }
    (void)printf("%-12s %9.3f ms %9.3f ms\n", "all", (double)sum.wall_us / 1000.0,
                 (double)sum.cpu_us / 1000.0);
}

static void print_all(const struct options *o, const struct snapshot *s)
{
    const struct routes *routes = &s->conf.routes;
    (void)printf(
        "%s: good: %zu experts, %zu categories, %zu aliases, %zu rules, %zu tests passed\n",
        o->path, routes->experts.count, routes->categories.count, routes->aliases.count,
        routes->rules.count, routes->tests.count);
    if (o->is_timed) {
        print_timing(s);
    }
    print_thresholds(routes);
    print_examples(routes);
    if (o->is_explained) {
        cmd_check_explain(s);
    }
}

/* Compared with another one it is only tried, as a preview tries it. */
static enum status load(const struct options *o, struct snapshot **ret_old, struct snapshot **ret)
{
    if (o->against == NULL) {
        return snapshot_load(o->path, stderr, ret);
    }
    enum status st = snapshot_try_file(o->against, NULL, stderr, ret_old);
    return st == ST_OK ? snapshot_try_file(o->path, *ret_old, stderr, ret) : st;
}

static int check(const struct options *o)
{
    int failed = 0;
    struct snapshot *old = NULL;
    struct snapshot *s = NULL;
    enum status st = load(o, &old, &s);
    if (st == ST_NO_MEMORY) {
        (void)fputs("expertd check: no memory\n", stderr);
    }
    if (st == ST_OK && (old == NULL || !o->is_json)) {
        print_all(o, s);
    }
    if (st == ST_OK && old != NULL) {
        failed = cmd_check_against(s, old, o->is_json);
    }
    snapshot_unref(s);
    snapshot_unref(old);
    return st == ST_OK ? failed : 1;
}

int cmd_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"explain", no_argument, NULL, 'e'},
        {"against", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'},
        {"timing", no_argument, NULL, 't'},        {"print", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };

    struct options o = {.path = NULL};
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:ea:jtp:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:ea:jtp:h", options, NULL)) {
        if (c == 'c') {
            o.path = optarg;
        } else if (c == 'e') {
            o.is_explained = true;
        } else if (c == 'a') {
            o.against = optarg;
        } else if (c == 'j') {
            o.is_json = true;
        } else if (c == 't') {
            o.is_timed = true;
        } else if (c == 'p') {
            return print(optarg);
        } else {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (o.path == NULL || optind < argc) {
        (void)fputs("expertd check: --config FILE is missing, see --help\n", stderr);
        return 2;
    }
    return check(&o);
}
