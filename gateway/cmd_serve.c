/* expertd serve: the server, in the foreground. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/cmd.h"
#include "gateway/process.h"

static void help(FILE *out)
{
    (void)fputs("usage: expertd serve --config FILE [--verbose] [--allow-root]\n"
                "\n"
                "Serves the OpenAI-compatible API in the foreground.\n"
                "\n"
                "  -c, --config FILE  configuration (YAML or JSON)\n"
                "  -v, --verbose      log every step\n"
                "  --allow-root       serve as root, too: in containers that have nobody else\n"
                "  -h, --help         this text\n"
                "\n"
                "SIGHUP reloads the configuration; a file with mistakes changes nothing.\n"
                "SIGTERM and SIGINT stop accepting, finish running requests and end.\n"
                "The access log goes to standard output unless server.access_log says otherwise,\n"
                "everything else to standard error.\n",
                out);
}

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"allow-root", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    const char *path = NULL;
    bool may_be_root = false;
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:vh", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:vh", options, NULL)) {
        if (c == 'c') {
            path = optarg;
        } else if (c == 'v') {
            log_set_level(LOG_DEBUG);
        } else if (c == 'r') {
            may_be_root = true;
        } else {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (path == NULL || optind < argc) {
        (void)fputs(path == NULL ? "expertd serve: --config FILE is missing\n"
                                 : "expertd serve: too many arguments\n",
                    stderr);
        return 2;
    }
    if (geteuid() == 0 && !may_be_root) {
        (void)fputs("expertd serve: does not run as root: give it a user of its own, or say "
                    "--allow-root where there is no other\n",
                    stderr);
        return 2;
    }
    return process_serve(path);
}
