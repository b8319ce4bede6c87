"""Embeddings: what experts answer wrongly, what it costs, who leaves, what kernels do in the process and in
a child. What is said in one line is in scenarios/embeddings_*.flow."""
import base64
import json
import os
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time

from expert import Expert, send_reply, send_stream
from gateway import BINARY, ROOT, Gateway
from wire import PATIENCE_S, Conn, Failure, exchange, request_bytes

TRIAL = os.path.join(os.path.dirname(BINARY), "tests", "kernels", "trial.so")
EMBEDS = os.path.join(os.path.dirname(BINARY), "tests", "kernels", "trial_embeds.so")
PRICE = "price: {input: 0.6, output: 2.4}"


def _vectors(count, usage=None):
    document = {"object": "list", "model": "e", "data": [
        {"object": "embedding", "index": i, "embedding": [0.5, -0.25]} for i in range(count)]}
    if usage is not None:
        document["usage"] = usage
    return json.dumps(document).encode()


def _ask(port, model, texts, **more):
    body = json.dumps({"model": model, "input": texts, **more}).encode()
    return exchange(port, "POST", "/v1/embeddings", [], body)


# name -> (status for the client, error code or None, row: prompt tokens, estimated, suspect, outcome)
CASES = {
    "fine": (200, None, (7, 0, 0, "ok")),
    "silent": (200, None, (5, 1, 0, "ok")),
    "absurd": (200, None, (5, 1, 1, "ok")),
    "few": (502, "expert_bad_reply", (5, 1, 0, "bad_reply")),
    "chat": (502, "expert_bad_reply", (5, 1, 0, "bad_reply")),
    "stream": (502, "expert_bad_reply", (5, 1, 0, "bad_reply")),
    "cut": (502, "expert_reply_cut", (5, 1, 0, "cut")),
    "ill": (500, None, (0, 1, 0, "error_status")),
    "ill200": (502, None, (0, 1, 0, "error_status")),
}


def _handle(conn, head, body):
    assert head.first == "POST /v1/embeddings HTTP/1.1", head.first
    name = json.loads(body)["model"]
    if name == "stream":
        return send_stream(conn, [b"data: " + _vectors(2) + b"\n\n", b"data: [DONE]\n\n"])
    if name == "cut":
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")
        return False
    if name == "ill":
        return send_reply(conn, b'{"error":{"message":"ill"}}', status=500)
    answers = {
        "fine": _vectors(2, {"prompt_tokens": 7, "total_tokens": 7}),
        "silent": _vectors(2),
        "absurd": _vectors(2, {"prompt_tokens": -7, "total_tokens": 7}),
        "few": _vectors(1),
        "chat": b'{"choices":[{"message":{"content":"hi"}}]}',
        "ill200": b'{"error":{"message":"ill"}}',
    }
    return send_reply(conn, answers[name])


def test_rows_of_the_ledger_say_what_embeddings_cost():
    with tempfile.TemporaryDirectory() as folder, Expert(_handle) as expert:
        path = os.path.join(folder, "expertd.db")
        gateway = Gateway(
            f"state: {{path: {path}}}\npolicies: {{attempts: 1, breaker: {{failures: 0}}}}\nexperts:\n"
            + "".join(f"  {name}: {{url: {expert.url}, capabilities: [embed], {PRICE}}}\n"
                      for name in CASES))
        try:
            for name, (status, code, row) in CASES.items():
                reply = _ask(gateway.port, name, ["eight by", "eight by"])  # ten bytes each, quoted
                assert reply.status == status, (name, reply.status, reply.body())
                if code is not None:
                    assert json.loads(reply.body())["error"]["code"] == code, (name, reply.body())
                with sqlite3.connect(path) as db:
                    rows = db.execute(
                        "SELECT prompt_tokens, is_estimated, is_suspect, outcome, completion_tokens, "
                        "cost_nano_usd FROM ledger WHERE request_id = ?",
                        (reply.head.get("x-request-id"),)).fetchall()
                assert len(rows) == 1 and rows[0][:4] == row, (name, rows)
                assert rows[0][4:] == (0, row[0] * 600), (name, rows)
        finally:
            gateway.stop()
        assert not expert.errors, expert.errors


def test_client_that_leaves_ends_the_call():
    asked, gone = threading.Event(), threading.Event()

    def handle(conn, head, body):
        asked.set()
        conn.sock.settimeout(PATIENCE_S)
        if conn.sock.recv(1) == b"":
            gone.set()
        return False

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}, capabilities: [embed]}}\n")
        try:
            conn = Conn.open(gateway.port)
            conn.send(request_bytes("POST", "/v1/embeddings", [],
                                    json.dumps({"model": "main", "input": "a"}).encode()))
            if not asked.wait(PATIENCE_S):
                raise Failure("the expert was not asked")
            conn.close()
            if not gone.wait(PATIENCE_S):
                raise Failure("the call goes on")
        finally:
            gateway.stop()


def test_thousands_of_texts_come_back_in_one_answer():
    def handle(conn, head, body):
        return send_reply(conn, _vectors(len(json.loads(body)["input"])))

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}, capabilities: [embed]}}\n")
        try:
            reply = _ask(gateway.port, "main", [f"text {i}" for i in range(2048)])
            assert reply.status == 200, reply.body()
            assert len(json.loads(reply.body())["data"]) == 2048
            assert _ask(gateway.port, "main", ["a"] * 2049).status == 400
        finally:
            gateway.stop()


def test_receipts_of_embeddings_can_be_replayed():
    with tempfile.TemporaryDirectory() as folder, Expert(_handle) as expert:
        path = os.path.join(folder, "expertd.db")
        gateway = Gateway(
            f"state: {{path: {path}, receipts: replayable}}\nexperts:\n"
            f"  fine: {{url: {expert.url}, capabilities: [embed], {PRICE}}}\n")
        try:
            reply = _ask(gateway.port, "fine", ["a", "b"])
            assert reply.status == 200, reply.body()
            with sqlite3.connect(path) as db:
                rows = db.execute("SELECT request_id, expert, prompt_tokens, outcome "
                                  "FROM receipts").fetchall()
            assert rows == [(reply.head.get("x-request-id"), "fine", 7, "ok")], rows
            feedback = exchange(gateway.port, "POST", "/v1/feedback", [], json.dumps(
                {"request_id": rows[0][0], "rating": "good"}).encode())
            assert feedback.status == 404, feedback.body()  # nothing is to be learnt of it
            replayed = subprocess.run(
                [BINARY, "route", "-c", gateway.config_path, "--replay", rows[0][0]],
                capture_output=True, text=True, timeout=600, check=False)
            assert replayed.returncode == 0, replayed.stdout + replayed.stderr
            assert "fine" in replayed.stdout, replayed.stdout
        finally:
            gateway.stop()


def _numbers(reply):
    assert reply.status == 200, reply.body()
    return [item["embedding"] for item in json.loads(reply.body())["data"]]


def _error(reply):
    error = json.loads(reply.body())["error"]
    return reply.status, error["param"]


def _kernels():
    """The trial kernel in a child and in the process."""
    return Gateway("experts:\n"
                   f"  child: {{kernel: {{file: {TRIAL}}}, deadlines: {{first_token_ms: 60000}}}}\n"
                   f"  inside: {{kernel: {{file: {TRIAL}, isolation: inprocess}}}}\n"
                   f"  hasty: {{kernel: {{file: {TRIAL}}}, deadlines: {{first_token_ms: 300}}}}\n"
                   f"  only: {{kernel: {{file: {EMBEDS}}}}}\n"
                   "  mute: {kernel: {calc: {}}}\n"
                   "policies: {attempts: 1, breaker: {failures: 0}}\n")


def test_kernels_embed_in_the_process_and_in_a_child():
    gateway = _kernels()
    try:
        for model in ("child", "inside", "only"):
            reply = _ask(gateway.port, model, ["abc", "\u00e9"])
            assert _numbers(reply) == [[3, 97], [2, 0xC3]], reply.body()
            document = json.loads(reply.body())
            assert document["object"] == "list" and document["model"] == model, document
            assert [item["index"] for item in document["data"]] == [0, 1], document
            assert document["usage"]["prompt_tokens"] == 5, document  # as it counts: bytes
            reply = _ask(gateway.port, model, "counted")
            assert json.loads(reply.body())["usage"]["total_tokens"] == 77, reply.body()
            packed = _numbers(_ask(gateway.port, model, "abc", encoding_format="base64"))[0]
            assert struct.unpack("<2f", base64.b64decode(packed)) == (3, 97), packed
            assert _numbers(_ask(gateway.port, model, "abc", dimensions=1)) == [[3]]
            for body, want in (({"texts": "abc", "dimensions": 3}, (400, "dimensions")),
                               ({"texts": [1, 2]}, (400, "input")),
                               ({"texts": "too long"}, (400, "input")),
                               ({"texts": "nan"}, (500, None)),
                               ({"texts": "empty"}, (500, None))):
                assert _error(_ask(gateway.port, model, **body)) == want, (model, body)
            assert _numbers(_ask(gateway.port, model, "abc")) == [[3, 97]], model
        assert _ask(gateway.port, "mute", "abc").status == 400
        models = json.loads(exchange(gateway.port, "GET", "/v1/models").body())["data"]
        assert {m["id"] for m in models if m.get("embeds")} == {"child", "inside", "hasty", "only"}
    finally:
        gateway.stop()


def test_kernel_that_breaks_down_while_it_embeds_comes_back():
    gateway = _kernels()
    try:
        for order in ("crash", "garbage"):
            assert _ask(gateway.port, "child", ["abc", order]).status in (502, 503)
            deadline = time.monotonic() + PATIENCE_S
            while _ask(gateway.port, "child", "abc").status != 200:
                if time.monotonic() > deadline:
                    raise Failure(f"it is not back after {order}")
                time.sleep(0.01)
        assert _ask(gateway.port, "hasty", "hang").status == 504
        gateway.wait_output("kernel-host: did not stop when told to")
        assert _ask(gateway.port, "hasty", "wait").status in (503, 504)
    finally:
        gateway.stop()


def test_client_that_leaves_stops_a_kernel_that_embeds():
    gateway = _kernels()
    late, deadline = b"did not stop when told to", time.monotonic() + PATIENCE_S
    try:
        for model in ("child", "inside"):
            reply = None
            while reply is None or late in reply.body():  # soon enough: the machine may be busy
                assert time.monotonic() < deadline, "it never stops in time"
                conn = Conn.open(gateway.port)
                conn.send(request_bytes("POST", "/v1/embeddings", [], json.dumps(
                    {"model": model, "input": ["wait", "abc"]}).encode()))
                conn.close()
                reply = _ask(gateway.port, model, "abc")
            assert _numbers(reply) == [[3, 97]]  # its one thread is free
    finally:
        gateway.stop()


def test_language_model_in_the_process_embeds_beside_its_answers():
    model = os.path.join(ROOT, "tests", "unit", "backends", "data", "tinylm", "stories260K.gguf")
    gateway = Gateway("experts:\n"
                      f"  story: {{kernel: {{tinylm: {{model: {model}, temperature: 0}}}}}}\n"
                      f"  part: {{kernel: {{tinylm: {{model: {model}, shortens: true, pooling: last}}}}}}\n")
    try:
        texts = ["The cat sat on the mat.", "A cat is on a mat.", "Tom had a big red truck."]
        vectors = _numbers(_ask(gateway.port, "story", texts))
        assert [len(v) for v in vectors] == [64, 64, 64]
        assert all(abs(sum(x * x for x in v) - 1) < 1e-4 for v in vectors)
        packed = _numbers(_ask(gateway.port, "story", texts, encoding_format="base64"))
        same = [struct.unpack("<64f", base64.b64decode(p)) for p in packed]
        assert all(abs(a - b) < 1e-6 for v, w in zip(vectors, same) for a, b in zip(v, w))
        assert _error(_ask(gateway.port, "story", "a", dimensions=8)) == (400, "dimensions")
        assert len(_numbers(_ask(gateway.port, "part", "a", dimensions=8))[0]) == 8
        assert _error(_ask(gateway.port, "story", "cat " * 3000)) == (400, "input")
        results = []

        def embed():
            results.append(_numbers(_ask(gateway.port, "story", texts)) == vectors)

        threads = [threading.Thread(target=embed) for _ in range(4)]
        for thread in threads:
            thread.start()
        chat = exchange(gateway.port, "POST", "/v1/chat/completions", [], json.dumps(
            {"model": "story", "max_tokens": 10,
             "messages": [{"role": "user", "content": "Once upon a time"}]}).encode())
        for thread in threads:
            thread.join()
        assert results == [True] * 4 and chat.status == 200, (results, chat.body())
        assert ", there was a" in chat.body().decode(), chat.body()
    finally:
        gateway.stop()
