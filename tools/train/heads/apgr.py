#!/usr/bin/env python3
"""What the difficulty head is worth in a cascade: apgr.py LEFT_OUT.jsonl [FOLDER]

LEFT_OUT is what `expertd train-heads --left-out` wrote for the rows of difficulty_rows.py: what a
head says of a source that it was not fitted to. Prompts go to GPT-4, hardest first, the rest to
Mixtral 8x7B; APGR is the share of the gap between the two that is recovered, averaged over how many
prompts go to GPT-4. Beside it the same by length of the prompt, and at random (.5)."""
import json
import os
import sys

import importlib.util

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location(
    "difficulty_rows", os.path.join(HERE, "..", "difficulty_rows.py"))
ROWS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(ROWS)


def apgr(scores, weak, strong):
    """Prompts with equal scores share their gain."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    gap = sum(strong) - sum(weak)
    gained, area, at = 0.0, 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        gain = sum(strong[i] - weak[i] for i in order[at:end])
        area += (gained + gain / 2) * (end - at)
        gained += gain
        at = end
    return area / len(order) / gap


def auc(scores, wrong):
    pairs = sorted(zip(scores, wrong))
    good = below = total = 0.0
    at = 0
    while at < len(pairs):
        end = at
        while end < len(pairs) and pairs[end][0] == pairs[at][0]:
            end += 1
        late = sum(w for _, w in pairs[at:end])
        early = end - at - late
        good += late * (below + early / 2)
        below += early
        total += late
        at = end
    return good / (total * below)


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(
        os.environ.get("EXPERTD_SHARED", "../shared"), "data", "router")
    with open(sys.argv[1], encoding="utf-8") as file:
        said = [row["said"] for row in map(json.loads, file) if row["head"] == "difficulty"]
    at = len(list(ROWS.mmlu_pro(os.path.join(folder, "mmlu_pro"))))
    print(f"{'source':8} {'n':>6}  {'head: auc':>9} {'apgr':>6}  {'length: auc':>11} {'apgr':>6}")
    for name in ("mmlu", "gsm8k"):
        with open(os.path.join(folder, "routellm", name + ".jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        scores = said[at:at + len(rows)]
        at += len(rows)
        weak = [row["mixtral_8x7b"] for row in rows]
        strong = [row["gpt4_1106"] for row in rows]
        wrong = [1 - mark for mark in weak]
        length = [len(ROWS.CHOICES.sub("", row["prompt"])) for row in rows]
        print(f"{name:8} {len(rows):6}  {auc(scores, wrong):9.3f} {apgr(scores, weak, strong):6.3f}"
              f"  {auc(length, wrong):11.3f} {apgr(length, weak, strong):6.3f}")


if __name__ == "__main__":
    main()
