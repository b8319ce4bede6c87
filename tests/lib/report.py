"""Runs tests in parallel and says how they went. A test is a name and a function; it passes when
the function returns, is skipped when it raises Skip, and fails otherwise.

With TEST_SECOND_TRY=1, as the gate sets it, one or two tests that failed among others are played
once more, alone: what passes then has met a busy machine, and is told as UNSTABLE with its first
failure. A gateway that crashed or complained has failed, whatever a second try would say."""
import concurrent.futures
import os
import sys
import time
import traceback

from wire import Crashed, Failure


SECOND_TRIES = 2  # of more than that, something is broken


class Skip(Exception):
    """The test cannot run here; the message says what is missing."""


def has_crashed(error):
    """Whether a gateway's own end is behind it: the tidying behind a failure may have met it."""
    while error is not None and not isinstance(error, Crashed):
        error = error.__context__
    return error is not None


def run_one(test):
    """The name, the verdict, what there is to say, how long it took, whether a gateway crashed."""
    name, function = test
    started = time.monotonic()
    crashed = False
    try:
        function()
        verdict, text = "ok", ""
    except Skip as skip:
        verdict, text = "skipped", str(skip)
    except (Failure, AssertionError) as failure:
        verdict, text = "FAILED", str(failure) or traceback.format_exc()
        if isinstance(failure.__context__, (Failure, AssertionError)):  # the first of two
            text = f"{failure.__context__}\n{text}"
        crashed = has_crashed(failure)
    except Exception as error:  # a broken test is a failing test
        verdict, text = "FAILED", traceback.format_exc()
        crashed = has_crashed(error)
    return name, verdict, text, time.monotonic() - started, crashed


def try_again(doubtful):
    """Plays them alone; returns how many passed."""
    passed = 0
    for test, text in doubtful:
        _, verdict, second, seconds, _ = run_one(test)
        if verdict == "ok":
            passed += 1
            print(f"UNSTABLE: {test[0]} passes alone ({seconds:.2f} s), failed among others: "
                  + " ".join(text.split())[:500], flush=True)
        else:
            print(f"{verdict:8}{test[0]} alone, too ({seconds:.2f} s)\n        "
                  + second.replace("\n", "\n        "), flush=True)
    return passed


def collect(tests, jobs=None):
    """Runs the tests and prints a line for each that did not pass (for all with -v); returns the
    verdicts."""
    verbose = "-v" in sys.argv
    jobs = jobs or int(os.environ.get("TEST_JOBS", "8"))
    tests = list(tests)
    verdicts, doubtful = [], []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for test, result in zip(tests, pool.map(run_one, tests)):
            name, verdict, text, seconds, crashed = result
            verdicts.append(verdict)
            if verdict == "FAILED" and not crashed:
                doubtful.append((test, text))
            if verdict != "ok" or verbose:
                print(f"{verdict:8}{name} ({seconds:.2f} s)", flush=True)
            if text:
                print("        " + text.replace("\n", "\n        "), flush=True)
    failed = verdicts.count("FAILED")
    if os.environ.get("TEST_SECOND_TRY") and failed == len(doubtful) <= SECOND_TRIES:
        for _ in range(try_again(doubtful)):
            verdicts[verdicts.index("FAILED")] = "ok"
    return verdicts


def conclude(verdicts):
    """Prints the totals; returns the exit status: 0 when nothing failed and something ran."""
    counts = {word: verdicts.count(word) for word in ("ok", "FAILED", "skipped")}
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return 1 if counts["FAILED"] or not verdicts else 0


def run_all(tests, jobs=None):
    return conclude(collect(tests, jobs))
