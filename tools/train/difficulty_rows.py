#!/usr/bin/env python3
"""Rows for the difficulty head: difficulty_rows.py [FOLDER] > rows.jsonl

The value is how likely a model is to fail: on MMLU-Pro the share of 29 models that were wrong, on
RouteLLM's MMLU and GSM8K whether Mixtral 8x7B was. Choices are left out of the text: people ask
without them. FOLDER holds mmlu_pro/ and routellm/ ($EXPERTD_SHARED/data/router, ../shared/data/router).
These rows must not train the domain classifier: MMLU-Pro is its visible test."""
import csv
import json
import os
import re
import sys

CHOICES = re.compile(r"\n[A-J][.)] .*", re.S)


def mmlu_pro(folder):
    with open(os.path.join(folder, "scores.tsv"), encoding="utf-8") as file:
        scores = {row["question_id"]: [row[m] for m in row if m not in ("question_id", "category")]
                  for row in csv.DictReader(file, delimiter="\t")}
    with open(os.path.join(folder, "questions.jsonl"), encoding="utf-8") as file:
        for line in file:
            question = json.loads(line)
            marks = [mark for mark in scores.get(str(question["question_id"]), []) if mark in "01" and mark]
            if marks:
                yield question["question"], "mmlu-pro", marks.count("0") / len(marks)


def routellm(folder, name):
    with open(os.path.join(folder, name + ".jsonl"), encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield CHOICES.sub("", row["prompt"]), name, 1 - row["mixtral_8x7b"]


def main():
    shared = os.environ.get("EXPERTD_SHARED", "../shared")
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(shared, "data", "router")
    sources = [mmlu_pro(os.path.join(folder, "mmlu_pro"))]
    sources += [routellm(os.path.join(folder, "routellm"), name) for name in ("mmlu", "gsm8k")]
    for rows in sources:
        for text, source, value in rows:
            print(json.dumps({"text": text, "source": source, "value": round(value, 4)},
                             ensure_ascii=False))


if __name__ == "__main__":
    main()
