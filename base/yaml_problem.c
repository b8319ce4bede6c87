/* See yaml_problem.h. The texts on the left are those of libyaml 0.2.5; another version that words
 * them differently loses the translation, not the error. */
#include "base/yaml_problem.h"

#include <stddef.h>
#include <string.h>

#define TAGS "tags (\"!name\") are not supported; put text that starts with \"!\" in quotes"
#define ANCHORS                                                                                    \
    "anchors and aliases are not supported; put text that starts with \"&\" or \"*\" in quotes"
#define DIRECTIVE "the only directives known are \"%YAML 1.1\" and \"%YAML 1.2\""
#define TAB       "indent with spaces: a tab cannot stand here"

static const struct yaml_problem rows[] = {
    {"could not find expected ':'",
     "expected \"key: value\" or \"- item\" here; is the colon or the blank after it missing?",
     YAML_PROBLEM_START},
    {"found unexpected ':'", "a colon cannot stand here; put text with a colon in quotes",
     YAML_PROBLEM_HERE},
    {"found a tab character where an indentation space is expected", TAB, YAML_PROBLEM_HERE},
    {"found a tab character that violates indentation", TAB, YAML_PROBLEM_HERE},
    {"found character that cannot start any token",
     "a value cannot start with this character; put it in quotes", YAML_PROBLEM_HERE},
    {"mapping values are not allowed in this context",
     "a key cannot stand here: its indentation is wrong, or the text before it contains \": \" and "
     "must be in quotes",
     YAML_PROBLEM_HERE},
    {"mapping keys are not allowed in this context",
     "a key cannot stand here; put text that starts with \"? \" in quotes", YAML_PROBLEM_HERE},
    {"block sequence entries are not allowed in this context",
     "a list item \"- \" cannot stand here; start the list on a line of its own",
     YAML_PROBLEM_HERE},
    {"did not find expected key",
     "expected a key here: the indentation does not match the block above", YAML_PROBLEM_BOTH},
    {"did not find expected '-' indicator",
     "expected a list item \"- \" here: the indentation does not match the list above",
     YAML_PROBLEM_BOTH},
    {"did not find expected ',' or ']'", "expected \",\" or \"]\" in a list", YAML_PROBLEM_BOTH},
    {"did not find expected ',' or '}'", "expected \",\" or \"}\" in a mapping", YAML_PROBLEM_BOTH},
    {"did not find expected node content", "expected a value here", YAML_PROBLEM_HERE},
    {"found unexpected end of stream", "the quotes that open here are never closed",
     YAML_PROBLEM_START},
    {"found unexpected document indicator",
     "the quotes that open here are not closed before \"---\" or \"...\"", YAML_PROBLEM_START},
    {"found unknown escape character",
     "unknown escape after \"\\\" in double quotes; write \"\\\\\" or use single quotes",
     YAML_PROBLEM_HERE},
    {"did not find expected hexdecimal number",
     "\"\\x\", \"\\u\" and \"\\U\" need two, four and eight hexadecimal digits", YAML_PROBLEM_HERE},
    {"found invalid Unicode character escape code",
     "this escape is no Unicode character; write the character itself, or \"\\U\" and eight digits "
     "instead of a surrogate pair",
     YAML_PROBLEM_HERE},
    {"control characters are not allowed",
     "control characters are not allowed; write them as \"\\xNN\" in double quotes",
     YAML_PROBLEM_HERE},
    {"did not find expected <document start>",
     "expected the end of the file here: this does not belong to what stands above",
     YAML_PROBLEM_HERE},
    {"found an indentation indicator equal to 0",
     "the indentation after \"|\" or \">\" must be 1 to 9", YAML_PROBLEM_HERE},
    {"did not find expected comment or line break",
     "only a comment may follow \"|\" or \">\" on its line", YAML_PROBLEM_HERE},
    {"did not find expected alphabetic or numeric character", ANCHORS, YAML_PROBLEM_START},
    {"found unknown directive name", DIRECTIVE, YAML_PROBLEM_START},
    {"found incompatible YAML document", DIRECTIVE, YAML_PROBLEM_HERE},
    {"found duplicate %YAML directive", DIRECTIVE, YAML_PROBLEM_HERE},
    {"found extremely long version number", DIRECTIVE, YAML_PROBLEM_START},
    {"did not find expected version number", DIRECTIVE, YAML_PROBLEM_START},
    {"did not find expected digit or '.' character", DIRECTIVE, YAML_PROBLEM_START},
    {"could not find expected directive name", DIRECTIVE, YAML_PROBLEM_START},
    {"found unexpected non-alphabetical character", DIRECTIVE, YAML_PROBLEM_START},
    {"found undefined tag handle", TAGS, YAML_PROBLEM_START},
    {"did not find expected tag URI", TAGS, YAML_PROBLEM_START},
    {"did not find expected '!'", TAGS, YAML_PROBLEM_START},
    {"did not find the expected '>'", TAGS, YAML_PROBLEM_START},
    {"did not find URI escaped octet", TAGS, YAML_PROBLEM_START},
    {"found an incorrect leading UTF-8 octet", TAGS, YAML_PROBLEM_START},
    {"found an incorrect trailing UTF-8 octet", TAGS, YAML_PROBLEM_START},
    {"did not find expected whitespace or line break",
     "a blank or the end of the line is missing here", YAML_PROBLEM_HERE},
};

static const struct yaml_problem unknown = {"", NULL, YAML_PROBLEM_HERE};

const struct yaml_problem *yaml_problem_find(const char *problem)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].problem, problem) == 0) {
            return &rows[i];
        }
    }
    return &unknown;
}
