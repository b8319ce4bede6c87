#!/usr/bin/python3
"""experts.py CORPUS OUT [--only NAME,...] [--keep FOLDER] [--jobs N]: trains small language models, one for each
domain and one for everything.

Each is a llama-architecture model of 0.93 million parameters (about 1 MB as Q8_0) over one vocabulary of
1,024 pieces, so that their bits per byte can be compared. All begin as one: a trunk reads the text of every domain.
From there `generalist` goes on with everything, and each expert with the text of its domain, for the same number
of steps: an expert has learned no longer than the generalist, only something else. What is shipped as an expert lies
between the two: generalist + SHARE x (expert - generalist), the share chosen for each domain on held-out text of
a source that nobody was trained on (CORPUS/authored_train.jsonl).

Text: CORPUS/train.jsonl, CORPUS/extra.jsonl and the project's own prompts (tools/train/prompts/english.jsonl),
English only. Nothing of dev.jsonl or authored_dev.jsonl is read. Deterministic: the same files with the same versions
of torch and sentencepiece (Debian's python3-torch and sentencepiece), whatever the number of jobs. --keep: vocabulary and
trunk lie in FOLDER and are used again where they are there. About 20 minutes of one idle core.
"""
import argparse, collections, json, math, multiprocessing, os, random, struct, subprocess, sys, tempfile, time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"  # read when the libraries load; matrices this small gain nothing from more

import numpy, torch
from torch.nn.functional import cross_entropy, silu

DIM, HEADS, LAYERS, HIDDEN, VOCAB, CONTEXT, BATCH = 128, 4, 4, 352, 1024, 256, 8
ROPE_BASE, EPSILON = 10000.0, 1e-5
TRUNK, BRANCH, WARM_UP = 1000, 100, 50  # steps
RATE, MATRIX_RATE, DECAY = 4e-3, 0.02, 0.05
BOS, EOS, NOTHING = 1, 2, -100
EVERYTHING, GENERALIST = "general", "generalist"  # the label that has no expert, and the model for it
TIMES = {"corpus": 1, "templates": 0.3, "extra": 1, "prompts": 6}  # how often a text counts, by kind
SHARES = (0.25, 0.5, 0.75, 1.0)
SAMPLE_BYTES = 500_000  # of each domain, for the vocabulary
PROMPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prompts", "english.jsonl")


# ---- text ----

def read(path):
    """(label, source, text with single blanks) of each English row."""
    with open(path, encoding="utf-8") as f:
        for row in map(json.loads, f):
            if row.get("lang", "en") == "en":
                yield row["label"], row.get("source", ""), " ".join(row["text"].split())


def texts(corpus):
    """{domain: {kind: texts}}, both in order, the texts shuffled."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for label, source, text in read(os.path.join(corpus, "train.jsonl")):
        found[label]["templates" if source.startswith("synthetic") else "corpus"].append(text)
    for label, _, text in read(os.path.join(corpus, "extra.jsonl")):
        found[label]["extra"].append(text)
    for label, _, text in read(PROMPTS):
        found[label]["prompts"].append(text)
    for kinds in found.values():
        for lines in kinds.values():
            random.Random(5).shuffle(lines)
    return {d: {k: found[d][k] for k in sorted(found[d])} for d in sorted(found)}


def vocabulary(domains, folder):
    """One for all, from an equal share of each domain, in which the kinds count as in training."""
    with open(f"{folder}/sample.txt", "w", encoding="utf-8") as f:
        for kinds in domains.values():
            sizes = {k: TIMES[k] * sum(map(len, lines)) for k, lines in kinds.items()}
            for kind, lines in kinds.items():
                left = SAMPLE_BYTES * sizes[kind] / sum(sizes.values())
                for line in lines:
                    if left <= 0:
                        break
                    left -= len(line)
                    f.write(line + "\n")
    subprocess.run(["spm_train", f"--input={folder}/sample.txt", f"--model_prefix={folder}/sp", f"--vocab_size={VOCAB}",
                    "--model_type=bpe", "--byte_fallback=true", "--character_coverage=0.995", "--num_threads=1",
                    "--split_digits=true", "--normalization_rule_name=identity", "--remove_extra_whitespaces=false"],
                   check=True, stderr=subprocess.DEVNULL)


def pieces(folder):
    """(pieces, scores) of the vocabulary."""
    with open(f"{folder}/sp.vocab", encoding="utf-8") as f:
        pairs = [line.rstrip("\n").split("\t") for line in f]
    return [p for p, _ in pairs], [float(s) for _, s in pairs]


def tokens(lines, folder):
    """Of each line, between begin and end."""
    out = subprocess.run(["spm_encode", f"--model={folder}/sp.model", "--output_format=id"], check=True,
                         input="\n".join(lines) + "\n", capture_output=True, text=True).stdout
    return [[BOS, *map(int, line.split()), EOS] for line in out.splitlines()]


class Text:
    """The texts of some domains as tokens, and windows of them at random."""

    def __init__(self, domains, folder):
        self.parts, self.weights, self.pick = [], [], random.Random(11)
        for kinds in domains.values():
            parts = [(self.part(tokens(lines, folder)), TIMES[k]) for k, lines in kinds.items()]
            parts = [(p, times * len(p[0])) for p, times in parts if len(p[0]) > 4 * CONTEXT]
            total = sum(size for _, size in parts)
            self.parts += [p for p, _ in parts]
            self.weights += [size / total for _, size in parts]

    @staticmethod
    def part(rows):
        stream = torch.tensor([i for row in rows for i in row])
        return stream, [i for i in (stream == BOS).nonzero().flatten().tolist() if i < len(stream) - CONTEXT]

    def batch(self):
        """Half of the windows begin where a text begins."""
        windows = []
        for stream, begins in self.pick.choices(self.parts, self.weights, k=BATCH):
            at = self.pick.choice(begins) if self.pick.random() < 0.5 else self.pick.randrange(len(stream) - CONTEXT)
            windows.append(stream[at:at + CONTEXT + 1])
        ids = torch.stack(windows)
        return ids[:, :-1], ids[:, 1:]


# ---- model ----

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
        self.causal = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).tril()

    def matrices(self):
        return [p for name, p in self.p.items() if p.ndim == 2 and name != "token_embd"]

    def rest(self):
        return [p for name, p in self.p.items() if p.ndim == 1 or name == "token_embd"]

    def weights(self):
        return {name: p.detach().clone() for name, p in self.p.items()}

    def load(self, weights):
        for name, p in self.p.items():
            p.data.copy_(weights[name])
        return self

    def norm(self, x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.p[name]

    def rotate(self, x):
        a, b = x[..., 0::2], x[..., 1::2]
        c, s = self.cos[:x.shape[1], None], self.sin[:x.shape[1], None]
        return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)

    def mask(self, ids):
        """A text sees itself alone, not what stands before it in the window."""
        n, t = ids.shape
        text = (ids == BOS).cumsum(1)
        seen = (text[:, :, None] == text[:, None, :]) & self.causal[:t, :t]
        return torch.zeros(n, 1, t, t).masked_fill_(~seen[:, None], float("-inf"))

    def __call__(self, ids):
        p, (n, t) = self.p, ids.shape
        mask, h = self.mask(ids), p["token_embd"][ids]
        for i in range(LAYERS):
            b = f"blk.{i}."
            x = self.norm(h, b + "attn_norm")
            heads = lambda name: (x @ p[b + name].T).view(n, t, HEADS, -1)
            q, k, v = self.rotate(heads("attn_q")), self.rotate(heads("attn_k")), heads("attn_v")
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            a = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(DIM // HEADS) + mask, -1) @ v
            h = h + a.transpose(1, 2).reshape(n, t, DIM) @ p[b + "attn_output"].T
            x = self.norm(h, b + "ffn_norm")
            h = h + (silu(x @ p[b + "ffn_gate"].T) * (x @ p[b + "ffn_up"].T)) @ p[b + "ffn_down"].T
        return self.norm(h, "output_norm") @ p["token_embd"].T


# ---- training ----

class Muon:
    """Momentum made orthogonal, for the matrices (https://kellerjordan.github.io/posts/muon/): half the steps of AdamW."""

    def __init__(self, parameters):
        self.moments = [(p, torch.zeros_like(p)) for p in parameters]

    @staticmethod
    def orthogonal(g):
        x = g / (g.norm() + 1e-7)
        x = x.T if g.shape[0] > g.shape[1] else x
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x.T if g.shape[0] > g.shape[1] else x

    @torch.no_grad()
    def step(self, scale):
        for p, moment in self.moments:
            moment.mul_(0.95).add_(p.grad)
            p.mul_(1 - scale * MATRIX_RATE * DECAY)
            p.sub_(self.orthogonal(p.grad + 0.95 * moment),
                   alpha=scale * MATRIX_RATE * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def train(name, model, text, steps, scale_at):
    """scale_at: step -> what the rates are multiplied with."""
    rest, muon = model.rest(), Muon(model.matrices())
    adam = torch.optim.AdamW(rest, lr=RATE, betas=(0.9, 0.95), weight_decay=DECAY)
    began, total = time.time(), 0.0
    for step in range(steps):
        ids, wanted = text.batch()
        loss = cross_entropy(model(ids).flatten(0, 1), wanted.flatten())
        for p in model.p.values():
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        adam.param_groups[0]["lr"] = RATE * scale_at(step)
        adam.step()
        muon.step(scale_at(step))
        total += loss.item()
        if step % 100 == 99:
            print(f"{name}: step {step + 1} of {steps}, loss {total / 100:.3f}, {time.time() - began:.0f} s", flush=True)
            total = 0.0
    return model


def trunk(domains, folder):
    path = f"{folder}/trunk.pt"
    if not os.path.exists(path):
        model = train("trunk", Model(), Text(domains, folder), TRUNK, lambda step: min(1, (step + 1) / WARM_UP))
        torch.save(model.weights(), path)
    return torch.load(path)


def branch(task):
    """The weights of one model; each job makes them alone."""
    name, domains, weights, folder = task
    torch.set_num_threads(1)
    # momentum begins anew, so the rates rise again before they fall
    scale = lambda step: min((step + 1) / WARM_UP, (BRANCH - step) / (BRANCH - WARM_UP), 1)
    return train(name, Model().load(weights), Text(domains, folder), BRANCH, scale).weights()


# ---- what an expert keeps of its own ----

def held_out(corpus, folder):
    """{label: [(tokens without the end, bytes)]} of authored_train.jsonl, those that fit."""
    lines = collections.defaultdict(list)
    for label, _, line in read(os.path.join(corpus, "authored_train.jsonl")):
        lines[label].append(line)
    return {label: [(row[:-1], len(line.encode())) for row, line in zip(tokens(rows, folder), rows)
                    if len(row) <= CONTEXT + 1] for label, rows in lines.items()}


@torch.no_grad()
def bits_per_byte(weights, rows):
    model, nats, size = Model().load(weights), 0.0, 0
    rows = sorted(rows, key=lambda row: len(row[0]))
    for i in range(0, len(rows), 32):
        part = rows[i:i + 32]
        longest = len(part[-1][0])
        ids = torch.tensor([row + [EOS] * (longest - len(row)) for row, _ in part])
        wanted = torch.tensor([row[1:] + [NOTHING] * (longest - len(row)) for row, _ in part])
        nats += cross_entropy(model(ids)[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=NOTHING,
                              reduction="sum").item()
        size += sum(n for _, n in part)
    return nats / math.log(2) / size


def between(generalist, expert, share):
    return {name: torch.lerp(generalist[name], expert[name], share) for name in generalist}


def keep(name, generalist, expert, rows):
    """The best of SHARES on the held-out rows."""
    found = {share: bits_per_byte(between(generalist, expert, share), rows) for share in SHARES}
    best = min(found, key=found.get)
    print(f"{name}: generalist {bits_per_byte(generalist, rows):.4f}, "
          + ", ".join(f"{share} {bits:.4f}" for share, bits in found.items()) + f"; keeps {best}", flush=True)
    return between(generalist, expert, best)


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


def write_gguf(path, name, weights, pieces, scores):
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
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(meta)) + b"".join(entry(*m) for m in meta)
    body = b""
    for key, tensor in weights.items():
        array = tensor.numpy()
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
    ask.add_argument("--only", help="these experts alone, separated by commas")
    ask.add_argument("--keep", help="where vocabulary and trunk lie")
    ask.add_argument("--jobs", type=int, default=1)
    args = ask.parse_args()
    torch.set_num_threads(1)
    domains = texts(args.corpus)
    names = args.only.split(",") if args.only else [d for d in domains if d != EVERYTHING]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or temporary
        for path in (args.out, folder):
            os.makedirs(path, exist_ok=True)
        if not os.path.exists(f"{folder}/sp.vocab"):
            vocabulary(domains, folder)
        weights, vocab, held = trunk(domains, folder), pieces(folder), held_out(args.corpus, folder)
        with multiprocessing.Pool(args.jobs) as pool:
            tasks = [(GENERALIST, domains, weights, folder)]
            tasks += [(name, {name: domains[name]}, weights, folder) for name in names]
            made = pool.imap(branch, tasks)
            generalist = next(made)
            write_gguf(os.path.join(args.out, GENERALIST + ".gguf"), GENERALIST, generalist, *vocab)
            for name, expert in zip(names, made):
                kept = keep(name, generalist, expert, held[name])
                write_gguf(os.path.join(args.out, name + ".gguf"), name, kept, *vocab)


if __name__ == "__main__":
    sys.exit(main())
