"""Hedged requests: a second call beside one whose first token is late."""
import json
import math
import os
import sqlite3
import tempfile
import threading
import time

from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from gateway import Gateway
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

POLICIES = "policies: {retries: 0, hedge: {after_ms: 20, max: 1}}\n"


def _body(stream=False, text="hello", **more):
    return json.dumps({"model": "both", "stream": stream, **more,
                       "messages": [{"role": "user", "content": text}]}).encode()


def _wait_for(what):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"


class Silent:
    """Says nothing (or only what does not count as content) until it may go on; notes who left."""

    def __init__(self, then, opening=b""):
        self.then = then
        self.opening = opening
        self.may_go_on = threading.Event()
        self.asked = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self.bodies = []

    def handle(self, conn, _head, body):
        self.bodies.append(json.loads(body))
        conn.send(self.opening)
        self.asked.release()
        conn.sock.settimeout(0.01)
        deadline = time.monotonic() + PATIENCE_S
        while not self.may_go_on.is_set() and time.monotonic() < deadline:
            try:
                if conn.sock.recv(1) == b"":
                    self.left.release()
                    return False
            except TimeoutError:
                pass
            except OSError:
                self.left.release()
                return False
        conn.sock.settimeout(None)
        return self.then(conn)


def _says(text):
    return lambda conn, *_: send_reply(conn, completion(text))


def _streams(text):
    return lambda conn, *_: send_stream(
        conn, [token_event(text), token_event(None, "stop"), DONE])


def _fails(status):
    return lambda conn, *_: send_reply(conn, b'{"error":{"message":"broken"}}', status)


class Play:
    """A gateway in front of two experts, the first of which is silent; with a ledger."""

    def __init__(self, first, second, policies=POLICIES, more="",
                 options="", experts="aliases: {both: [slow, fast]}\n"):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-hedge-")
        self.state = os.path.join(self.folder.name, "expertd.db")
        self.first = first
        self.experts = [Expert(first.handle), Expert(second)]
        price = "price: {input: 1, output: 1}"
        self.gateway = Gateway(
            f"state: {{path: {self.state}, durability: commit}}\n"
            f"experts:\n  slow: {{url: {self.experts[0].url}, {price}{options}}}\n"
            f"  fast: {{url: {self.experts[1].url}, {price}{options}}}\n"
            f"{experts}{policies}{more}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.first.may_go_on.set()
        self.gateway.stop()
        for expert in self.experts:
            expert.close()
        self.folder.cleanup()

    def chat(self, stream=False, text="hello", **more):
        return exchange(self.gateway.port, "POST", "/v1/chat/completions", [],
                        _body(stream, text, **more))

    def rows(self):
        with sqlite3.connect(self.state) as db:
            return db.execute("SELECT attempt, expert, outcome FROM ledger ORDER BY attempt"
                              ).fetchall()

    def wait_rows(self, wanted):
        """The row of a call that was outrun is written when that is, behind the answer."""
        deadline = time.monotonic() + PATIENCE_S
        while self.rows() != wanted:
            assert time.monotonic() < deadline, self.rows()

    def standing(self, name):
        reply = exchange(self.gateway.admin, "GET", "/admin/experts")
        return {row["expert"]: row for row in json.loads(reply.body())}[name]

    def metric(self, result):
        page = exchange(self.gateway.admin, "GET", "/metrics").body().decode()
        line = [at for at in page.split("\n")
                if at.startswith(f'expertd_hedges_total{{result="{result}"}}')]
        return int(line[0].split()[-1])


def test_the_second_answers_where_the_first_is_late():
    first = Silent(_says("slow"))
    with Play(first, _says("fast")) as play:
        reply = play.chat()
        assert b"fast" in reply.body(), reply.body()
        assert reply.head.get("x-expertd-expert") == "fast"
        assert reply.head.get("x-expertd-hedged") == "won"
        assert reply.head.get("x-expertd-attempts") == "2"
        assert reply.head.get("x-expertd-attempt-log") == "slow hedged; fast 200"
        assert first.left.acquire(timeout=PATIENCE_S), "the late call is still open"
        play.wait_rows([(1, "slow", "hedged"), (2, "fast", "ok")])
        _wait_for(lambda: play.metric("won") == 1)
        play.gateway.wait_output('"hedged":"won"')


def test_of_a_stream_content_counts_and_nothing_else():
    opening = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
               b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"role": "assistant"}}]
                                       }).encode() + b"\n\n")
    first = Silent(lambda conn: False, opening)
    with Play(first, _streams("fast")) as play:
        reply = play.chat(stream=True)
        body = reply.body()
        assert body.count(b"data: ") == 3 and b"fast" in body, body
        assert reply.head.get("x-expertd-hedged") == "won"
        assert first.left.acquire(timeout=PATIENCE_S), "the late call is still open"
        play.wait_rows([(1, "slow", "hedged"), (2, "fast", "ok")])


def test_the_first_answers_where_it_is_faster_after_all():
    first = Silent(_says("slow"))
    second = Silent(_says("fast"))
    with Play(first, second.handle) as play:
        threading.Thread(target=lambda: second.asked.acquire() and first.may_go_on.set()).start()
        reply = play.chat()
        assert b"slow" in reply.body(), reply.body()
        assert reply.head.get("x-expertd-hedged") == "lost"
        assert reply.head.get("x-expertd-expert") == "slow"
        assert second.left.acquire(timeout=PATIENCE_S), "the second call is still open"
        play.wait_rows([(1, "slow", "ok"), (2, "fast", "hedged")])


def test_a_client_that_leaves_ends_both():
    first = Silent(_says("slow"))
    second = Silent(_says("fast"))
    with Play(first, second.handle) as play:
        conn = Conn.open(play.gateway.port)
        conn.send(request_bytes("POST", "/v1/chat/completions", [], _body()))
        assert second.asked.acquire(timeout=PATIENCE_S)
        conn.close()
        assert first.left.acquire(timeout=PATIENCE_S), "the first call is still open"
        assert second.left.acquire(timeout=PATIENCE_S), "the second call is still open"
        _wait_for(lambda: play.rows() == [(1, "slow", "cancelled"), (2, "fast", "cancelled")])
        _wait_for(lambda: play.metric("cancelled") == 1)


def test_the_first_goes_on_where_the_second_fails():
    for status in (500, 429):
        first = Silent(_says("slow"))
        with Play(first, _fails(status)) as play:
            replies = []
            asking = threading.Thread(target=lambda: replies.append(play.chat()))
            asking.start()
            _wait_for(lambda: (2, "fast", "error_status") in play.rows())
            first.may_go_on.set()
            asking.join()
            reply = replies[0]
            assert b"slow" in reply.body(), reply.body()
            assert reply.head.get("x-expertd-attempt-log") == f"fast {status}; slow 200"
            assert reply.head.get("x-expertd-hedged") == "lost"
            play.wait_rows([(1, "slow", "ok"), (2, "fast", "error_status")])


def test_the_second_goes_on_where_the_first_fails():
    first = Silent(_fails(500))
    second = Silent(_streams("fast"))
    with Play(first, second.handle) as play:
        def fail_first():
            second.asked.acquire()
            first.may_go_on.set()
            _wait_for(lambda: len(play.rows()) == 1)
            second.may_go_on.set()
        threading.Thread(target=fail_first).start()
        reply = play.chat(stream=True)
        assert b"fast" in reply.body()
        assert reply.head.get("x-expertd-attempt-log") == "slow 500; fast 200"
        play.wait_rows([(1, "slow", "error_status"), (2, "fast", "ok")])


def test_where_both_fail_the_client_is_told_once():
    first = Silent(_fails(500))
    second = Silent(_fails(503))
    with Play(first, second.handle) as play:
        def fail_both():
            second.asked.acquire()
            first.may_go_on.set()
            second.may_go_on.set()
        threading.Thread(target=fail_both).start()
        reply = play.chat()
        assert reply.status in (500, 503), reply.status
        _wait_for(lambda: len(play.rows()) == 2)


def test_the_budget_bounds_second_calls():
    count = 60
    first = Silent(_says("slow"))
    with Play(first, _says("fast"),
              "policies: {retries: 0, hedge: {after_ms: 1, max: 0.01}}\n") as play:
        conns, began = [], time.monotonic()
        for _ in range(count):
            conns.append(Conn.open(play.gateway.port))
            conns[-1].send(request_bytes("POST", "/v1/chat/completions", [], _body()))
        _wait_for(lambda: play.metric("won") + play.metric("none") == count)
        # 3 that came with time, and those that come every 3.3 s; the share of 60 requests is 0.6
        most = 3 + 1 + math.ceil((time.monotonic() - began) / 3.3)
        assert 1 <= play.experts[1].requests <= most, (play.experts[1].requests, most)
        first.may_go_on.set()
        for conn in conns:
            conn.close()


def _nobody_is_asked_beside(more, **request):
    first = Silent(_says("slow"))
    with Play(first, _says("fast"), more=more) as play:
        def go_on():
            _wait_for(lambda: play.metric("none") == 1)
            first.may_go_on.set()
        threading.Thread(target=go_on).start()
        reply = play.chat(**request)
        assert b"slow" in reply.body(), reply.body()
        assert reply.head.get("x-expertd-hedged") is None
        assert reply.head.get("x-expertd-attempts") == "1"
        assert play.experts[1].requests == 0
        play.wait_rows([(1, "slow", "ok")])


def test_money_for_one_call_pays_no_second_one():
    # 1,000 tokens at 1 USD a million are 0.001 USD
    _nobody_is_asked_beside("budgets: [{name: team, usd: 0.0015, per: total}]\n", max_tokens=1000)


def test_who_comes_after_two_that_failed_may_wait_for_a_place():
    first = Silent(_fails(500))
    second = Silent(_fails(500))
    room = Silent(_says("late but there"))
    third = Expert(room.handle)
    more = (f"  third: {{url: {third.url}, concurrency: 1, queue_ms: 60000}}\n"
            "aliases: {both: [slow, fast, third]}\n")
    with Play(first, second.handle, experts=more) as play:
        busy = Conn.open(play.gateway.port)
        busy.send(request_bytes("POST", "/v1/chat/completions", [],
                                _body().replace(b'"both"', b'"third"')))
        assert room.asked.acquire(timeout=PATIENCE_S)

        def fail_both():
            second.asked.acquire()
            first.may_go_on.set()
            _wait_for(lambda: len(play.rows()) == 1)
            second.may_go_on.set()
            _wait_for(lambda: play.standing("third")["queued"] == 1)
            room.may_go_on.set()
        threading.Thread(target=fail_both).start()
        reply = play.chat()
        assert reply.head.get("x-expertd-attempt-log") == "slow 500; fast 500; third 200"
        busy.close()
    third.close()


def test_one_attempt_is_one_call():
    first = Silent(_says("slow"))
    with Play(first, _says("fast"),
              "policies: {attempts: 1, retries: 0, hedge: {after_ms: 20, max: 1}}\n") as play:
        def go_on():
            _wait_for(lambda: play.metric("none") == 1)
            first.may_go_on.set()
        threading.Thread(target=go_on).start()
        assert b"slow" in play.chat().body()
        assert play.experts[1].requests == 0


def test_the_same_expert_is_asked_twice_where_there_is_no_other():
    calls = []

    def handle(conn, *args):
        calls.append(1)
        return first.handle(conn, *args) if len(calls) == 1 else _says("again")(conn)

    first = Silent(_says("slow"))
    expert = Expert(handle)
    gateway = Gateway(f"experts:\n  both: {{url: {expert.url}}}\n{POLICIES}")
    try:
        reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], _body())
        assert b"again" in reply.body()
        assert reply.head.get("x-expertd-attempt-log") == "both hedged; both 200"
        assert first.left.acquire(timeout=PATIENCE_S), "the late call is still open"
    finally:
        gateway.stop()
        expert.close()


def test_each_call_has_placeholders_of_its_own():
    first = Silent(_says("slow"))

    def echo(conn, _head, body):
        return send_reply(conn, completion(json.loads(body)["messages"][0]["content"]))

    with Play(first, echo, more="privacy: {redact: [{kinds: [email]}]}\n") as play:
        reply = play.chat(text="write to ada@example.com")
        assert b"write to ada@example.com" in reply.body(), reply.body()
        assert "ada@" not in json.dumps(first.bodies)
        assert reply.head.get("x-expertd-redacted") == "email=1"


def test_in_streams_too():
    opening = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
               b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"role": "assistant"}}]
                                       }).encode() + b"\n\n")
    first = Silent(lambda conn: False, opening)

    def echo(conn, _head, body):
        text = json.loads(body)["messages"][0]["content"]
        half = len(text) - 4  # within the placeholder
        return send_stream(conn, [token_event(text[:half]), token_event(text[half:]),
                                  token_event(None, "stop"), DONE])

    with Play(first, echo, more="privacy: {redact: [{kinds: [email]}]}\n") as play:
        reply = play.chat(stream=True, text="write to ada@example.com")
        body = reply.body()
        said = "".join(json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                       for line in body.decode().split("\n")
                       if line.startswith("data: {"))
        assert said == "write to ada@example.com", body
        assert first.left.acquire(timeout=PATIENCE_S), "the late call is still open"


def test_others_wait_for_an_answer_whose_client_has_left():
    first = Silent(_says("slow"))
    second = Silent(_says("fast"))
    with Play(first, second.handle, options=", cache: {ttl_s: 3600}") as play:
        gone = Conn.open(play.gateway.port)
        gone.send(request_bytes("POST", "/v1/chat/completions", [], _body(temperature=0)))
        assert second.asked.acquire(timeout=PATIENCE_S)
        stays = Conn.open(play.gateway.port)
        stays.send(request_bytes("POST", "/v1/chat/completions", [], _body(temperature=0)))
        _wait_for(lambda: b"\nexpertd_requests_in_flight 2\n" in exchange(
            play.gateway.admin, "GET", "/metrics").body())
        gone.close()
        first.may_go_on.set()  # only its answers are kept under its name
        reply = Reply(stays)
        assert b"slow" in reply.body()
        assert reply.head.get("x-expertd-cache") == "shared", reply.head.all("x-expertd-cache")
        assert second.left.acquire(timeout=PATIENCE_S), "the second call is still open"
        assert first.asked.acquire(timeout=0) and not first.asked.acquire(timeout=0)


def test_without_the_key_nothing_is_asked_twice():
    first = Silent(_says("slow"))
    with Play(first, _says("fast"), "policies: {retries: 0}\n") as play:
        conn = Conn.open(play.gateway.port)
        conn.send(request_bytes("POST", "/v1/chat/completions", [], _body()))
        assert first.asked.acquire(timeout=PATIENCE_S)
        assert not first.left.acquire(timeout=0.2)
        assert play.experts[1].requests == 0
        conn.close()


def test_p95_is_learned_first():
    is_slow = threading.Event()
    silent = Silent(_says("slow"))

    def handle(conn, *args):
        return silent.handle(conn, *args) if is_slow.is_set() else _says("quick")(conn)

    class First:
        may_go_on = silent.may_go_on

    First.handle = staticmethod(handle)
    with Play(First, _says("fast"), "policies: {retries: 0, hedge: {max: 1}}\n") as play:
        for _ in range(20):
            assert play.chat().status == 200
        is_slow.set()
        reply = play.chat()
        assert reply.head.get("x-expertd-expert") == "fast"
        assert silent.left.acquire(timeout=PATIENCE_S)
