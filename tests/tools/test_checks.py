#!/usr/bin/env python3
"""The checkers in tools/ must be able to fail: each rule sees a text that breaks it."""
import importlib.machinery
import importlib.util
import os
import sys
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.insert(0, TOOLS)
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), f"{TOOLS}/{name}")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


LAYERS = load("check-layers")
BANNED = load("check-banned")
LINKS = load("check-links")


class Layers(unittest.TestCase):
    def test_each_illegal_direction_is_refused(self):
        for path, target in [("base/x.c", "policies/CMakeLists.txt"),
                             ("base/x.c", "backends/call.h"),
                             ("policies/x.c", "backends/call.h"),
                             ("router/x.c", "backends/call.h"),
                             ("backends/x.c", "router/classifier.h"),
                             ("base/x.c", "tests/support/test.h"),
                             ("base/x.c", "str.h"),
                             ("elsewhere/x.c", "base/str.h")]:
            self.assertIsNotNone(LAYERS.own_problem(path, target), (path, target))

    def test_legal_directions_pass(self):
        for path, target in [("base/x.c", "base/str.h"), ("backends/x.c", "base/str.h"),
                             ("gateway/x.c", "router/classifier.h"),
                             ("tests/unit/base/x.c", "tests/support/test.h"),
                             ("tests/unit/base/x.c", "base/str.h")]:
            self.assertIsNone(LAYERS.own_problem(path, target), (path, target))

    def test_libraries_stay_behind_their_file(self):
        self.assertIsNotNone(LAYERS.third_party_problem("gateway/exchange.c", "microhttpd.h"))
        self.assertIsNotNone(LAYERS.third_party_problem("backends/transport.h", "curl/curl.h"))
        self.assertIsNone(LAYERS.third_party_problem("backends/transport.c", "curl/curl.h"))
        self.assertIsNone(LAYERS.third_party_problem("base/x.c", "stdio.h"))

    def test_cycle_is_found_and_its_users_too(self):
        graph = {"a.h": {"b.h"}, "b.h": {"a.h"}, "c.h": set(), "d.h": {"c.h"}}
        self.assertEqual(LAYERS.cycles(graph), ["a.h", "b.h"])


class Banned(unittest.TestCase):
    def names(self, text, path="base/x.c"):
        return [name for _, name, _ in BANNED.findings(path, text)]

    def test_each_banned_call_is_found(self):
        for name in BANNED.UNSAFE + BANNED.HEAP + BANNED.PRINT:
            self.assertEqual(self.names(f"x = {name} (a);"), [name])

    def test_words_in_comments_strings_and_longer_names_pass(self):
        self.assertEqual(self.names('/* strcpy( */ f("free(x)"); // gets(\nmem_free(p); x.free(p);'),
                         [])

    def test_exceptions_are_where_the_guide_says(self):
        self.assertEqual(self.names("malloc(1);", "base/mem.c"), [])
        self.assertEqual(self.names('printf("");', "gateway/cmd_check.c"), [])
        self.assertEqual(self.names('printf("");', "gateway/exchange.c"), ["printf"])

    def test_assignment_in_a_condition_is_found(self):
        for text in ["if (a = b) {", "while ((n = f(x)) > 0) {", "if (f(a, (b)) && (c += 1)) {"]:
            self.assertEqual(self.names(text), ["assignment"], text)

    def test_comparisons_and_for_loops_pass(self):
        for text in ["if (a == b && c != d && e <= f && g >= h) {", "for (i = 0; i < n; i++) {",
                     "while (x << 1 <= y) {"]:
            self.assertEqual(self.names(text), [], text)

    def test_typedef_todo_and_pragma(self):
        self.assertEqual(self.names("typedef struct x x_t;"), ["typedef"])
        self.assertEqual(self.names("typedef void (*fn)(struct x *);"), [])
        self.assertEqual(self.names("typedef enum status (*fn)(void *ctx);"), [])
        self.assertEqual(self.names("/* TODO: later */"), ["todo"])
        self.assertEqual(self.names("/* TODO(#12): later */"), [])
        self.assertEqual(self.names("int f(void);", "base/x.h"), ["pragma"])


class Links(unittest.TestCase):
    def wrong(self, text, **others):
        pages = {"docs/a.md": text, "README.md": "[a](docs/a.md)"}
        pages.update((name.replace("__", "/") + ".md", page) for name, page in others.items())
        return [why for _, _, why in LINKS.findings(pages, lambda path: path in pages)]

    def test_a_missing_file_or_heading_is_found(self):
        for text in ["[x](b.md)", "[x](../b.md)", "# One\n[x](#two)", "[x](../README.md#one)", "[x]\n\n[x]: b.md"]:
            self.assertEqual(len(self.wrong(text)), 1, text)

    def test_links_that_hold_and_code_and_the_network_pass(self):
        for text in ["# One `two`: three_4\n[x](#one-two-three_4)", "# A\n# A\n[x](#a-1)", "[x](../README.md)",
                     "`[x](b.md)`", "```\n[x](b.md)\n```", "[x](https://a.example/b.md)", "a ` b\n\n` c"]:
            self.assertEqual(self.wrong(text), [], text)

    def test_a_link_behind_a_lone_backtick_is_seen(self):
        self.assertEqual(len(self.wrong("a ` b\n\n[x](b.md) ` c")), 1)

    def test_a_page_of_docs_that_nothing_links_to_is_found(self):
        self.assertEqual(self.wrong("", docs__lost=""), ["no page links to this one"])
        self.assertEqual(self.wrong("[all](examples)", docs__examples__one=""), ['there is no "docs/examples"'])


if __name__ == "__main__":
    unittest.main()
