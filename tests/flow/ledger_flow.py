"""The ledger tells the truth: a row for every attempt, however it ended, and sums that equal what
clients were told."""
import json
import os
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from gateway import BINARY, Gateway
from wire import Conn, Failure, Reply, exchange, request_bytes

# nano-USD per token
INPUT, OUTPUT, CACHED, REASONING = 600, 2400, 60, 1200
PRICE = "price: {input: 0.6, output: 2.4, cached_input: 0.06, reasoning: 1.2}"
TEXT = "four" * 10  # 10 tokens by a quarter of its bytes, of which the gateway counts a few more


def _usage(prompt, completion, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def _document(usage, text="12345678"):
    reply = json.loads(completion(text))
    reply.pop("usage")
    if usage is not None:
        reply["usage"] = usage
    return json.dumps(reply).encode()


def _usage_event(usage):
    return b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"


def _cut(conn, pieces):
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    return False


TOKENS = [token_event(c) for c in "abc"]
STOP = token_event(None, "stop")

# name -> what the expert does, what its row says: (prompt, completion, estimated, suspect, outcome);
# None: the gateway's estimate of the prompt
DOCUMENTS = {
    "reported": (_usage(7, 3), (7, 3, 0, 0, "ok")),
    "details": (_usage(7, 30, prompt_tokens_details={"cached_tokens": 5},
                       completion_tokens_details={"reasoning_tokens": 20}), (7, 30, 0, 0, "ok")),
    "missing": (None, (None, 2, 1, 0, "ok")),
    "empty": ({}, (None, 2, 1, 0, "ok")),
    "prompt-only": ({"prompt_tokens": 7}, (7, 2, 1, 0, "ok")),
    "answer-only": ({"completion_tokens": 3}, (None, 3, 1, 0, "ok")),
    "answer-null": ({"prompt_tokens": 7, "completion_tokens": None}, (7, 2, 1, 0, "ok")),
    "zero": (_usage(0, 0), (0, 0, 0, 0, "ok")),
    "negative": (_usage(-7, 3), (None, 2, 1, 1, "ok")),
    "huge": (_usage(7, 2 ** 60), (None, 2, 1, 1, "ok")),
    "float": (_usage(7.5, 3), (None, 2, 1, 1, "ok")),
    "over": (_usage(7, 10_000_000), (None, 2, 1, 1, "ok")),
    "parts": (_usage(7, 3, prompt_tokens_details={"cached_tokens": 9}), (None, 2, 1, 1, "ok")),
}
STREAMS = {
    "s-reported": ([*TOKENS, STOP, _usage_event(_usage(7, 3)), DONE], (7, 3, 0, 0, "ok")),
    "s-missing": ([*TOKENS, STOP, DONE], (None, 4, 1, 0, "ok")),
    "s-prompt-only": ([*TOKENS, STOP, _usage_event({"prompt_tokens": 7}), DONE],
                      (7, 4, 1, 0, "ok")),
    "s-zero": ([*TOKENS, STOP, _usage_event(_usage(0, 0)), DONE], (0, 0, 0, 0, "ok")),
    "s-absurd": ([*TOKENS, STOP, _usage_event(_usage(-1, 3)), DONE], (None, 4, 1, 1, "ok")),
    "s-late": ([*TOKENS, STOP, DONE + _usage_event(_usage(7, 3))], (7, 3, 0, 0, "ok")),
    "s-cut": (TOKENS, (None, 3, 1, 0, "cut")),
    "s-cut-told": ([*TOKENS, _usage_event(_usage(7, 3))], (7, 3, 0, 0, "cut")),
    "s-error": ([*TOKENS, b'data: {"error":{"message":"boom"}}\n\n'],
                (None, 4, 1, 0, "error_event")),
}


def _handle(conn, head, body):
    name = json.loads(body)["model"]
    if name in DOCUMENTS:
        return send_reply(conn, _document(DOCUMENTS[name][0]))
    if name in STREAMS:
        send = _cut if STREAMS[name][1][4] in ("cut",) else send_stream
        return send(conn, STREAMS[name][0])
    if name.startswith("status-"):
        return send_reply(conn, b'{"error":{"message":"no"}}', status=int(name[7:]))
    if name == "stall":
        # In one go: nothing but the stall is late.
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n"
                  + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in TOKENS))
        conn.wait_gone()
        return False
    return send_reply(conn, _document(_usage(7, 3)))


class Place:
    def __init__(self, handle=_handle, durability="commit", extra="", experts="", server=""):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-ledger-")
        self.path = os.path.join(self.folder.name, "expertd.db")
        self.expert = Expert(handle)
        self.expert.__enter__()
        self.refusing = socket.socket()  # bound and not listening: the port stays ours, and refuses
        self.refusing.bind(("127.0.0.1", 0))
        names = [*DOCUMENTS, *STREAMS, "status-500", "status-400", "status-404", "good"]
        self.conf = (
            f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2{server}}}\n"
            f"state: {{path: {self.path}, durability: {durability}}}\n"
            "experts:\n"
            + "".join(f"  {name}: {{url: {self.expert.url}, {PRICE}}}\n" for name in names)
            + f"  stall: {{url: {self.expert.url}, {PRICE}, deadlines: {{idle_ms: 300}}}}\n"
            f"  unpriced: {{url: {self.expert.url}}}\n"
            f"  nobody: {{url: 'http://127.0.0.1:{self.refusing.getsockname()[1]}/v1', {PRICE}}}\n"
            + experts +
            "aliases: {fallback: [status-500, nobody, good]}\n" + extra)
        self.gateway = Gateway(self.conf)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.expert.__exit__(None, None, None)
        self.refusing.close()
        self.folder.cleanup()

    def ask(self, model, stream=False, headers=(), **more):
        body = {"model": model, "messages": [{"role": "user", "content": TEXT}], **more}
        if stream:
            body["stream"] = True
        return exchange(self.gateway.port, "POST", "/v1/chat/completions", list(headers),
                        json.dumps(body).encode())

    def cut(self, model):
        """Asks for a stream that breaks; its head."""
        conn = Conn.open(self.gateway.port)
        try:
            body = {"model": model, "stream": True, "messages": [{"role": "user", "content": TEXT}]}
            conn.send(request_bytes("POST", "/v1/chat/completions", [], json.dumps(body).encode()))
            reply = Reply(conn)
            try:
                reply.body()
            except Failure:
                return reply
            raise Failure(f"{model}: the stream did not break")
        finally:
            conn.close()

    def rows(self, request_id=None):
        with sqlite3.connect(self.path) as db:
            db.row_factory = sqlite3.Row
            rows = db.execute("SELECT * FROM ledger ORDER BY id").fetchall()
        return [r for r in rows if request_id is None or r["request_id"] == request_id]

    def run(self, *words):
        conf = os.path.join(self.folder.name, "conf.yaml")
        with open(conf, "w") as f:
            f.write(self.conf)
        return subprocess.run([BINARY, "ledger", "-c", conf, *words], capture_output=True,
                              text=True, timeout=600)

    def metrics(self):
        return exchange(self.gateway.admin, "GET", "/metrics", []).body().decode()


def _nano(usd):
    whole, _, part = usd.partition(".")
    return int(whole) * 10 ** 9 + int(part.ljust(9, "0"))


def _cost(row):
    return ((row["prompt_tokens"] - row["cached_tokens"]) * INPUT + row["cached_tokens"] * CACHED
            + (row["completion_tokens"] - row["reasoning_tokens"]) * OUTPUT
            + row["reasoning_tokens"] * REASONING)


def _check_row(name, row, want):
    prompt, completion_tokens, estimated, suspect, outcome = want
    got = (row["completion_tokens"], row["is_estimated"], row["is_suspect"], row["outcome"])
    assert got == (completion_tokens, estimated, suspect, outcome), (name, tuple(row))
    if prompt is None:
        assert 8 <= row["prompt_tokens"] <= 30, (name, tuple(row))
    else:
        assert row["prompt_tokens"] == prompt, (name, tuple(row))
    assert row["cost_nano_usd"] == _cost(row), (name, tuple(row))
    assert 0 <= row["ended_ms"] - row["started_ms"] < 600000, (name, tuple(row))
    assert (row["expert"], row["attempt"], row["tenant"]) == (name, 1, ""), (name, tuple(row))


def test_documents_have_the_rows_that_they_told_their_clients():
    with Place() as p:
        for name, (_, want) in DOCUMENTS.items():
            reply = p.ask(name, max_tokens=100)
            assert reply.status == 200, (name, reply.status)
            rows = p.rows(reply.head.get("x-request-id"))  # there before the answer was
            assert len(rows) == 1, (name, len(rows))
            _check_row(name, rows[0], want)
            assert _nano(reply.head.get("x-expertd-cost-usd")) == rows[0]["cost_nano_usd"], name
        assert p.run("--verify").returncode == 0


def test_streams_have_the_rows_that_their_trailers_say():
    with Place() as p:
        for name, (_, want) in STREAMS.items():
            is_cut = want[4] == "cut"
            reply = (p.cut(name) if is_cut
                     else p.ask(name, stream=True, headers=[("x-expertd-trailer", "1")]))
            assert reply.status == 200, (name, reply.status)
            rows = p.rows(reply.head.get("x-request-id"))
            assert len(rows) == 1, (name, len(rows))
            _check_row(name, rows[0], want)
            if not is_cut:
                said = reply.body().split(b"x-expertd-cost-usd=")[1].split(b" ")[0].decode()
                assert _nano(said) == rows[0]["cost_nano_usd"], (name, said)


def test_a_stall_and_a_client_that_leaves_are_billed_for_what_came():
    with Place() as p:
        reply = p.cut("stall")
        row, = p.rows(reply.head.get("x-request-id"))
        _check_row("stall", row, (None, 3, 1, 0, "idle_timeout"))
        p.conf = p.conf.replace("idle_ms: 300", "idle_ms: 600000")
        p.gateway.stop()
        p.gateway = Gateway(p.conf)
        conn = Conn.open(p.gateway.port)
        body = {"model": "stall", "stream": True, "messages": [{"role": "user", "content": TEXT}]}
        conn.send(request_bytes("POST", "/v1/chat/completions", [], json.dumps(body).encode()))
        head = conn.until(b"\r\n\r\n")
        conn.until(b'"c"')
        conn.close()
        p.gateway.wait_output(r'"outcome":"cancelled"')
        p.gateway.stop()
        row = p.rows()[-1]
        assert row["request_id"].encode() in head, head
        _check_row("stall", row, (None, 3, 1, 0, "cancelled"))
        p.gateway = Gateway(p.conf)


def test_errors_cost_nothing_and_are_there():
    with Place(extra="policies: {retries: 0}\n") as p:
        for name, status in (("status-400", 400), ("status-404", 404), ("status-500", 500)):
            reply = p.ask(name)
            assert reply.status == status, (name, reply.status)
            row, = p.rows(reply.head.get("x-request-id"))
            _check_row(name, row, (0, 0, 1, 0, "error_status"))
        reply = p.ask("nobody")
        assert reply.status == 502, reply.status
        row, = p.rows(reply.head.get("x-request-id"))
        _check_row("nobody", row, (0, 0, 1, 0, "connect_failed"))


def test_every_attempt_of_a_fallback_has_its_row():
    with Place() as p:
        reply = p.ask("fallback")
        assert reply.status == 200, reply.status
        rows = p.rows(reply.head.get("x-request-id"))
        assert [(r["attempt"], r["expert"], r["outcome"], r["cost_nano_usd"]) for r in rows] == [
            (1, "status-500", "error_status", 0), (2, "nobody", "connect_failed", 0),
            (3, "good", "ok", 7 * INPUT + 3 * OUTPUT)], [tuple(r) for r in rows]


def test_an_unknown_price_is_not_zero():
    with Place() as p:
        reply = p.ask("unpriced")
        row, = p.rows(reply.head.get("x-request-id"))
        assert row["cost_nano_usd"] is None and row["prompt_tokens"] == 7, tuple(row)
        assert reply.head.get("x-expertd-cost-usd") is None
        assert 'expertd_attempts_unpriced_total{category="",expert="unpriced"} 1' in p.metrics()
        p.gateway.wait_output(r'"expert":"unpriced".*"cost_nano_usd":null')


def test_parallel_requests_add_up():
    count = 200
    with Place() as p:
        told = []

        def client():
            for _ in range(count // 8):
                told.append(_nano(p.ask("good").head.get("x-expertd-cost-usd")))

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = p.rows()
        assert len(rows) == count == len(told)
        assert sum(r["cost_nano_usd"] for r in rows) == sum(told)
        assert len({r["request_id"] for r in rows}) == count
        page = p.metrics()
        assert 'expertd_ledger_rows_total{result="stored"} 200\n' in page, page
        assert f'expertd_tokens_total{{kind="prompt",category="",expert="good"}} {7 * count}' in page
        done = p.run("--verify")
        assert done.returncode == 0 and "200 rows" in done.stdout, done


class Clients:
    """Eight clients that ask for documents and streams until the gateway is gone. `whole` holds what
    they were told of answers that came to their end: request id -> nano-USD, None for streams."""

    def __init__(self, port):
        self.port = port
        self.whole = {}
        self.threads = [threading.Thread(target=self._ask, args=(i % 2 == 1,)) for i in range(8)]
        for thread in self.threads:
            thread.start()

    def _ask(self, is_stream):
        body = json.dumps({"model": "s-reported" if is_stream else "good", "stream": is_stream,
                           "messages": [{"role": "user", "content": TEXT}]}).encode()
        try:
            conn = Conn.open(self.port)
            while True:
                conn.send(request_bytes("POST", "/v1/chat/completions", [], body))
                reply = Reply(conn)
                if is_stream:
                    while b"[DONE]" not in reply.taken:  # the news that it is whole
                        reply.piece()
                else:
                    reply.body()
                assert reply.status == 200, reply.status
                cost = reply.head.get("x-expertd-cost-usd")
                self.whole[reply.head.get("x-request-id")] = None if is_stream else _nano(cost)
                if is_stream:
                    reply.body()
        except (OSError, Failure):
            pass  # killed

    def wait(self, count):
        while len(self.whole) < count and any(t.is_alive() for t in self.threads):
            time.sleep(0.001)

    def join(self):
        for thread in self.threads:
            thread.join()


def test_twenty_kills_lose_and_double_nothing_that_a_client_was_told():
    with Place() as p:
        told, starts, recoveries = {}, [], []
        for turn in range(20):
            clients = Clients(p.gateway.port)
            clients.wait(5 + 7 * turn)
            p.gateway.process.kill()
            p.gateway.process.wait()
            clients.join()
            assert len(clients.whole) >= 5 + 7 * turn, len(clients.whole)
            told.update(clients.whole)
            for found, conf in ((starts, p.conf.replace(p.path, f"{p.path}.{turn}")),
                                (recoveries, p.conf)):
                began = time.monotonic()
                gateway = Gateway(conf)
                found.append(time.monotonic() - began)
                if found is starts:
                    gateway.stop()
            p.gateway = gateway
        rows = {}
        for row in p.rows():
            assert row["request_id"] not in rows, row["request_id"]
            rows[row["request_id"]] = row
        lost = [i for i in told if i not in rows]
        assert not lost, f"{len(lost)} of {len(told)} are lost"
        for request_id, nano_usd in told.items():
            row = rows[request_id]
            assert (row["prompt_tokens"], row["completion_tokens"], row["outcome"]) == (7, 3, "ok")
            assert nano_usd in (None, row["cost_nano_usd"]), (nano_usd, tuple(row))
        done = p.run("--verify")
        assert done.returncode == 0, done
        # Measured by a start without anything to recover, next to each.
        assert min(recoveries) < 10 * min(starts), (recoveries, starts)


def test_an_interval_keeps_rows_too():
    with Place(durability="interval") as p:
        ids = [p.ask("good").head.get("x-request-id") for _ in range(20)]
        p.gateway.stop()
        assert [r["request_id"] for r in p.rows()] == ids
        p.gateway = Gateway(p.conf)


def test_the_command_lists_filters_sums_and_exports():
    with Place() as p:
        ids = [p.ask(name).head.get("x-request-id") for name in ("good", "good", "unpriced")]
        listed = p.run()
        assert listed.returncode == 0 and listed.stdout.count("\n") == 3, listed
        assert [line.split()[1] for line in listed.stdout.splitlines()] == ids, listed.stdout
        objects = [json.loads(line) for line in p.run("--jsonl").stdout.splitlines()]
        assert [o["request_id"] for o in objects] == ids
        assert set(objects[0]) >= {"request_id", "tenant", "expert", "category", "prompt_tokens",
                                   "completion_tokens", "usage_source", "cost_nano_usd", "outcome",
                                   "attempt", "started_at"}, objects[0]
        assert objects[0]["usage_source"] == "reported", objects[0]
        assert objects[0]["cost_nano_usd"] == 7 * INPUT + 3 * OUTPUT, objects[0]
        assert objects[2]["cost_nano_usd"] is None, objects[2]
        table = p.run("--csv").stdout.splitlines()
        assert len(table) == 4 and table[0].startswith("id,request_id,attempt,"), table
        assert table[3].split(",")[1] == ids[2], table
        assert p.run("--expert", "unpriced").stdout.count("\n") == 1
        assert p.run("--expert", "nothing").stdout == ""
        assert p.run("--since", "2999-01-01").stdout == ""
        assert p.run("--until", "2999-01-01").stdout.count("\n") == 3
        sums = {o["expert"]: o for o in map(json.loads, p.run("--by", "expert", "--jsonl")
                                            .stdout.splitlines())}
        assert sums["good"]["attempts"] == 2 and sums["unpriced"]["unpriced"] == 1, sums
        assert sums["good"]["cost_nano_usd"] == 2 * (7 * INPUT + 3 * OUTPUT), sums
        assert p.run("--by", "nonsense").returncode == 2
        assert p.run("--since", "yesterday").returncode == 2


def test_a_row_that_was_removed_is_missed():
    with Place() as p:
        for _ in range(5):
            p.ask("good")
        p.gateway.stop()
        with sqlite3.connect(p.path) as db:
            db.execute("DELETE FROM ledger WHERE id = 3")
        done = p.run("--verify")
        assert done.returncode == 1 and "row 4" in done.stdout + done.stderr, done
        p.gateway = Gateway(p.conf)
