#!/usr/bin/env python3
"""experts.py CORPUS OUT [--steps N] [--only NAME,...]: trains one small language model per domain.

Each is a llama-architecture model of 0.93 million parameters (about 1 MB as Q8_0) over one vocabulary of
1,024 pieces, so that their bits per byte can be compared. `generalist` has the same shape, steps and seed but
reads all domains: what a single model of that size can do. Rows come from CORPUS/train.jsonl (English); nothing of
dev.jsonl is read. Deterministic on one thread, about five minutes a model. Needs Debian's python3-torch and
sentencepiece.
"""
import argparse, json, math, os, random, struct, subprocess, sys, tempfile, time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"  # read when the libraries load; matrices this small gain nothing from more

import numpy, torch
from torch.nn.functional import cross_entropy, silu

DOMAINS = ["medical", "law", "coding", "cybersecurity", "finance", "math", "physics", "chemistry"]
DIM, HEADS, LAYERS, HIDDEN, VOCAB, CONTEXT, BATCH = 128, 4, 4, 352, 1024, 256, 8
ROPE_BASE, EPSILON, PEAK_RATE = 10000.0, 1e-5, 4e-3
BOS, EOS = 1, 2


def rows(corpus):
    """The texts of each domain, in the corpus' order."""
    texts = {d: [] for d in DOMAINS}
    with open(os.path.join(corpus, "train.jsonl"), encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            if row["label"] in texts and row.get("lang", "en") == "en":
                texts[row["label"]].append(" ".join(row["text"].split()))
    return texts


def vocabulary(texts, folder):
    """One vocabulary from an equal share of each domain; returns (pieces, scores)."""
    sample = os.path.join(folder, "sample.txt")
    with open(sample, "w", encoding="utf-8") as f:
        for lines in texts.values():
            size = 0
            for line in lines:
                size += len(line)
                if size > 900_000:
                    break
                f.write(line + "\n")
    subprocess.run(["spm_train", f"--input={sample}", f"--model_prefix={folder}/sp", f"--vocab_size={VOCAB}",
                    "--model_type=bpe", "--byte_fallback=true", "--character_coverage=0.995", "--num_threads=1",
                    "--split_digits=true", "--normalization_rule_name=identity", "--remove_extra_whitespaces=false"],
                   check=True, stderr=subprocess.DEVNULL)
    with open(f"{folder}/sp.vocab", encoding="utf-8") as f:
        pairs = [line.rstrip("\n").split("\t") for line in f]
    return [p for p, _ in pairs], [float(s) for _, s in pairs]


def tokens(lines, folder):
    out = subprocess.run(["spm_encode", f"--model={folder}/sp.model", "--output_format=id"], check=True,
                         input="\n".join(lines) + "\n", capture_output=True, text=True).stdout
    ids = []
    for line in out.splitlines():
        ids.append(BOS)
        ids.extend(int(i) for i in line.split())
        ids.append(EOS)
    return torch.tensor(ids, dtype=torch.long)


class Model:
    def __init__(self):
        torch.manual_seed(7)
        normal = lambda *shape: torch.nn.Parameter(torch.randn(*shape) * 0.02)
        ones = lambda: torch.nn.Parameter(torch.ones(DIM))
        self.p = {"token_embd": normal(VOCAB, DIM), "output_norm": ones()}
        for i in range(LAYERS):
            for name in ("attn_norm", "ffn_norm"):
                self.p[f"blk.{i}.{name}"] = ones()
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                self.p[f"blk.{i}.{name}"] = normal(DIM, DIM)
            self.p[f"blk.{i}.ffn_gate"] = normal(HIDDEN, DIM)
            self.p[f"blk.{i}.ffn_up"] = normal(HIDDEN, DIM)
            self.p[f"blk.{i}.ffn_down"] = normal(DIM, HIDDEN)
        size = DIM // HEADS
        angle = torch.outer(torch.arange(CONTEXT).float(), ROPE_BASE ** -(torch.arange(0, size, 2).float() / size))
        self.cos, self.sin = angle.cos(), angle.sin()
        self.mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1)

    def norm(self, x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.p[name]

    def rotate(self, x):
        a, b = x[..., 0::2], x[..., 1::2]
        c, s = self.cos[:, None], self.sin[:, None]
        return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)

    def __call__(self, ids):
        p, (n, t) = self.p, ids.shape
        h = p["token_embd"][ids]
        for i in range(LAYERS):
            b = f"blk.{i}."
            x = self.norm(h, b + "attn_norm")
            heads = lambda name: (x @ p[b + name].T).view(n, t, HEADS, -1)
            q, k, v = self.rotate(heads("attn_q")), self.rotate(heads("attn_k")), heads("attn_v")
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            a = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(DIM // HEADS) + self.mask, -1) @ v
            h = h + a.transpose(1, 2).reshape(n, t, DIM) @ p[b + "attn_output"].T
            x = self.norm(h, b + "ffn_norm")
            h = h + (silu(x @ p[b + "ffn_gate"].T) * (x @ p[b + "ffn_up"].T)) @ p[b + "ffn_down"].T
        return self.norm(h, "output_norm") @ p["token_embd"].T


def train(name, data, steps):
    model, pick = Model(), random.Random(11)
    opt = torch.optim.AdamW(model.p.values(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.05)
    began = time.time()
    for step in range(steps):
        starts = [pick.randrange(len(data) - CONTEXT - 1) for _ in range(BATCH)]
        x = torch.stack([data[i:i + CONTEXT] for i in starts])
        y = torch.stack([data[i + 1:i + CONTEXT + 1] for i in starts])
        rate = PEAK_RATE * min(1, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in opt.param_groups:
            group["lr"] = rate
        loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.p.values(), 1.0)
        opt.step()
        if step % 100 == 99:
            print(f"{name}: step {step + 1} of {steps}, loss {loss.item():.3f}, {time.time() - began:.0f} s", flush=True)
    return model


# GGUF, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TYPE_F32, TYPE_Q8_0 = 0, 8
PACK = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    return text(v) if kind == STRING else struct.pack(PACK[kind], v)


def entry(key, kind, v):
    if isinstance(v, list):
        return text(key) + struct.pack("<IIQ", ARRAY, kind, len(v)) + b"".join(value(kind, x) for x in v)
    return text(key) + struct.pack("<I", kind) + value(kind, v)


def q8_0(matrix):
    blocks = matrix.reshape(-1, 32)
    scale = (numpy.abs(blocks).max(1) / 127).astype("<f2")
    wide = scale.astype("<f4")[:, None]
    q = numpy.round(numpy.divide(blocks, wide, out=numpy.zeros_like(blocks), where=wide != 0)).clip(-127, 127)
    return numpy.concatenate([scale[:, None].view("i1"), q.astype("i1")], 1).tobytes()


def write_gguf(path, name, model, pieces, scores):
    kinds = [2 if i == 0 else 3 if i in (BOS, EOS) else 6 if len(p) == 6 and p.startswith("<0x") else 1
             for i, p in enumerate(pieces)]
    meta = [("general.architecture", STRING, "llama"), ("general.name", STRING, f"expertd {name}"),
            ("general.license", STRING, "CC-BY-SA-4.0"), ("general.alignment", U32, 32),
            ("llama.context_length", U32, CONTEXT), ("llama.embedding_length", U32, DIM),
            ("llama.block_count", U32, LAYERS), ("llama.feed_forward_length", U32, HIDDEN),
            ("llama.attention.head_count", U32, HEADS), ("llama.attention.head_count_kv", U32, HEADS),
            ("llama.attention.layer_norm_rms_epsilon", F32, EPSILON), ("llama.rope.freq_base", F32, ROPE_BASE),
            ("llama.rope.dimension_count", U32, DIM // HEADS), ("llama.vocab_size", U32, VOCAB),
            ("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.tokens", STRING, pieces),
            ("tokenizer.ggml.scores", F32, scores), ("tokenizer.ggml.token_type", I32, kinds),
            ("tokenizer.ggml.bos_token_id", U32, BOS), ("tokenizer.ggml.eos_token_id", U32, EOS),
            ("tokenizer.ggml.unknown_token_id", U32, 0), ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.chat_template", STRING, "{% for m in messages %}{{ m['content'] }}{% endfor %}")]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(model.p), len(meta)) + b"".join(entry(*m) for m in meta)
    body = b""
    for key, tensor in model.p.items():
        array = tensor.detach().numpy()
        is_vector = array.ndim == 1
        head += (text(key + ".weight") + struct.pack("<I", array.ndim)
                 + struct.pack(f"<{array.ndim}Q", *reversed(array.shape))
                 + struct.pack("<IQ", TYPE_F32 if is_vector else TYPE_Q8_0, len(body)))
        body += array.astype("<f4").tobytes() if is_vector else q8_0(array)
        body += b"\0" * (-len(body) % 32)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + body)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("corpus")
    ask.add_argument("out")
    ask.add_argument("--steps", type=int, default=1500)
    ask.add_argument("--only", help="these models alone, separated by commas")
    args = ask.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.out, exist_ok=True)
    texts = rows(args.corpus)
    wanted = args.only.split(",") if args.only else DOMAINS + ["generalist"]
    with tempfile.TemporaryDirectory() as folder:
        pieces, scores = vocabulary(texts, folder)
        for name in wanted:
            lines = texts.get(name) or [t for d in DOMAINS for t in texts[d]]
            random.Random(5).shuffle(lines)
            data = tokens(lines, folder)
            print(f"{name}: {len(lines):,} rows, {len(data):,} tokens", flush=True)
            write_gguf(os.path.join(args.out, name + ".gguf"), name, train(name, data, args.steps), pieces, scores)


if __name__ == "__main__":
    sys.exit(main())
