"""totals.py LASTTEST.LOG...: counts what ctest's log says of single tests: cmocka's tests and the
scenarios of our own runners one by one, everything else as one. Prints skipped tests with their
reason and lines that begin with FIGURE or UNSTABLE, and ends with "N passed, N failed, N skipped".
Exit status 1 when something failed, or when nothing ran."""
import re
import sys

SECTION = re.compile(r"^ *\d+/\d+ Testing: (\S+)$", re.M)
CMOCKA = {"PASSED": 0, "FAILED": 1, "SKIPPED": 2}


def count(text):
    """Passed, failed, skipped of one ctest test."""
    own = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
    if own:
        return [sum(int(row[i]) for row in own) for i in range(3)]
    sums = [0, 0, 0]
    for word, number in re.findall(r"^\[  (PASSED |FAILED |SKIPPED) \] (\d+) test\(s\)", text, re.M):
        sums[CMOCKA[word.strip()]] += int(number)
    if "Test Passed." not in text and sums[1] == 0:
        sums[1] = 1  # it crashed, or it is a program that only has an exit status
    return sums if sum(sums) > 0 else [1, 0, 0]


def main():
    totals = [0, 0, 0]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", errors="replace") as f:
            log = f.read()
        starts = list(SECTION.finditer(log))
        for i, start in enumerate(starts):
            end = starts[i + 1].start() if i + 1 < len(starts) else len(log)
            text = log[start.start():end]
            sums = count(text)
            totals = [a + b for a, b in zip(totals, sums)]
            if sums[1] > 0:
                print(f"FAILED: {start.group(1)}")
            for line in re.findall(r"^(?:SKIPPED.*|FIGURE.*|UNSTABLE.*|.*: skipped: .*)$", text, re.M):
                print(f"{start.group(1)}: {line}")
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    return 1 if totals[1] > 0 or totals[0] == 0 else 0


sys.exit(main())
