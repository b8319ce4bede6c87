#!/usr/bin/env python3
"""MMLU-Pro questions as rows for `expertd eval`: mmlu_pro_rows.py questions.jsonl > rows.jsonl

The text is the question followed by its options, "A) ..." a line each, as a person who pastes an
exam question would send it; --stem leaves the options out. Categories become the labels of the
domain classifier, many to one; for computer science questions cybersecurity is accepted too.
A test set: never train the shipped weights on it.
"""
import argparse
import json
import sys

LABELS = {
    "math": "math",
    "physics": "physics",
    "engineering": "physics",
    "chemistry": "chemistry",
    "biology": "biology",
    "health": "medical",
    "law": "law",
    "business": "finance",
    "economics": "finance",
    "history": "humanities",
    "philosophy": "humanities",
    "psychology": "social",
    "computer science": "coding",
    "other": "general",
}
ACCEPTED = {"computer science": ["cybersecurity"]}


def row_of(question, with_options):
    text = question["question"]
    if with_options:
        for i, option in enumerate(question["options"]):
            text += f"\n{chr(ord('A') + i)}) {option}"
    row = {"text": text, "label": LABELS[question["category"]], "source": "mmlu-pro", "lang": "en"}
    if question["category"] in ACCEPTED:
        row["accept"] = ACCEPTED[question["category"]]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions")
    parser.add_argument("--stem", action="store_true", help="the question without its options")
    arguments = parser.parse_args()
    with open(arguments.questions, encoding="utf-8") as lines:
        for line in lines:
            row = row_of(json.loads(line), not arguments.stem)
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
