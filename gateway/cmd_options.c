/* See cmd_options.h. getopt says what is wrong with a name; what is wrong with a value, the usage. */
#include "gateway/cmd_options.h"

#include <getopt.h>

#include "base/assert.h"
#include "base/str.h"

enum {
    NO_LETTER = 256, /* values for getopt_long from here on stand for rows */
};

static bool take(const struct cmd_option *option, const char *value)
{
    int64_t number = 0;
    switch (option->kind) {
    case CMD_FLAG:
    case CMD_HELP:
        *(bool *)option->place = true;
        return true;
    case CMD_TEXT:
        *(const char **)option->place = value;
        return true;
    case CMD_NUMBER:
        if (str_to_int(str_from(value), &number) != ST_OK || number < option->min ||
            number > option->max) {
            return false;
        }
        *(int64_t *)option->place = number;
        return true;
    case CMD_REAL:
        return str_to_real(str_from(value), option->place) == ST_OK;
    case CMD_CALL:
        return option->take(option->place, value);
    }
    return false;
}

bool cmd_options_read(int argc, char **argv, const struct cmd_option *options, size_t count)
{
    struct option rows[CMD_OPTIONS_MAX + 1] = {{0}};
    char letters[2 * CMD_OPTIONS_MAX + 1] = "";
    size_t letters_len = 0;
    ASSERT(count <= CMD_OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        bool has_value = options[i].kind != CMD_FLAG && options[i].kind != CMD_HELP;
        rows[i] = (struct option){options[i].name, has_value ? required_argument : no_argument,
                                  NULL, NO_LETTER + (int)i};
        if (options[i].letter != 0) {
            letters[letters_len++] = options[i].letter;
            letters[letters_len] = ':'; /* overwritten where there is no value */
            letters_len += has_value;
        }
    }
    letters[letters_len] = '\0';
    optind = 0; /* glibc: forget what was read of another argv */
    for (int found = getopt_long(argc, argv, letters, rows, NULL); found != -1;
         found = getopt_long(argc, argv, letters, rows, NULL)) {
        size_t i = 0;
        while (i < count && found != NO_LETTER + (int)i && found != options[i].letter) {
            i++;
        }
        if (i == count || !take(&options[i], optarg)) {
            return false;
        }
        if (options[i].kind == CMD_HELP) {
            return true;
        }
    }
    return optind == argc;
}
