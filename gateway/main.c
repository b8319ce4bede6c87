/* expertd: one binary, a table of commands. */
#include <stdio.h>
#include <string.h>

#include "gateway/cmd.h"
#include "gateway/cmd_eval.h"
#include "gateway/cmd_train.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *sentence;
} commands[] = {
    {"serve", cmd_serve, "serve the API (the default)"},
    {"check", cmd_check, "check a configuration, print all its keys"},
    {"route", cmd_route, "explain where a prompt would go"},
    {"keys", cmd_keys, "make, list and revoke the keys of clients"},
    {"feedback", cmd_feedback, "list, export and count what people said of decisions"},
    {"ledger", cmd_ledger, "list, sum, verify and export what was spent"},
    {"profile", cmd_profile, "list the fewest experts that carry the traffic, and their memory"},
    {"train", cmd_train, "train the weights of the classifier"},
    {"train-heads", cmd_heads, "add heads to weights: difficulty, needs, what you like"},
    {"eval", cmd_eval, "measure the classifier on labelled prompts"},
    {"optimize", cmd_optimize, "choose experts and the mapping within budgets"},
    {"selftest", cmd_selftest, "try failures of experts on a configuration"},
};

enum {
    COMMANDS = sizeof commands / sizeof commands[0]
};

static void help(FILE *out)
{
    (void)fputs(
        "expertd: a Composition-of-Experts gateway. Understands each prompt, routes it to the\n"
        "right expert, speaks the OpenAI API.\n\nusage: expertd COMMAND --help\n\n",
        out);
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].sentence);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        (void)puts("expertd " EXPERTD_VERSION);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (argv[1][0] == '-') {
        return cmd_serve(argc, argv);
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (argc > 2 && strcmp(argv[2], "--version") == 0) {
                (void)puts("expertd " EXPERTD_VERSION);
                return 0;
            }
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "expertd: there is no command \"%s\"; see expertd --help\n", argv[1]);
    return 2;
}
