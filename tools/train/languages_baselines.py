#!/usr/bin/env python3
"""How other language detectors (langid, langdetect) do on the same texts as router/language.c.

    VENV/bin/python tools/train/languages_baselines.py --testdata DIR --data authored_dev.jsonl

--testdata   see languages.py; every twentieth line of the held-out ones is asked
--data       rows {"text", "lang"}
Prints per file: accuracy, English precision and recall, accuracy below and from 20 characters, median
time. The environment is that of languages.py plus langid."""
import argparse
import json
import os
import time

import langdetect
import langid

import languages

langdetect.DetectorFactory.seed = 0


def ask_langdetect(text):
    try:
        return langdetect.detect(text)
    except langdetect.lang_detect_exception.LangDetectException:
        return "und"


def measure(name, ask, rows):
    hits, times = [], []
    called = wanted = both = 0
    for text, lang in rows:
        start = time.process_time()
        code = ask(text).split("-")[0]
        times.append(time.process_time() - start)
        code = languages.NAMES.get(code, "no" if code == "nn" else code)
        hits.append((len(text) < 20, code == lang))
        called += code == "en"
        wanted += lang == "en"
        both += code == "en" == lang
    short = [hit for is_short, hit in hits if is_short]
    rest = [hit for is_short, hit in hits if not is_short]
    print(f"{name}: {len(rows)} texts, accuracy {sum(h for _, h in hits) / len(rows):.4f}, English "
          f"precision {both / max(called, 1):.4f} recall {both / max(wanted, 1):.4f}, short "
          f"{sum(short)}/{len(short)}, others {sum(rest)}/{len(rest)}, median "
          f"{sorted(times)[len(times) // 2] * 1e6:.0f} us", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testdata")
    parser.add_argument("--data", action="append", default=[])
    args = parser.parse_args()
    files = []
    for path in args.data:
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        files.append((os.path.basename(path),
                      [(r["text"], r["lang"]) for r in rows if r["lang"] != "xx"]))
    for kind in ("sentences", "word-pairs", "single-words") if args.testdata else ():
        rows = []
        for _, _, codes in languages.GROUPS:
            for code in codes:
                held = [t for k, t, is_held_out in languages.read_testdata(args.testdata, code)
                        if k == kind and is_held_out]
                rows += [(text, code) for text in held[::4]]
        files.append((kind, rows))
    for name, rows in files:
        measure(f"langid, {name}", lambda text: langid.classify(text)[0], rows)
        measure(f"langdetect, {name}", ask_langdetect, rows)


if __name__ == "__main__":
    main()
