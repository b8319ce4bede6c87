#!/usr/bin/env python3
"""Writes changed copies of prompts, for training that does not mind how people type:
typing errors, greetings, polite or impatient additions.

  tools/train/copies.py FILE.jsonl [FILE.jsonl ...] > copies.jsonl

A copy names its original in "copy_of", so that both stay together when sources are left out of
training. The phrases are others than those that `expertd eval --perturb` measures with.
Deterministic: the same rows give the same copies.
"""
import json
import random
import re
import sys
import zlib

BEFORE = [
    "hello, ", "hey ", "Hi there! ", "good morning. ", "ok so ", "so ", "um, ", "sorry to bother you but ",
    "I have a question. ", "one more thing: ", "can you help? ", "could you help me out: ", "quick one. ", "Question: ",
    "dear assistant, ", "not sure who to ask, but ", "I was wondering, ", "Tell me: ", "my friend asks: ", "urgent!! ",
    "hey there, I need some help with something. ", "I need your help with the following. ", "Please, ", "pls ",
]
AFTER = [
    " please", " pls", " thx", " Thank you.", " thank you so much in advance", " cheers", " asap", " keep it short",
    " in one sentence please", " explain simply", " step by step", " be concise", " what do you think?", " any ideas?",
    " I appreciate it", " no long explanations", " short version only", " - need it today", " (serious question)", " ok?",
]
NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wqeryuuoopsaddfghjkkxzcvbn"))
WORD = re.compile(r"[A-Za-z]{4,}")


def mistype(text, chance):
    words = list(WORD.finditer(text))
    hit = [m for m in words if chance.random() < 0.1] or ([chance.choice(words)] if words else [])
    for m in reversed(hit):
        word, i = m.group(), chance.randrange(1, len(m.group()) - 1)
        kind = chance.randrange(4)
        if kind == 0:
            word = word[:i] + word[i + 1] + word[i] + word[i + 2:]
        elif kind == 1:
            word = word[:i] + word[i + 1:]
        elif kind == 2:
            word = word[:i] + word[i] + word[i:]
        else:
            word = word[:i] + NEIGHBOURS.get(word[i].lower(), word[i]) + word[i + 1:]
        text = text[:m.start()] + word + text[m.end():]
    return text


def change(row, chance):
    text = row["text"]
    if row.get("lang", "en") != "en" or chance.random() < 0.4:
        return mistype(text, chance)
    if chance.random() < 0.5:
        return chance.choice(BEFORE) + text
    return text + chance.choice(AFTER)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            if not row.get("label") or len(row["text"]) > 600:
                continue
            text = change(row, random.Random(zlib.crc32(row["text"].encode("utf-8", "surrogatepass"))))
            if text != row["text"]:
                print(json.dumps({**row, "text": text, "copy_of": row["text"]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
