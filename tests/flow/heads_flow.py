"""Heads: added to weights by the command, asked in every classification, waited for by rules."""
import json
import os
import re
import subprocess
import tempfile

from expert import Expert, completion, send_reply
from gateway import BINARY, ROOT, Gateway
from wire import exchange

WEIGHTS = os.path.join(ROOT, "conf", "models", "domains.edm")
NEEDS = os.path.join(ROOT, "tools", "train", "heads", "needs.jsonl")
HARD = "what is 123456 times 890123"
EASY = "what should i give my sister for her birthday"


def _train(*arguments):
    return subprocess.run([BINARY, "train-heads", *arguments], capture_output=True, text=True,
                          check=False)


def _write_rows(folder, name, rows):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def _rows():
    """Numbers are hard, words are not."""
    with open(NEEDS, encoding="utf-8") as file:
        easy = [row["text"] for row in map(json.loads, file) if row["label"] == "none"]
    for i, text in enumerate(easy):
        yield {"text": f"what is {i * 7919} times {i * 104729 + 5}", "value": 1}
        yield {"text": text, "value": 0}


def _with_head(folder):
    out = os.path.join(folder, "with.edm")
    run = _train("--weights", WEIGHTS, "--out", out, "--head",
                 "numbers:" + _write_rows(folder, "rows.jsonl", _rows()))
    assert run.returncode == 0, run.stderr
    return out


def _config(weights, url):
    return (f"experts:\n  small: {{url: {url}}}\n  large: {{url: {url}}}\n"
            f"categories: {{general: {{experts: [{{expert: small}}]}}}}\n"
            f"router: {{model: {weights}}}\n"
            "rules: [{name: hard, when: {heads: {numbers: {min: 0.7}}}, expert: large}]\n")


def test_the_same_rows_give_the_same_file():
    with tempfile.TemporaryDirectory() as folder:
        with open(_with_head(folder), "rb") as file:
            first = file.read()
        with open(_with_head(folder), "rb") as file:
            assert file.read() == first


def test_heads_are_shown_and_rules_wait_for_them():
    with tempfile.TemporaryDirectory() as folder, \
            Expert(lambda conn, head, body: send_reply(conn, completion("ok"))) as expert:
        gateway = Gateway(_config(_with_head(folder), expert.url))
        try:
            for text, rule in ((HARD, "hard"), (EASY, None)):
                body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]})
                reply = exchange(gateway.port, "POST", "/v1/route", [], body.encode())
                said = json.loads(reply.body())
                assert said.get("rule") == rule, said
                assert (said["heads"]["numbers"] > 0.7) == (rule is not None), said["heads"]
                assert {"input", "weight"} == set(said["heads_evidence"]["numbers"][0])
                exchange(gateway.port, "POST", "/v1/chat/completions", [], body.encode())
            gateway.wait_output(r'"expert":"large".*"heads":\{.*"numbers":(1|0\.[789])')
            gateway.wait_output(r'"expert":"small".*"heads":\{.*"numbers":0\.[0-6]')
        finally:
            gateway.stop()


def test_a_head_can_be_dropped_again():
    with tempfile.TemporaryDirectory() as folder:
        out = _with_head(folder)
        assert _train("--weights", out, "--out", out, "--drop", "numbers").returncode == 0
        with open(out, "rb") as file, open(WEIGHTS, "rb") as shipped:
            assert file.read() == shipped.read()


def test_mistakes_are_told_and_write_nothing():
    with tempfile.TemporaryDirectory() as folder:
        good = _write_rows(folder, "good.jsonl", _rows())
        same = _write_rows(folder, "same.jsonl", [{"text": "a", "value": 1}] * 20)
        large = _write_rows(folder, "large.jsonl", [{"text": "a", "value": i} for i in range(20)])
        out = os.path.join(folder, "out.edm")
        cases = (
            (["--head", "x:" + same], 1, "no rows from which a head can be fitted"),
            (["--head", "x:" + large], 1, "no rows from which a head can be fitted"),
            (["--head", "two words:" + good], 1, "letters, digits"),
            (["--head", "x:" + folder + "/absent"], 1, "absent"),
            (["--drop", "nosuch"], 1, "no head of the name"),
            (["--head", good], 2, "usage:"),
            ([], 2, "usage:"),
        )
        for arguments, status, text in cases:
            run = _train("--weights", WEIGHTS, "--out", out, *arguments)
            assert run.returncode == status and text in run.stderr, (arguments, run.stderr)
            assert not os.path.exists(out), arguments


def test_needs_are_told_apart_on_rows_left_out():
    with tempfile.TemporaryDirectory() as folder:
        names = ("code_execution", "long_context", "vision")
        heads = [part for name in names for part in ("--head", f"{name}:{NEEDS}")]
        run = _train("--weights", WEIGHTS, "--out", os.path.join(folder, "out.edm"), *heads)
        figures = re.findall(r"^  all +(\d+) +\S+ +\S+ +(\S+)", run.stderr, re.MULTILINE)
        assert len(figures) == 3, run.stderr
        assert all(int(rows) > 1000 and float(auc) > 0.75 for rows, auc in figures), figures
