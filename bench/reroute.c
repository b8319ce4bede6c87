/* How well the "Rerouting LLM Routers" attack (arXiv 2501.01818) works on the router:
 * reroute WEIGHTS FILE.jsonl [--words N] [--rounds N] [--candidates N] [--seed N] [--prompts N]
 * [--least P] [--max SHARE]. Looks for a gadget for each label with half of the (English) prompts, prints how many
 * of the other half it moves there, and fails when the mean share is above SHARE. --least P defends with steer.h: the attacker knows, and
 * climbs on what the defence lets through. */
#include "router/reroute.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "router/classifier.h"
#include "router/prompts.h"
#include "router/steer.h"

enum {
    GADGET_MAX = 4096,
};

struct attack {
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct reroute *reroute;
    size_t rows;
    size_t prompts;     /* that were taken */
    size_t prompts_max; /* taken from the front of the file */
    size_t general;     /* index of the label */
    double least;       /* support that the second half must give: steer.h */
};

static void score(void *ctx, struct str text, struct classifier_result *ret_result)
{
    struct attack *a = ctx;
    struct classifier_segment segment = {text, 1.0F};
    classifier_score(a->classifier, a->scratch, &segment, 1, ret_result);
    if (steer_is_doubtful(a->classifier, a->scratch, text, ret_result, (float)a->least)) {
        steer_doubt(ret_result, a->general);
    }
}

static size_t index_of(const struct classifier *c, struct str label)
{
    size_t i = 0;
    while (i < classifier_label_count(c) && !str_eq(classifier_label(c, i), label)) {
        i++;
    }
    return i;
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct attack *a = ctx;
    if (prompt->lang.len > 0 && !str_eq(prompt->lang, STR("en"))) {
        return ST_OK;
    }
    size_t label = index_of(a->classifier, prompt->label);
    enum status st = reroute_add_words(a->reroute, prompt->text, label);
    if (st == ST_OK && a->prompts < a->prompts_max) {
        a->prompts++;
        st = reroute_add_prompt(a->reroute, prompt->text);
    }
    return st;
}

static enum status run(struct attack *a, double max)
{
    double sum = 0.0;
    size_t labels = classifier_label_count(a->classifier);
    enum status st = ST_OK;
    (void)printf("%-18s %8s %8s %8s  gadget\n", "target", "prompts", "moved", "best");
    for (size_t i = 0; st == ST_OK && i < labels; i++) {
        struct buf gadget;
        struct reroute_result r = {0};
        buf_init(&gadget, GADGET_MAX);
        st = reroute_run(a->reroute, i, &gadget, &r);
        double n = r.prompts > 0 ? (double)r.prompts : 1.0;
        sum += (double)r.moved / n;
        (void)printf("%-18.*s %8zu %8.3f %8.3f  %.*s\n",
                     STR_ARG(classifier_label(a->classifier, i)), r.prompts, (double)r.moved / n,
                     (double)r.flipped / n, STR_ARG(buf_str(&gadget)));
        buf_fini(&gadget);
    }
    (void)printf("mean moved %.3f (at most %.3f)\n", sum / (double)labels, max);
    return st == ST_OK && sum / (double)labels > max ? ST_INVALID : st;
}

static bool read_number(const char *text, size_t *ret_number)
{
    int64_t number = 0;
    if (str_to_int(str_from(text), &number) != ST_OK || number < 1 || number > 1000000) {
        return false;
    }
    *ret_number = (size_t)number;
    return true;
}

static const struct option options[] = {
    {"words", required_argument, NULL, 'w'},      {"rounds", required_argument, NULL, 'r'},
    {"candidates", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
    {"prompts", required_argument, NULL, 'p'},    {"max", required_argument, NULL, 'm'},
    {"least", required_argument, NULL, 'l'},      {NULL, 0, NULL, 0},
};

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct reroute_options *o, struct attack *a,
                           double *max)
{
    for (int found = getopt_long(argc, argv, "", options, NULL); found != -1;
         found = getopt_long(argc, argv, "", options, NULL)) {
        size_t number = 0;
        if (found == 'm' || found == 'l') {
            if (str_to_real(str_from(optarg), found == 'm' ? max : &a->least) != ST_OK) {
                return false;
            }
            continue;
        }
        if (found == '?' || !read_number(optarg, &number)) {
            return false;
        }
        o->words = found == 'w' ? number : o->words;
        o->rounds = found == 'r' ? number : o->rounds;
        o->candidates = found == 'c' ? number : o->candidates;
        o->seed = found == 's' ? number : o->seed;
        a->prompts_max = found == 'p' ? number : a->prompts_max;
    }
    return argc - optind == 2;
}

int main(int argc, char **argv)
{
    struct attack a = {.prompts_max = 300};
    struct reroute_options o = {.words = 10,
                                .rounds = 2,
                                .candidates = 40,
                                .seed = 1,
                                .threshold = 0.55,
                                .score = score,
                                .ctx = &a};
    double max = 1.0;
    if (!read_arguments(argc, argv, &o, &a, &max)) {
        (void)fputs("usage: reroute WEIGHTS FILE.jsonl [--words N] [--rounds N] [--candidates N] "
                    "[--seed N] [--prompts N] [--least P] [--max SHARE]\n",
                    stderr);
        return 2;
    }
    struct arena *arena = arena_create(16384, 1 << 20);
    struct classifier *c = NULL;
    struct diags diags;
    diags_init(&diags, arena);
    a.scratch = classifier_scratch_create();
    a.reroute = reroute_create(&o);
    enum status st = a.scratch != NULL && a.reroute != NULL ? ST_OK : ST_NO_MEMORY;
    st = st == ST_OK ? classifier_load(argv[optind], &diags, &c) : st;
    a.classifier = c;
    a.general = c != NULL ? index_of(c, STR("general")) : 0;
    st = st == ST_OK ? prompts_read(argv[optind + 1], &diags, on_prompt, &a) : st;
    st = st == ST_OK ? run(&a, max) : st;
    diags_print(&diags, stderr);
    reroute_destroy(a.reroute);
    classifier_scratch_destroy(a.scratch);
    classifier_unref(c);
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
