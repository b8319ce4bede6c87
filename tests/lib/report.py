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
    except Exception:  # a broken test is a failing test
        verdict, text = "FAILED", traceback.format_exc()
    return name, verdict, text, time.monotonic() - started


def run_all(tests, jobs=None):
    """Prints a line per test that did not pass (all with -v) and the totals; returns the exit
    status: 0 when nothing failed and something ran."""
    verbose = "-v" in sys.argv
    jobs = jobs or int(os.environ.get("TEST_JOBS", "8"))
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, verdict, text, seconds in pool.map(run_one, tests):
            counts[verdict] += 1
            if verdict != "ok" or verbose:
                print(f"{verdict:8}{name} ({seconds:.2f} s)", flush=True)
            if text:
                print("        " + text.replace("\n", "\n        "), flush=True)
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return 1 if counts["FAILED"] or not any(counts.values()) else 0
