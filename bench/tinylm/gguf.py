#!/usr/bin/env python3
"""Writes small GGUF files, for tests and comparisons, with the standard library alone:
    gguf.py WEIGHTS.bin TOKENIZER.bin OUT.gguf [--type F32|F16|BF16|Q8_0|Q4_0|...|Q4_K|Q5_K|Q6_K] [--as-f32] [--arch llama|qwen2]
WEIGHTS.bin and TOKENIZER.bin are a checkpoint of karpathy/llama2.c (MIT): seven little-endian i32
(width, hidden, layers, heads, kv heads, vocabulary, context), then F32 tensors; a tokenizer is an i32
and, for each token, f32 score, i32 length, bytes. Rows that are no whole blocks (of 32; of 256 for K) stay F16.
WEIGHTS.bin may be `random:WIDTH`: random weights, three layers; a model that only computes.
--golden OUT.bin: blocks of each type, quantised from a known curve, and what they stand for: a test reads them.
--as-f32 rounds as --type says but writes F32: what exact arithmetic on the quantised weights starts from.
--arch qwen2 renames the architecture and adds biases of 0.01 * i: a model that only computes."""
import argparse
import array
import math
import random
import struct

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "BF16": 30}
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FORMS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}
CHAT = ("{% for m in messages %}{{ m['content'] }}{% if not loop.last %} {% endif %}{% endfor %}")


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    return text(value) if kind == STRING else struct.pack(FORMS[kind], value)


def pair(key, kind, value):
    if isinstance(value, list):
        head = struct.pack("<IIQ", ARRAY, kind, len(value))
        return text(key) + head + b"".join(scalar(kind, v) for v in value)
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def nearest(x):
    """Half away from zero."""
    return int(x + 0.5) if x >= 0 else -int(-x + 0.5)


def high_bits(quants):
    return struct.pack("<I", sum((q >> 4) << i for i, q in enumerate(quants)))


def nibbles(quants):
    return bytes((quants[i] & 15) | (quants[i + 16] & 15) << 4 for i in range(16))


def k_scales(scales, leasts):
    """Twelve bytes of six bits each: the first four in bytes of their own, whose upper bits are those of the last."""
    first = [scales[i] | scales[i + 4] >> 4 << 6 for i in range(4)] + [leasts[i] | leasts[i + 4] >> 4 << 6 for i in range(4)]
    return bytes(first + [scales[i] & 15 | (leasts[i] & 15) << 4 for i in range(4, 8)])


def k_block(kind, x):
    """256 numbers as a block of Q4_K or Q5_K: eight parts, each x = d * scale * q - dmin * least."""
    steps = 15 if kind == "Q4_K" else 31
    parts = [x[i:i + 32] for i in range(0, 256, 32)]
    least = [max(0, -min(p)) for p in parts]
    scale = [(max(p) + m) / steps for p, m in zip(parts, least)]
    d, = struct.unpack("<e", struct.pack("<e", max(scale) / 63))
    dmin, = struct.unpack("<e", struct.pack("<e", max(least) / 63))
    scales = [min(63, nearest(s / d)) if d else 0 for s in scale]
    leasts = [min(63, nearest(m / dmin)) if dmin else 0 for m in least]
    quants = [[min(steps, max(0, nearest((v + dmin * m) / (d * s)))) if d * s else 0 for v in p]
              for p, s, m in zip(parts, scales, leasts)]
    high = bytes(sum((q[i] >> 4) << k for k, q in enumerate(quants)) for i in range(32)) if steps == 31 else b""
    low = b"".join(bytes(a & 15 | (b & 15) << 4 for a, b in zip(quants[k], quants[k + 1])) for k in range(0, 8, 2))
    return struct.pack("<ee", d, dmin) + k_scales(scales, leasts) + high + low


def q6_k_block(x):
    """256 numbers: sixteen parts of 16, each x = d * scale * (q - 32)."""
    parts = [x[i:i + 16] for i in range(0, 256, 16)]
    scale = [max(map(abs, p)) / 31 for p in parts]
    d, = struct.unpack("<e", struct.pack("<e", max(scale) / 127))
    scales = [min(127, nearest(s / d)) if d else 0 for s in scale]
    q = [min(63, max(0, nearest(v / (d * s)) + 32)) if d * s else 32 for p, s in zip(parts, scales) for v in p]
    low, high = bytearray(), bytearray()
    for half in (q[:128], q[128:]):
        low += bytes(half[i] & 15 | (half[i + 64] & 15) << 4 for i in range(64))
        high += bytes(sum((half[i + 32 * k] >> 4) << 2 * k for k in range(4)) for i in range(32))
    return bytes(low + high) + struct.pack("<16be", *scales, d)


def unblock_k(kind, data):
    """By the formulas of ggml's file format, weight by weight."""
    if kind == "Q6_K":
        scales = struct.unpack_from("<16b", data, 192)
        d, = struct.unpack_from("<e", data, 208)
        return [d * scales[i // 16] * ((data[i // 128 * 64 + i % 64] >> i % 128 // 64 * 4 & 15)
                | (data[128 + i // 128 * 32 + i % 32] >> i % 128 // 32 * 2 & 3) << 4) - d * scales[i // 16] * 32
                for i in range(256)]
    d, dmin = struct.unpack_from("<ee", data)
    s = data[4:16]
    scale = [s[k] & 63 if k < 4 else s[k + 4] & 15 | s[k - 4] >> 6 << 4 for k in range(8)]
    least = [s[k + 4] & 63 if k < 4 else s[k + 4] >> 4 | s[k] >> 6 << 4 for k in range(8)]
    low = data[-128:]
    quants = [low[i // 64 * 32 + i % 32] >> i % 64 // 32 * 4 & 15 for i in range(256)]
    if kind == "Q5_K":
        quants = [q | (data[16 + i % 32] >> i // 32 & 1) << 4 for i, q in enumerate(quants)]
    return [d * scale[i // 32] * q - dmin * least[i // 32] for i, q in enumerate(quants)]


def size_of(kind):
    """Weights in a block."""
    return 256 if kind.endswith("_K") else 1 if kind in ("F32", "F16", "BF16") else 32


def block(kind, x):
    """The numbers of a block as its bytes."""
    if kind == "Q6_K":
        return q6_k_block(x)
    if kind.endswith("_K"):
        return k_block(kind, x)
    if kind == "Q8_0":
        scale = max(map(abs, x)) / 127
        return struct.pack("<e", scale) + bytes(nearest(v / scale) & 255 if scale else 0 for v in x)
    steps = 16 if kind.startswith("Q4") else 32
    high = kind.startswith("Q5")
    if kind.endswith("_0"):
        most = max(x, key=abs)
        scale = most / -(steps / 2)
        quants = [min(steps - 1, int(v / scale + steps / 2 + 0.5)) if scale else 0 for v in x]
        head = struct.pack("<e", scale)
    else:
        scale = (max(x) - min(x)) / (steps - 1)
        quants = [min(steps - 1, int((v - min(x)) / scale + 0.5)) if scale else 0 for v in x]
        head = struct.pack("<ee", scale, min(x))
    return head + (high_bits(quants) if high else b"") + nibbles(quants)


def unblock(kind, data):
    """The numbers that a block stands for."""
    if kind.endswith("_K"):
        return unblock_k(kind, data)
    scale, = struct.unpack_from("<e", data)
    if kind == "Q8_0":
        return [scale * q for q in struct.unpack_from("<32b", data, 2)]
    packed = data[-16:]
    quants = [b & 15 for b in packed] + [b >> 4 for b in packed]
    if kind.startswith("Q5"):
        bits, = struct.unpack_from("<I", data, len(data) - 20)
        quants = [q | (bits >> i & 1) << 4 for i, q in enumerate(quants)]
    least = struct.unpack_from("<e", data, 2)[0] if kind.endswith("_1") else -scale * (8 if kind[1] == "4" else 16)
    return [scale * q + least for q in quants]


def rounded(kind, values, row):
    """The numbers that the tensor would hold as this type, as F32."""
    kind, data = encode(kind, values, row)
    if kind == "BF16":
        return array.array("f", struct.unpack(f"<{len(values)}f", b"".join(b"\0\0" + data[i:i + 2]
                                                                           for i in range(0, len(data), 2))))
    if kind in ("F32", "F16"):
        return array.array("f", struct.unpack(f"<{len(values)}{'f' if kind == 'F32' else 'e'}", data))
    size = len(data) // (len(values) // size_of(kind))
    return array.array("f", [x for i in range(0, len(data), size) for x in unblock(kind, data[i:i + size])])


def brain(value):
    """An F32's upper half, rounded to nearest, ties to even."""
    bits, = struct.unpack("<I", struct.pack("<f", value))
    return struct.pack("<H", (bits + 0x7fff + (bits >> 16 & 1)) >> 16)


def encode(kind, values, row):
    """The type that the tensor gets, and its bytes."""
    if kind == "F32":
        return kind, values.tobytes()
    if kind == "BF16":
        return kind, b"".join(map(brain, values))
    size = size_of(kind)
    if kind == "F16" or row % size:
        return "F16", struct.pack(f"<{len(values)}e", *values)
    return kind, b"".join(block(kind, values[i:i + size]) for i in range(0, len(values), size))


def write_golden(path):
    """For each type with blocks: its number, weights and bytes, three blocks, what they stand for as F32."""
    with open(path, "wb") as file:
        for kind, number in TYPES.items():
            size = size_of(kind)
            if size > 1:
                curve = [math.sin(0.37 * i) * (1 + i % 29) - 0.003 * i for i in range(3 * size)]
                blocks = [block(kind, curve[i:i + size]) for i in range(0, 3 * size, size)]
                numbers = [x for data in blocks for x in unblock(kind, data)]
                file.write(struct.pack("<III", number, size, len(blocks[0])) + b"".join(blocks)
                           + struct.pack(f"<{3 * size}f", *numbers))


def read_tokenizer(path, count):
    pieces, scores, kinds = [], [], []
    with open(path, "rb") as file:
        file.read(4)
        for i in range(count):
            score, length = struct.unpack("<fi", file.read(8))
            piece = file.read(length)
            kind = 1
            if i < 3:
                piece, kind = [(b"<unk>", 2), (b"<s>", 3), (b"</s>", 3)][i]
            elif i < 259:
                piece, kind = b"<0x%02X>" % (i - 3), 6
            pieces.append(piece.replace(b" ", "\u2581".encode()))
            scores.append(score)
            kinds.append(kind)
    return pieces, scores, kinds


def random_checkpoint(width):
    """As read_checkpoint: 3 layers, 4 heads, 2 of keys, 512 tokens, weights that keep activations of size 1."""
    source = random.Random(7)
    shape = (width, 3 * width, 3, 4, 2, 512, 256)
    draw = lambda row, rows: (row, rows, array.array("f", [source.gauss(0, row ** -0.5) for _ in range(row * rows)]))
    ones = lambda: (width, 0, array.array("f", [1.0] * width))
    tensors = {"token_embd.weight": draw(width, 512), "output_norm.weight": ones()}
    for layer in range(3):
        for part, row, rows in (("attn_q", width, width), ("attn_k", width, width // 2), ("attn_v", width, width // 2),
                                ("attn_output", width, width), ("ffn_gate", width, 3 * width),
                                ("ffn_up", width, 3 * width), ("ffn_down", 3 * width, width)):
            tensors[f"blk.{layer}.{part}.weight"] = draw(row, rows)
        tensors[f"blk.{layer}.attn_norm.weight"] = ones()
        tensors[f"blk.{layer}.ffn_norm.weight"] = ones()
    return shape, tensors


def read_checkpoint(path):
    if path.startswith("random:"):
        return random_checkpoint(int(path[7:]))
    with open(path, "rb") as file:
        width, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", file.read(28))

        def take(n):
            values = array.array("f")
            values.frombytes(file.read(4 * n))
            return values

        is_shared, vocabulary = vocabulary > 0, abs(vocabulary)
        kv = width // heads * kv_heads
        tensors = {"token_embd.weight": (width, vocabulary, take(width * vocabulary))}
        parts = [("attn_norm", width, 0), ("attn_q", width, width), ("attn_k", width, kv),
                 ("attn_v", width, kv), ("attn_output", width, width), ("ffn_norm", width, 0),
                 ("ffn_gate", width, hidden), ("ffn_down", hidden, width), ("ffn_up", width, hidden)]
        for part, row, rows in parts:
            for layer in range(layers):
                values = take(row * max(rows, 1))
                tensors[f"blk.{layer}.{part}.weight"] = (row, rows, values)
        tensors["output_norm.weight"] = (width, 0, take(width))
        if not is_shared:
            take(2 * context * (width // heads // 2))
            tensors["output.weight"] = (width, vocabulary, take(width * vocabulary))
    return (width, hidden, layers, heads, kv_heads, vocabulary, context), tensors


def keys(arch, shape, tokenizer):
    width, hidden, layers, heads, kv_heads, vocabulary, context = shape
    pieces, scores, kinds = read_tokenizer(tokenizer, vocabulary)
    return [
        pair("general.architecture", STRING, arch), pair("general.name", STRING, "stories260K"),
        pair("general.license", STRING, "MIT"), pair(f"{arch}.context_length", U32, context),
        pair(f"{arch}.embedding_length", U32, width), pair(f"{arch}.block_count", U32, layers),
        pair(f"{arch}.feed_forward_length", U32, hidden),
        pair(f"{arch}.attention.head_count", U32, heads),
        pair(f"{arch}.attention.head_count_kv", U32, kv_heads),
        pair(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair(f"{arch}.rope.dimension_count", U32, width // heads),
        pair(f"{arch}.vocab_size", U32, vocabulary), pair("tokenizer.ggml.model", STRING, "llama"),
        pair("tokenizer.ggml.tokens", STRING, pieces), pair("tokenizer.ggml.scores", F32, scores),
        pair("tokenizer.ggml.token_type", I32, kinds), pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2), pair("tokenizer.ggml.unknown_token_id", U32, 0),
        pair("tokenizer.ggml.add_bos_token", BOOL, True), pair("tokenizer.chat_template", STRING, CHAT)]


def add_biases(tensors, layers):
    for layer in range(layers):
        for part in "qkv":
            rows = tensors[f"blk.{layer}.attn_{part}.weight"][1]
            values = array.array("f", [0.01 * (i % 32) for i in range(rows)])
            tensors[f"blk.{layer}.attn_{part}.bias"] = (rows, 0, values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("weights", nargs="?")
    parser.add_argument("tokenizer", nargs="?")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="F32")
    parser.add_argument("--as-f32", action="store_true")
    parser.add_argument("--arch", choices=["llama", "qwen2"], default="llama")
    args = parser.parse_args()
    if args.golden:
        return write_golden(args.out)
    if args.tokenizer is None:
        parser.error("WEIGHTS and TOKENIZER are missing")
    shape, tensors = read_checkpoint(args.weights)
    if args.arch == "qwen2":
        add_biases(tensors, shape[2])
    pairs = keys(args.arch, shape, args.tokenizer)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    data = b""
    for name, (row, rows, values) in tensors.items():
        if rows and args.as_f32:
            values = rounded(args.type, values, row)
        kind, content = encode(args.type if rows and not args.as_f32 else "F32", values, row)
        dimensions = (row, rows) if rows else (row,)
        head += text(name) + struct.pack("<I", len(dimensions))
        head += struct.pack(f"<{len(dimensions)}Q", *dimensions)
        head += struct.pack("<IQ", TYPES[kind], len(data))
        data += content + bytes(-len(content) % 32)
    with open(args.out, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


if __name__ == "__main__":
    main()
