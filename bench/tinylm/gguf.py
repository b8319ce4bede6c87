#!/usr/bin/env python3
"""Writes small GGUF files, for tests and comparisons, with the standard library alone:
    gguf.py WEIGHTS.bin TOKENIZER.bin OUT.gguf [--type F32|F16|Q8_0|Q4_0|Q4_1|Q5_0|Q5_1] [--as-f32] [--arch llama|qwen2]
WEIGHTS.bin and TOKENIZER.bin are a checkpoint of karpathy/llama2.c (MIT): seven little-endian i32
(width, hidden, layers, heads, kv heads, vocabulary, context), then F32 tensors; a tokenizer is an i32
and, for each token, f32 score, i32 length, bytes. Rows that are no whole blocks of 32 stay F16.
--as-f32 rounds as --type says but writes F32: what exact arithmetic on the quantised weights starts from.
--arch qwen2 renames the architecture and adds biases of 0.01 * i: a model that only computes."""
import argparse
import array
import struct

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8}
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


def block(kind, x):
    """32 numbers as a block."""
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
    """The 32 numbers that a block stands for."""
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
    if kind in ("F32", "F16"):
        return array.array("f", struct.unpack(f"<{len(values)}{'f' if kind == 'F32' else 'e'}", data))
    size = len(data) // (len(values) // 32)
    return array.array("f", [x for i in range(0, len(data), size) for x in unblock(kind, data[i:i + size])])


def encode(kind, values, row):
    """The type that the tensor gets, and its bytes."""
    if kind == "F32":
        return kind, values.tobytes()
    if kind == "F16" or row % 32:
        return "F16", struct.pack(f"<{len(values)}e", *values)
    return kind, b"".join(block(kind, values[i:i + 32]) for i in range(0, len(values), 32))


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


def read_checkpoint(path):
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
    parser.add_argument("weights")
    parser.add_argument("tokenizer")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="F32")
    parser.add_argument("--as-f32", action="store_true")
    parser.add_argument("--arch", choices=["llama", "qwen2"], default="llama")
    args = parser.parse_args()
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
