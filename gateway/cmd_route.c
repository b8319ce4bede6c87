/* expertd route: explains where a prompt would go, with the code that routes live requests. */
#include <getopt.h>
#include <stdio.h>

#include "base/json_write.h"
#include "gateway/cmd.h"
#include "gateway/editing.h"
#include "gateway/explain.h"
#include "gateway/snapshot.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    PROMPT_MAX_BYTES = 16 * 1024 * 1024,
    SHOWN_SCORES = 5,
};

struct route_options {
    const char *conf_path;
    const char *model;
    const char *replay; /* id of a request, or NULL */
    bool is_json;
};

static void help(FILE *out)
{
    (void)fputs("usage: expertd route --config FILE [--json] [--model NAME] [PROMPT]\n"
                "\n"
                "Shows which category and expert a prompt gets, and why: scores, the words that\n"
                "decided, each candidate's verdict. Nothing is sent anywhere.\n"
                "\n"
                "  -c, --config FILE  configuration (YAML or JSON)\n"
                "  -m, --model NAME   what the client asks for (default: auto)\n"
                "  -j, --json         print JSON, as POST /v1/route does\n"
                "  -r, --replay ID    derive the decision of that request again, from its receipt\n"
                "                     (state.receipts: replayable), and compare; 1 where the same\n"
                "                     configuration decides otherwise\n"
                "  -h, --help         this text\n"
                "\n"
                "Without PROMPT it is read from standard input.\n",
                out);
}

static void print_scores(const struct routes *routes, const struct decision *d)
{
    bool shown[CLASSIFIER_LABELS_MAX] = {false};
    (void)printf("scores     ");
    for (size_t n = 0; n < SHOWN_SCORES && n < d->scores.count; n++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < d->scores.count; i++) {
            if (!shown[i] && (best == SIZE_MAX || d->scores.p[i] > d->scores.p[best])) {
                best = i;
            }
        }
        shown[best] = true;
        (void)printf("%.*s %.3f  ", STR_ARG(classifier_label(routes->classifier, best)),
                     (double)d->scores.p[best]);
    }
    (void)printf("\n");
}

static void print_evidence(const struct routes *routes, struct decide_scratch *scratch,
                           const struct decision *d)
{
    struct classifier_evidence evidence[EXPLAIN_EVIDENCE];
    size_t count =
        classifier_explain(routes->classifier, scratch->classifier, d->notes.segments,
                           d->notes.segment_count, d->scores.best, evidence, EXPLAIN_EVIDENCE);
    for (size_t i = 0; i < count; i++) {
        (void)printf("%s %+.3f  %.*s\n", i == 0 ? "evidence   " : "           ",
                     (double)evidence[i].weight, STR_ARG(evidence[i].feature));
    }
}

static void print_heads(const struct routes *routes, const struct decision *d)
{
    const struct heads *heads = classifier_heads(routes->classifier);
    (void)printf("heads      ");
    for (size_t i = 0; i < d->head_count; i++) {
        (void)printf(" %.*s %.3f ", STR_ARG(heads->items[i].name), (double)d->heads[i]);
    }
    (void)printf("\n");
}

static void print_text(const struct routes *routes, struct decide_scratch *scratch,
                       const struct prompt *prompt, const struct decision *d)
{
    struct guard guard = decide_guard(routes, prompt, d);
    (void)printf("category    %.*s\nconfidence  %.4f\ndecided by  %s%s%.*s\n",
                 STR_ARG(d->category_name), (double)d->confidence, decide_source_text(d->source),
                 d->rule == NULL ? "" : " ", d->rule == NULL ? 0 : (int)d->rule->name.len,
                 d->rule == NULL ? "" : d->rule->name.ptr);
    (void)printf("kind        %s%s%s\n", guards_kind_text(guard.kind),
                 guard.kind == GUARD_PROSE ? "" : ": ", guard.reason);
    if (d->language.code.len > 0) {
        (void)printf("language    %.*s %.4f\n", STR_ARG(d->language.code),
                     (double)d->language.confidence);
    }
    if (d->is_classified) {
        print_scores(routes, d);
        print_evidence(routes, scratch, d);
    }
    if (d->head_count > 0) {
        print_heads(routes, d);
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        const struct policy_candidate *c = &d->candidates[i];
        (void)printf("%s %-20.*s score %.2f  cost $%.6f  %s%s%s\n",
                     i == 0 ? "candidates " : "           ", STR_ARG(c->name), c->score,
                     (double)c->cost_nano_usd / 1e9,
                     c->dropped_by == NULL ? (i == 0 ? "chosen" : "kept") : "dropped by ",
                     c->dropped_by == NULL ? "" : c->dropped_by, c->dropped_by == NULL ? "" : ":");
        if (c->dropped_by != NULL) {
            (void)printf("             %s\n", c->reason);
        }
    }
}

/* What would be changed in a request of this prompt and nothing else. */
static enum status write_edits(const struct routes *routes, struct decide_scratch *scratch,
                               const struct prompt *prompt, const struct decision *d,
                               struct buf *out)
{
    struct buf body;
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    struct editing of = {routes->classifier, scratch->classifier, prompt, d, arena};
    buf_init(&body, ARENA_MAX_BYTES);
    enum status st = buf_append(&body, STR("{\"messages\":[{\"role\":\"user\",\"content\":"));
    if (st == ST_OK) {
        st = json_write_text(&body, prompt_last_text(prompt));
    }
    if (st == ST_OK) {
        st = buf_append(&body, STR("}]}"));
    }
    if (st == ST_OK) {
        st = arena == NULL ? ST_NO_MEMORY : editing_explain(&of, buf_str(&body), out);
    }
    buf_fini(&body);
    arena_destroy(arena);
    return st;
}

static bool has_edits(const struct decision *d)
{
    bool any = d->category != NULL && edits_any(&d->category->edits);
    for (size_t i = 0; i < d->plan.count; i++) {
        any = any || edits_any(&d->plan.experts[i]->edits);
    }
    return any;
}

static void print_edits(const struct routes *routes, struct decide_scratch *scratch,
                        const struct prompt *prompt, const struct decision *d)
{
    struct buf out;
    buf_init(&out, PROMPT_MAX_BYTES);
    if (write_edits(routes, scratch, prompt, d, &out) == ST_OK) { /* else: there is no memory */
        struct str text = str_slice(buf_str(&out), STR("\"edits\":").len, out.len);
        (void)printf("edits       %.*s\n", STR_ARG(text));
    }
    buf_fini(&out);
}

static int print_json(const struct routes *routes, struct decide_scratch *scratch,
                      const struct prompt *prompt, const struct decision *d)
{
    struct buf out;
    buf_init(&out, PROMPT_MAX_BYTES);
    enum status st = explain_write(&out, routes, scratch, prompt, d);
    if (st == ST_OK) {
        buf_truncate(&out, out.len - 1); /* the closing brace */
        st = buf_append_char(&out, ',');
    }
    if (st == ST_OK) {
        st = write_edits(routes, scratch, prompt, d, &out);
    }
    if (st == ST_OK) {
        st = buf_append_char(&out, '}');
    }
    if (st == ST_OK) {
        (void)printf("%.*s\n", STR_ARG(buf_str(&out)));
    }
    buf_fini(&out);
    return st == ST_OK ? 0 : 1;
}

static int explain(const struct snapshot *s, const struct route_options *options, struct str text)
{
    struct decide_scratch scratch;
    struct decision decision;
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt};
    int failed = 1;
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    enum status st = decide_scratch_init(&scratch);
    if (st != ST_OK || arena == NULL) {
        (void)fputs("expertd route: no memory\n", stderr);
        goto out;
    }
    prompt_from_text(&prompt, str_from(options->model), text);
    st = decide(&s->conf.routes, &scratch, &facts, arena, &decision);
    if (st == ST_NOT_FOUND) {
        (void)fprintf(stderr, "expertd route: there is no model \"%s\" in this configuration\n",
                      options->model);
    } else if (st == ST_NO_MEMORY) {
        (void)fputs("expertd route: no memory\n", stderr);
    } else if (options->is_json) {
        failed = print_json(&s->conf.routes, &scratch, &prompt, &decision);
    } else {
        print_text(&s->conf.routes, &scratch, &prompt, &decision);
        if (has_edits(&decision)) {
            print_edits(&s->conf.routes, &scratch, &prompt, &decision);
        }
        failed = 0;
    }

out:
    decide_scratch_fini(&scratch);
    arena_destroy(arena);
    return failed;
}

static enum status read_stdin(struct buf *text)
{
    for (;;) {
        char *room = buf_reserve(text, 4096);
        if (room == NULL) {
            return ST_TOO_BIG;
        }
        size_t n = fread(room, 1, 4096, stdin);
        if (n == 0) {
            return ST_OK;
        }
        buf_commit(text, n);
    }
}

static int run(const struct route_options *options, const char *prompt)
{
    struct snapshot *s = NULL;
    struct buf text;
    buf_init(&text, PROMPT_MAX_BYTES);
    int failed = 1;
    if (options->replay != NULL) {
        if (snapshot_load(options->conf_path, stderr, &s) == ST_OK) {
            failed = cmd_route_replay(s, options->replay);
        }
        snapshot_unref(s);
        return failed;
    }
    enum status st = prompt == NULL ? read_stdin(&text) : buf_append(&text, str_from(prompt));
    if (st != ST_OK) {
        (void)fputs("expertd route: the prompt is too long\n", stderr);
    } else if (snapshot_load(options->conf_path, stderr, &s) == ST_OK) {
        failed = explain(s, options, buf_str(&text));
    }
    snapshot_unref(s);
    buf_fini(&text);
    return failed;
}

int cmd_route(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'}, {"model", required_argument, NULL, 'm'},
        {"replay", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };

    struct route_options options = {NULL, "auto", NULL, false};
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:m:r:jh", long_options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:m:r:jh", long_options, NULL)) {
        if (c == 'c') {
            options.conf_path = optarg;
        } else if (c == 'm') {
            options.model = optarg;
        } else if (c == 'r') {
            options.replay = optarg;
        } else if (c == 'j') {
            options.is_json = true;
        } else {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (options.conf_path == NULL || optind + 1 < argc) {
        (void)fputs("expertd route: needs --config FILE and one prompt, see --help\n", stderr);
        return 2;
    }
    return run(&options, optind < argc ? argv[optind] : NULL);
}
