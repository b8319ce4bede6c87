#!/usr/bin/env python3
"""What thresholds are worth on labelled prompts: routed.py CONFIG FILE.jsonl

Asks `expertd route` (of $EXPERTD, default build/release/expertd) for each row, and prints how many
rows the classifier sent to another category than general, how many of those went to a category that
the row accepts, and with conformal sets how many sets hold one and how large they are. For targets
of router.target and alphas of router.uncertainty; takes 20 ms a row.
"""
import concurrent.futures
import json
import os
import subprocess
import sys


def decide(config, text):
    command = [os.environ.get("EXPERTD", "build/release/expertd"), "route", "-c", config, "--json"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    return json.loads(done.stdout)


def main(config, path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        decisions = list(pool.map(lambda row: decide(config, row["text"]), rows))
    sent = right = held = labels = sets = 0
    for row, said in zip(rows, decisions):
        accepted = {row["label"], *row.get("accept", [])}
        if said["source"] == "classifier" and said["category"] != "general":
            sent += 1
            right += said["category"] in accepted
        if "set" in said:
            sets += 1
            labels += len(said["set"])
            held += not accepted.isdisjoint(said["set"])
    print(f"rows {len(rows)}  sent {sent / len(rows):.3f}  precision {right / max(sent, 1):.3f}", end="")
    print(f"  sets {sets}  holding {held / sets:.3f}  mean size {labels / sets:.2f}" if sets else "")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    main(*sys.argv[1:])
