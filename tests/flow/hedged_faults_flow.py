"""The matrix of faults with a second call beside the first (`policies.hedge`): each kind of upstream_flow's
table, as the first call with one beside it that is well, as the second, and as both where there is but one
expert. Two calls are at work when the fault comes: an expert waits until the other one was asked. Whatever
happens: one answer, the one that the table says or the other expert's; at most three calls; a row in the
ledger for each, `hedged` for the one that was outrun; and nothing goes on afterwards."""
import concurrent.futures
import itertools
import json
import os
import sqlite3
import tempfile
import threading
import time

from expert import Expert, send_reply, send_stream
from gateway import Gateway
from upstream_flow import GOOD, KEEP, KINDS, RESET, SILENT, WHOLE, _see
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

HEDGE_MS = 30
TOGETHER_S = PATIENCE_S / 2  # until the other one is asked; where nobody is, the test says so


class Call:
    """What both experts know of one request."""

    def __init__(self):
        self.count = 0
        self.two = threading.Event()      # calls are at work
        self.faulted = threading.Event()  # the fault is on its way


class Matrix:
    def __init__(self, host):
        self.calls = {}
        self.lock = threading.Lock()
        self.faulty, self.spare = Expert(self._fail), Expert(self._answer)
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-hedged-")
        self.state = os.path.join(self.folder.name, "state.db")
        price = "price: {input: 1, output: 1}"
        url = f"http://{host}:%d/v1"
        self.gateway = Gateway(
            f"state: {{path: {self.state}, durability: commit}}\n"
            "experts:\n"
            f"  main: {{url: '{url % self.faulty.port}', reply_bytes: 65536, context: 8192, {price}}}\n"
            f"  slow: {{url: '{url % self.faulty.port}', {price}, deadlines: {{first_token_ms: 6000, "
            "idle_ms: 3000}}\n"
            f"  spare: {{url: '{url % self.spare.port}', context: 32768, {price}}}\n"
            "aliases:\n"
            "  main-first: [main, spare]\n  slow-first: [slow, spare]\n"
            "  main-second: [spare, main]\n  slow-second: [spare, slow]\n"
            f"policies: {{backoff_ms: 10, retry_budget: 10, hedge: {{after_ms: {HEDGE_MS}, max: 1}}, "
            "breaker: {failures: 0, cool_down: false}}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.faulty.close()
        self.spare.close()
        self.folder.cleanup()

    def _enter(self, body):
        request = json.loads(body)
        text = request["messages"][0]["content"]
        with self.lock:
            call = self.calls.setdefault(text, Call())
            call.count += 1
            if call.count == 2:
                call.two.set()
        return text.partition("#")[0], "stream" if request.get("stream") else "plain", call

    def _fail(self, conn, head, body):
        kind, mode, call = self._enter(body)
        raw, then, _, _ = KINDS[kind][mode]
        call.two.wait(TOGETHER_S)
        try:
            conn.send(raw)
            if then == RESET:
                conn.reset()
        finally:
            call.faulted.set()
        if then == SILENT:
            conn.wait_gone()
        return then == KEEP

    def _answer(self, conn, head, body):
        _, mode, call = self._enter(body)
        call.faulted.wait(TOGETHER_S)
        return send_stream(conn, WHOLE) if mode == "stream" else send_reply(conn, GOOD)

    def run(self, kind, mode, place, number):
        """What went wrong with one request; its id, what the client saw, the attempts it was told of."""
        _, then, alone, behind = KINDS[kind][mode]
        model = ("slow" if then == SILENT else "main") + ("" if place == "both" else f"-{place}")
        text = f"{kind}#{number}"
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}],
                           "stream": mode == "stream"}).encode()
        conn = Conn.open(self.gateway.port)
        try:
            conn.send(request_bytes("POST", "/v1/chat/completions", [], body))
            reply = Reply(conn)
            seen = _see(reply, mode)
        finally:
            conn.close()
        allowed = {alone} if place == "both" else {behind, "spare"}
        call = self.calls.get(text, Call())
        log = reply.head.get("x-expertd-attempt-log")
        where = f"{kind}, {mode}, {place}: {seen}, {log}, {call.count} calls"
        attempts = len((log or "").split(";"))
        # a kept connection that dies without a byte is replaced, within the attempt
        most = attempts + (1 if KINDS[kind][mode][0] == b"" else 0)
        wrong = []
        if seen not in allowed:
            wrong.append(f"{where}: not {allowed}")
        if attempts < 2 or call.count > min(most, 3):
            wrong.append(f"{where}: not two calls at work, or too many")
        return wrong, (reply.head.get("x-request-id"), seen, attempts, where)


def _check_books(matrix, told):
    """A row for each attempt, one answer at most."""
    with sqlite3.connect(matrix.state) as db:
        rows = db.execute("SELECT request_id, outcome FROM ledger").fetchall()
    wrong = []
    for request, seen, attempts, where in told:
        outcomes = [outcome for at, outcome in rows if at == request]
        if len(outcomes) != attempts:
            wrong.append(f"{where}: {outcomes} in the ledger")
        if (outcomes.count("ok") != 1) if seen in ("whole", "spare") else "ok" in outcomes:
            wrong.append(f"{where}: {outcomes}")
        if outcomes.count("hedged") > 1:
            wrong.append(f"{where}: {outcomes}")
    return wrong, sum(outcome == "hedged" for _, outcome in rows)


def _run(host):
    cells = [(kind, mode, place) for kind, modes in KINDS.items() for mode in modes
             for place in ("first", "second", "both") if modes[mode][0] is not None]
    numbers = itertools.count()
    cells.sort(key=lambda cell: KINDS[cell[0]][cell[1]][1] != SILENT)  # they wait, all together
    with Matrix(host) as matrix, concurrent.futures.ThreadPoolExecutor(32) as pool:
        done = list(pool.map(lambda cell: matrix.run(*cell, next(numbers)), cells))
        wrong = [what for found, _ in done for what in found]
        deadline = time.monotonic() + PATIENCE_S
        more = ["the ledger was not read"]
        while more and time.monotonic() < deadline:  # what was outrun is written behind the reply
            more, outrun = _check_books(matrix, [told for _, told in done])
        wrong += more
        assert not wrong, f"{len(wrong)} of {len(cells)}:\n" + "\n".join(wrong)
        faults = sum(seen not in ("whole", "spare") for _, (_, seen, _, _) in done)
        assert outrun > 0 and faults > len(cells) // 3, (outrun, faults, len(cells))
        busy, deadline = ["nobody has looked"], time.monotonic() + PATIENCE_S
        while busy:
            assert time.monotonic() < deadline, busy
            page = exchange(matrix.gateway.admin, "GET", "/admin/experts")
            busy = [row for row in json.loads(page.body()) if row["in_flight"] != 0]


def test_every_fault_beside_another_call_through_the_own_client():
    _run("127.0.0.1")


def test_every_fault_beside_another_call_through_libcurl():
    _run("expert.localhost")
