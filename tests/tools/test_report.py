#!/usr/bin/env python3
"""tests/lib/report.py: who gets a second try, and what is said of it."""
import contextlib
import io
import os
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

import report  # noqa: E402
from wire import Crashed, Failure  # noqa: E402


def fails_first():
    """A test that fails the first time and passes from then on."""
    calls = []

    def test():
        calls.append(1)
        if len(calls) == 1:
            raise Failure("late")
    return test


def crashes_first():
    """As a test does whose assertion fails because the gateway is gone, which it finds at the end."""
    calls = []

    def test():
        calls.append(1)
        if len(calls) == 1:
            try:
                raise AssertionError("no answer")
            finally:
                raise Crashed("the gateway ended with -6")
    return test


def always_fails():
    raise AssertionError("broken")


def run(*functions, second_try="1"):
    """The exit status and what is printed."""
    output = io.StringIO()
    tests = [(f"test{i}", function) for i, function in enumerate(functions)]
    with mock.patch.dict(os.environ, TEST_SECOND_TRY=second_try), contextlib.redirect_stdout(output):
        status = report.run_all(tests)
    return status, output.getvalue()


class SecondTry(unittest.TestCase):
    def test_what_passes_alone_is_unstable_and_passes(self):
        status, output = run(fails_first(), lambda: None)
        self.assertEqual(status, 0)
        self.assertRegex(output, r"(?m)^UNSTABLE: test0 passes alone \(.* failed among others: late$")
        self.assertTrue(output.endswith("2 passed, 0 failed, 0 skipped\n"), output)

    def test_what_fails_alone_too_fails(self):
        status, output = run(always_fails, fails_first())
        self.assertEqual(status, 1)
        self.assertIn("test0 alone, too", output)
        self.assertTrue(output.endswith("1 passed, 1 failed, 0 skipped\n"), output)

    def test_a_crash_is_believed(self):
        status, output = run(crashes_first(), fails_first())
        self.assertEqual(status, 1)
        self.assertNotIn("UNSTABLE", output)

    def test_three_failures_are_believed(self):
        status, output = run(fails_first(), fails_first(), fails_first())
        self.assertEqual(status, 1)
        self.assertNotIn("UNSTABLE", output)

    def test_nobody_gets_one_outside_of_the_gate(self):
        status, output = run(fails_first(), second_try="")
        self.assertEqual(status, 1)
        self.assertNotIn("UNSTABLE", output)


if __name__ == "__main__":
    unittest.main()
