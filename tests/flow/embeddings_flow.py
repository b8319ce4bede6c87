"""Embeddings: what experts answer wrongly, what it costs, who leaves. What is said in one line is in
scenarios/embeddings_*.flow."""
import json
import os
import sqlite3
import subprocess
import tempfile
import threading

from expert import Expert, send_reply, send_stream
from gateway import BINARY, Gateway
from wire import PATIENCE_S, Conn, Failure, exchange, request_bytes

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
                capture_output=True, text=True, timeout=60, check=False)
            assert replayed.returncode == 0, replayed.stdout + replayed.stderr
            assert "fine" in replayed.stdout, replayed.stdout
        finally:
            gateway.stop()

