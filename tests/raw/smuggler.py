"""1,703 ways to spell "Transfer-Encoding: chunked" wrongly, each in four shapes with a hidden
request. A hard smuggle is a hidden request that is served; a soft one is an unlawful header that is
overlooked, or a bare LF taken for a line end as RFC 9112 allows (answered with 200): harmless here,
but a proxy in front may see it differently."""
import concurrent.futures
import json
import os
import re

from gateway import shared_dir
from probe import hidden_request
from report import Skip

FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t]*"
                   rb"[\x21-\x7e\x80-\xff])*)?)[ \t]*")


def gadgets():
    folder = shared_dir()
    path = os.path.join(folder, "data", "suites", "smuggler", "gadgets.json") if folder else ""
    if not os.path.exists(path):
        raise Skip("the shared suite smuggler is not there")
    with open(path, encoding="utf-8") as f:
        return [(row["name"], bytes.fromhex(row["gadget_hex"])) for row in json.load(f)]


def kind_of(gadget):
    """chunked: a lawful spelling of the header itself. other: lawful headers of other names, which
    say nothing about framing. chunked-lf: chunked for those who take a bare LF for a line end.
    unlawful: everything else."""
    kind = kind_of_lines(gadget.split(b"\r\n"))
    if kind == "unlawful" and kind_of_lines(re.split(b"\r?\n", gadget)) == "chunked":
        return "chunked-lf"
    return kind


def kind_of_lines(lines):
    kind = "other"
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            return "unlawful"
        name, value = match.group(1).lower(), match.group(2).lower()
        if name == b"transfer-encoding":
            if value != b"chunked":
                return "unlawful"
            kind = "chunked"
        elif name == b"content-length":
            return "unlawful"
    return kind


SHAPES = ("TE", "POST TE.CL", "GET CL.TE", "GET TE.CL")


def payload_of(shape, gadget, marker):
    """A payload in which the hidden request is data for one reading and a request for another."""
    hidden = hidden_request(marker)
    ended = b"0\r\n\r\n" + hidden
    wrapped = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    first_line = wrapped.index(b"\n") + 1
    post = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\n")
    get = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"
    length = b"Content-Length: %d\r\n"
    return {
        "TE": post + gadget + b"\r\n\r\n" + ended,
        "POST TE.CL": post + gadget + b"\r\n" + length % len(ended) + b"\r\n" + ended,
        "GET CL.TE": get + length % len(ended) + gadget + b"\r\n\r\n" + ended,
        "GET TE.CL": get + gadget + b"\r\n" + length % first_line + b"\r\n" + wrapped,
    }[shape]


def try_gadget(target, name, gadget):
    """Counts: tests, hard, soft; and texts about what was served."""
    kind = kind_of(gadget)
    tests = hard = soft = 0
    texts = []
    for shape in SHAPES:
        if kind == "other" or (kind == "chunked" and shape == "TE"):
            continue  # lawful: what follows the body is a request like any other
        tests += 1
        marker = f"hidden {name} {shape}"
        answer = target.ask(payload_of(shape, gadget, marker))
        is_served = target.saw(marker)
        if is_served and not (kind == "chunked-lf" and shape == "TE"):
            hard += 1
            texts.append(f"HARD {shape} {name}: {gadget!r} -> {answer.statuses}")
        elif is_served or any(status < 400 for status in answer.statuses):
            soft += 1
            texts.append(f"soft {shape} {name}: {gadget!r} -> {answer.statuses}")
    return tests, hard, soft, texts


def run(target, verbose=False):
    """All gadgets in all shapes; returns (tests, hard, soft)."""
    rows = gadgets()
    tests = hard = soft = 0
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for result in pool.map(lambda row: try_gadget(target, *row), rows):
            tests, hard, soft = tests + result[0], hard + result[1], soft + result[2]
            for text in result[3]:
                if verbose or text.startswith("HARD"):
                    print(text)
    print(f"smuggler: {tests} tests of {len(rows)} gadgets, {hard} hard, {soft} soft", flush=True)
    return tests, hard, soft
