"""Runs tests in parallel and says how they went. A test is a name and a function; it passes when
the function returns, is skipped when it raises Skip, and fails otherwise."""
import concurrent.futures
import os
import sys
import time
import traceback

from wire import Failure


class Skip(Exception):
    """The test cannot run here; the message says what is missing."""


def run_one(test):
    name, function = test
    started = time.monotonic()
    try:
        function()
        verdict, text = "ok", ""
    except Skip as skip:
        verdict, text = "skipped", str(skip)
    except (Failure, AssertionError) as failure:
        verdict, text = "FAILED", str(failure) or traceback.format_exc()
        if isinstance(failure.__context__, (Failure, AssertionError)):  # the first of two
            text = f"{failure.__context__}\n{text}"
    except Exception:  # a broken test is a failing test
        verdict, text = "FAILED", traceback.format_exc()
    return name, verdict, text, time.monotonic() - started


def collect(tests, jobs=None):
    """Runs the tests and prints a line for each that did not pass (for all with -v); returns the
    verdicts."""
    verbose = "-v" in sys.argv
    jobs = jobs or int(os.environ.get("TEST_JOBS", "8"))
    verdicts = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, verdict, text, seconds in pool.map(run_one, tests):
            verdicts.append(verdict)
            if verdict != "ok" or verbose:
                print(f"{verdict:8}{name} ({seconds:.2f} s)", flush=True)
            if text:
                print("        " + text.replace("\n", "\n        "), flush=True)
    return verdicts


def conclude(verdicts):
    """Prints the totals; returns the exit status: 0 when nothing failed and something ran."""
    counts = {word: verdicts.count(word) for word in ("ok", "FAILED", "skipped")}
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return 1 if counts["FAILED"] or not verdicts else 0


def run_all(tests, jobs=None):
    return conclude(collect(tests, jobs))
