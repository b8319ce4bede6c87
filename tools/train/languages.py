#!/usr/bin/env python3
"""Trains the language tables (conf/models/languages.edl, format: router/language.h).

    python3 -m venv VENV && VENV/bin/pip install -r tools/train/languages.txt
    VENV/bin/python tools/train/languages.py --testdata DIR --data FILE.jsonl ... --out FILE.edl

--testdata   language-testdata of the lingua language detector (Apache-2.0): DIR/sentences/en.txt,
             DIR/word-pairs/..., DIR/single-words/...; every fifth line is held out
--data       rows {"text", "lang"}: prompts; never a development set
Word frequencies come from the package wordfreq, Nepali from langdetect's profile: both are in
languages.txt. Deterministic: the same inputs and packages give the same bytes.

The mathematics. A text is cut to its main script, lower-cased, everything else becomes single blanks.
Its features are runs of 2 to 4 characters with no blank inside, letters beyond ASCII alone, and whole
words of 3 to 8 letters, hashed into R rows. Per script, with L languages:
    logits[L] = bias[L] + step * sum over features of rows[hash][L] / sqrt(features)
a multinomial logistic regression, fitted with Adam, then rounded to int8.
"""
import argparse
import gzip
import importlib.util
import json
import os
import random
import struct
import sys
import time

import msgpack
import numpy as np
from scipy import sparse

VERSION, SCHEME = 1, 1
HEAD, TAIL = 384, 192
GROUPS = [  # script, rows, languages; order is the file's
    ("Latin", 4096, "en de fr es pt it nl sv da no fi pl cs sk ro hu hr tr vi id sq et lt lv sl ca "
                    "is tl sw eu af cy".split()),
    ("Cyrillic", 2048, "ru uk bg mk sr be kk mn".split()),
    ("Arabic", 1024, "ar fa ur".split()),
    ("Devanagari", 1024, "hi mr ne".split()),
]
ENGLISH_WEIGHT = 3.0  # English texts count so much more than those of another language
TESTDATA_CODES = {"no": ["nb", "nn"], "hr": ["hr", "bs"]}
WORDFREQ_CODES = {"no": "nb", "hr": "sh", "tl": "fil"}
NAMES = {"nb": "no", "sh": "hr", "bs": "hr"}  # in --data
SCRIPT_OF = {}
RANGES = [  # as in router/scripts.c; only scripts with a table here
    (0x41, 0x5a, 0), (0x61, 0x7a, 0), (0xaa, 0xaa, 0), (0xba, 0xba, 0), (0xc0, 0xd6, 0),
    (0xd8, 0xf6, 0), (0xf8, 0x24f, 0), (0x250, 0x2af, 0), (0x400, 0x52f, 1), (0x600, 0x6ff, 2),
    (0x750, 0x77f, 2), (0x8a0, 0x8ff, 2), (0x900, 0x97f, 3), (0x1e00, 0x1eff, 0),
    (0xfb50, 0xfdff, 2), (0xfe70, 0xfefc, 2),
]
# no letters inside those ranges: punctuation and digits
EXCEPT = [(0x600, 0x61f), (0x660, 0x66d), (0x6d4, 0x6d4), (0x6dd, 0x6e0), (0x6f0, 0x6f9),
          (0x964, 0x970), (0x482, 0x482)]


def make_tables():
    script = np.full(0x10000, -1, np.int8)
    for first, last, s in RANGES:
        script[first:last + 1] = s
    for first, last in EXCEPT:
        script[first:last + 1] = -1
    lower = np.arange(0x10000, dtype=np.uint32)
    for p in range(0x41, 0x5b):
        lower[p] = p + 32
    for p in list(range(0xc0, 0xdf)):
        if p != 0xd7:
            lower[p] = p + 32
    for p in list(range(0x100, 0x138)) + list(range(0x14a, 0x178)) + list(range(0x1e00, 0x1f00)):
        lower[p] = p | 1
    for p in range(0x139, 0x149):
        lower[p] = p + (p & 1)
    for p in range(0x410, 0x430):
        lower[p] = p + 32
    for p in range(0x400, 0x410):
        lower[p] = p + 80
    lower[0x130] = 0x69  # the Turkish capital I with a dot
    return script, lower


SCRIPT, LOWER = make_tables()
FACTOR, FINAL = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)
LONGEST = 10  # a word with its two blanks


def window(text):
    raw = text.encode("utf-8", "replace")
    if len(raw) <= HEAD + TAIL:
        return [text]
    return [raw[:HEAD].decode("utf-8", "ignore"), raw[-TAIL:].decode("utf-8", "ignore")]


def stream(text, script):
    """Code points of the script in lower case, everything else as single blanks."""
    points = []
    for part in window(text):
        p = np.frombuffer(part.encode("utf-32-le"), np.uint32)
        p = np.where(p > 0xffff, 0, p)
        points.append(np.where(SCRIPT[p] == script, LOWER[p], 32))
        points.append(np.array([32], np.uint32))
    p = np.concatenate([[32]] + points).astype(np.uint32)
    keep = np.ones(len(p), bool)
    keep[1:] = (p[1:] != 32) | (p[:-1] != 32)
    return p[keep]


def finish(h):
    h = h ^ (h >> np.uint32(15))
    h = h * FINAL
    return h ^ (h >> np.uint32(13))


def features(p):
    """Hashes of the features of a stream."""
    n = len(p)
    out = []
    hash_ = np.zeros(n, np.uint32)
    live = np.arange(n)
    for length in range(1, LONGEST + 1):
        live = live[live + length <= n]
        if length >= 3:  # a blank inside ends the run
            live = live[p[live + length - 2] != 32]
        if length == 5:  # beyond 4 only whole words
            live = live[p[live] == 32]
        if len(live) == 0:
            break
        hash_[live] = (hash_[live] ^ p[live + length - 1]) * FACTOR
        if length == 1:
            chosen = live[p[live] >= 0x80]
        elif length <= 4:
            chosen = live
        else:
            chosen = live[p[live + length - 1] == 32]
        out.append(finish(hash_[chosen]))
    return np.concatenate(out) if out else np.zeros(0, np.uint32)


def wordfreq_words(code):
    spec = importlib.util.find_spec("wordfreq")
    base = os.path.join(os.path.dirname(spec.origin), "data")
    for kind in ("small",):
        path = os.path.join(base, f"{kind}_{WORDFREQ_CODES.get(code, code)}.msgpack.gz")
        if os.path.exists(path):
            with gzip.open(path) as f:
                bins = msgpack.load(f, raw=False)[1:]
            return [(w, 10 ** (-i / 100)) for i, b in enumerate(bins) for w in b]
    return []


def profile_texts(code, count, rng):
    """Texts from langdetect's trigram counts, as a chain of the second order."""
    spec = importlib.util.find_spec("langdetect")
    with open(os.path.join(os.path.dirname(spec.origin), "profiles", code), encoding="utf-8") as f:
        freq = json.load(f)["freq"]
    after = {}
    for gram, n in sorted(freq.items()):
        if len(gram) == 3:
            after.setdefault(gram[:2], []).append((gram[2], n))
    starts = sorted((g, n) for g, n in freq.items() if len(g) == 2 and g[0] == " ")
    texts = []
    for _ in range(count):
        text = rng.choices([g for g, _ in starts], [n for _, n in starts])[0]
        wanted = rng.randint(8, 120)
        while len(text) < wanted:
            nexts = after.get(text[-2:])
            if nexts is None:
                text += " " if text[-1] != " " else ""
                text += rng.choices([g for g, _ in starts], [n for _, n in starts])[0].strip()
                continue
            text += rng.choices([c for c, _ in nexts], [n for _, n in nexts])[0]
        texts.append(text.strip())
    return texts


def read_testdata(root, code):
    """(kind, text, is_held_out)"""
    rows = []
    for source in TESTDATA_CODES.get(code, [code]):
        for kind in ("sentences", "word-pairs", "single-words"):
            path = os.path.join(root, kind, source + ".txt")
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as f:
                for i, line in enumerate(f):
                    rows.append((kind, line.strip(), i % 5 == 0))
    return rows


def pieces(text, rng):
    """A whole text, and a few words of it."""
    yield text
    words = text.split()
    if len(words) > 4:
        n = rng.randint(2, min(12, len(words)))
        at = rng.randint(0, len(words) - n)
        yield " ".join(words[at:at + n])


def collect(args, script_index, languages):
    """Lists of (text, language index, weight) per language, and the held-out rows."""
    rng = random.Random(1)
    prompts = {}
    for path in args.data:
        with open(path, encoding="utf-8") as f:
            for line in f:
                row = json.loads(line)
                lang = NAMES.get(row["lang"], row["lang"])
                prompts.setdefault(lang, []).append(row["text"])
    train, held = [], []
    for index, code in enumerate(languages):
        texts = []
        for kind, text, is_held_out in read_testdata(args.testdata, code):
            if is_held_out:
                held.append((text, index, kind))
            else:
                texts.extend(pieces(text, rng))
        mine = prompts.get(code, [])
        rng.shuffle(mine)
        for text in mine[:args.prompts]:
            texts.extend(pieces(text, rng))
        words = wordfreq_words(code)
        if words:
            names, weights = [w for w, _ in words], [f for _, f in words]
            texts += names[:2000]
            for _ in range(args.synthetic):
                texts.append(" ".join(rng.choices(names, weights, k=rng.randint(1, 12))))
        if code == "ne":
            texts += profile_texts(code, 2 * args.synthetic, rng)
        for text in texts:
            train.append((text, index))
    return train, held


def matrix(texts, script, rows):
    """Sparse rows of counts / sqrt(features); and which texts have any."""
    shift = np.uint32(32 - rows.bit_length() + 1)
    indptr, indices, data, used = [0], [], [], []
    for i, text in enumerate(texts):
        hashes = features(stream(text, script))
        if len(hashes) == 0:
            continue
        index, count = np.unique(hashes >> shift, return_counts=True)
        indices.append(index.astype(np.int32))
        data.append((count / np.sqrt(len(hashes))).astype(np.float32))
        indptr.append(indptr[-1] + len(index))
        used.append(i)
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(indices), indptr),
                             shape=(len(used), rows)), np.array(used)


def softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def fit(x, y, weight, languages, epochs, decay, say):
    rng = np.random.default_rng(1)
    w = np.zeros((x.shape[1], languages), np.float32)
    b = np.zeros(languages, np.float32)
    m, v = np.zeros_like(w), np.zeros_like(w)
    mb, vb = np.zeros_like(b), np.zeros_like(b)
    batch, step, rate = 1024, 0, 0.02
    total = epochs * ((x.shape[0] + batch - 1) // batch)
    for epoch in range(epochs):
        order = rng.permutation(x.shape[0])
        loss = 0.0
        for at in range(0, len(order), batch):
            rows = order[at:at + batch]
            xb, yb, wb = x[rows], y[rows], weight[rows]
            p = softmax(xb @ w + b)
            loss -= float((wb * np.log(p[np.arange(len(rows)), yb] + 1e-12)).sum())
            p[np.arange(len(rows)), yb] -= 1
            p *= (wb / wb.sum())[:, None]
            g, gb = xb.T @ p + decay * w, p.sum(axis=0)
            step += 1
            lr = rate * (1 - (step - 1) / total) * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            w -= (lr * m / (np.sqrt(v) + 1e-6)).astype(np.float32)
            mb = 0.9 * mb + 0.1 * gb
            vb = 0.999 * vb + 0.001 * gb * gb
            b -= (lr * mb / (np.sqrt(vb) + 1e-6)).astype(np.float32)
        say(f"  epoch {epoch + 1}/{epochs}: loss {loss / weight.sum():.4f}")
    return w, b


def quantise(w):
    top = float(np.quantile(np.abs(w), 0.9998))
    step = top / 127
    return np.clip(np.rint(w / step), -127, 127).astype(np.int8), np.float32(step)


def letter_pairs(args):
    """ln P(b | a) * 16 over a..z and blank, all Latin languages alike: what runs of letters look
    like, for router/guards.c."""
    counts = np.zeros((27, 27))
    for code in GROUPS[0][2]:
        mine = np.zeros((27, 27))
        for kind, text, is_held_out in read_testdata(args.testdata, code):
            if is_held_out or kind != "sentences":
                continue
            p = stream(text, 0)
            p = np.where((p >= 97) & (p <= 122), p - 96, 0)
            np.add.at(mine, (p[:-1], p[1:]), 1)
        counts += mine / mine.sum() * (3 if code == "en" else 1)
    counts = counts / counts.sum() * 1e6 + 2
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return np.clip(np.rint(logs * 16), -127, 0).astype(np.int8)


def fnv(data):
    """str_hash of base/str.h"""
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        h = ((h ^ (h >> 33)) * factor) & 0xffffffffffffffff
    return h ^ (h >> 33)


def pad(data):
    return data + bytes(-len(data) % 64)


def encode(tables, pairs, card):
    body = struct.pack("<II", len(tables), len(card)) + bytes(24)
    for script, rows, languages, table, bias, step in tables:
        width = (len(languages) + 7) // 8 * 8
        body += pad(struct.pack("<16sIIIf", script.encode(), len(languages), width, rows, step))
        body += pad(b"".join(code.encode().ljust(8, b"\0") for code in languages))
        body += pad(np.asarray(bias, "<f4").tobytes())
        wide = np.zeros((rows, width), np.int8)
        wide[:, :len(languages)] = table
        body += pad(wide.tobytes())
    body += pad(pairs.tobytes()) + pad(card)
    head = b"EXPERTDL" + struct.pack("<IIQQ", VERSION, SCHEME, 32 + len(body), fnv(body))
    return head + body


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testdata", required=True)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--prompts", type=int, default=2500, help="at most so many a language")
    parser.add_argument("--synthetic", type=int, default=3000, help="from word frequencies, a language")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--decay", type=float, default=1e-6)
    parser.add_argument("--rows", type=int, default=4096, help="of the Latin table")
    args = parser.parse_args()

    def say(text):
        print(f"{time.monotonic() - start:6.1f} s  {text}", file=sys.stderr, flush=True)

    start = time.monotonic()
    tables, figures, count = [], {}, 0
    for s, (script, rows, languages) in enumerate(GROUPS):
        rows = args.rows if s == 0 else rows
        train, held = collect(args, s, languages)
        count += len(train)
        x, used = matrix([t for t, _ in train], s, rows)
        y = np.array([label for _, label in train])[used]
        share = np.bincount(y, minlength=len(languages)).astype(np.float64)
        weight = (1 / share)[y] * len(y) / len(languages)
        if script == "Latin":
            weight[y == 0] *= ENGLISH_WEIGHT
        say(f"{script}: {len(y)} texts, {x.nnz} features")
        w, b = fit(x, y, weight.astype(np.float32), len(languages), args.epochs, args.decay, say)
        q, step = quantise(w)
        tables.append((script, rows, languages, q, b, step))
        for kind in ("sentences", "word-pairs", "single-words"):
            texts = [t for t, _, k in held if k == kind]
            truth = np.array([label for _, label, k in held if k == kind])
            xh, used = matrix(texts, s, rows)
            p = softmax(xh @ (q.astype(np.float32) * step) + b)
            hit = p.argmax(axis=1) == truth[used]
            figures[f"{script} {kind}"] = round(float(hit.sum() / len(truth)), 4)
            worst = sorted((float(hit[truth[used] == i].mean()), c) for i, c in enumerate(languages)
                           if (truth[used] == i).any())[:6]
            say(f"  held out {kind}: accuracy {figures[f'{script} {kind}']:.4f}, confidence "
                f"{p.max(axis=1).mean():.4f}, worst {worst}")
    card = {"texts": count, "options": {k: v for k, v in vars(args).items()
                                        if k not in ("testdata", "data", "out")},
            "held_out_accuracy": figures}
    blob = encode(tables, letter_pairs(args), json.dumps(card, sort_keys=True).encode())
    with open(args.out, "wb") as f:
        f.write(blob)
    say(f"{args.out}: {len(blob)} bytes")


if __name__ == "__main__":
    main()
