"""Priorities, and what the gateway does when it has too much to do itself."""
import hashlib
import json
import threading
import time

from expert import Expert, completion, send_reply
from gateway import Gateway
from wire import PATIENCE_S, Conn, Failure, Reply, exchange, request_bytes


def _key(name):
    return f"xk-test-{name}-0123456789abcdef0123456789abcdef"


def _digest(name):
    return "sha256:" + hashlib.sha256(_key(name).encode()).hexdigest()


TENANTS = "tenants:\n" + "".join(
    f"  - {{name: {name}, keys: ['{_digest(name)}']{more}}}\n" for name, more in (
        ("low", ", priority: low"), ("plain", ""), ("high", ", priority: high"),
        ("raiser", ", allow_headers: [priority]")))


def _headers(who, priority=None):
    headers = [("Authorization", f"Bearer {_key(who)}")]
    return headers + ([("x-expertd-priority", priority)] if priority else [])


def _body(text):
    return json.dumps({"model": "main", "messages": [{"role": "user", "content": text}]}).encode()


def _wait_for(what):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"


class Play:
    """A gateway in front of an expert whose answers wait until the test lets them go."""

    def __init__(self, limits="", options="", workers=1):
        self.order = []
        self.tickets = threading.Semaphore(0)
        self.expert = Expert(self._handle)
        self.gateway = Gateway(
            "server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, access_log: 'off', "
            f"workers: {workers}, limits: {{{limits}}}}}\n"
            f"experts:\n  main: {{url: {self.expert.url}{options}}}\n{TENANTS}")
        self.conns = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tickets.release(1000)
        for conn in self.conns:
            conn.close()
        self.gateway.stop()
        self.expert.close()

    def _handle(self, conn, _head, body):
        self.order.append(json.loads(body)["messages"][0]["content"])
        self.tickets.acquire()
        return send_reply(conn, completion("fine"))

    def send(self, who, priority=None, text=None):
        conn = Conn.open(self.gateway.port)
        conn.send(request_bytes("POST", "/v1/chat/completions", _headers(who, priority),
                                _body(text or who)))
        self.conns.append(conn)
        return conn

    def ask(self, who, priority=None):
        return Reply(self.send(who, priority))

    def standing(self, what):
        reply = exchange(self.gateway.admin, "GET", "/admin/experts")
        return json.loads(reply.body())[0][what]


def test_the_important_are_served_first():
    with Play(options=", concurrency: 1, queue_ms: 3600000") as play:
        play.send("plain", text="first")
        _wait_for(lambda: play.order == ["first"])
        waiting = [("low", None), ("low", None), ("plain", "low"), ("plain", None), ("high", None),
                   ("raiser", "high")]
        for count, (who, priority) in enumerate(waiting, 1):
            play.send(who, priority, f"{who} {priority or ''}".strip())
            _wait_for(lambda count=count: play.standing("queued") == count)
        for done in range(2, 8):
            play.tickets.release()
            _wait_for(lambda done=done: len(play.order) == done)
        assert set(play.order[1:4]) == {"plain", "high", "raiser high"}, play.order


def test_who_may_not_raise_its_priority_is_told():
    with Play() as play:
        play.tickets.release(10)
        reply = play.ask("plain", "high")
        assert reply.status == 403 and b"header_not_allowed" in reply.body()
        assert play.ask("plain", "low").status == 200
        assert play.ask("raiser", "high").status == 200
        reply = play.ask("raiser", "urgent")
        assert reply.status == 400 and b"x-expertd-priority" in reply.body()


def test_too_many_requests_are_refused_low_ones_first():
    for workers in (1, 2):
        with Play("exchanges: 8", workers=workers) as play:
            for count in range(1, 7):
                play.send("plain")
                _wait_for(lambda count=count: len(play.order) == count)
            reply = play.ask("low")  # the seventh: 8 * 3/4 are 6
            assert reply.status == 503 and b"gateway_overloaded" in reply.body(), reply.status
            assert 1 <= int(reply.head.get("retry-after")) <= 60
            assert reply.head.get("x-expertd-fault") == "gateway"
            play.send("plain")
            play.send("plain")
            _wait_for(lambda: len(play.order) == 8)
            assert play.ask("plain").status == 503
            assert play.ask("plain", "low").status == 503
            play.send("high")
            _wait_for(lambda: len(play.order) == 9)
            assert exchange(play.gateway.port, "GET", "/healthz").status == 200
            assert exchange(play.gateway.admin, "GET", "/healthz").status == 200
            assert exchange(play.gateway.admin, "GET", "/metrics").status == 200
            play.tickets.release(100)
            _wait_for(lambda: play.ask("low").status == 200)


def test_a_worker_that_is_late_refuses():
    with Play("lag_ms: 1, body_bytes: 4194304") as play:
        play.tickets.release(100000)
        big = "word " * 400000
        refused = threading.Event()

        def load():
            while not refused.is_set():
                try:
                    with_body = play.send("plain", text=big)
                    Reply(with_body)
                    with_body.close()
                except (OSError, Failure):
                    pass  # refused while it was sending

        threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not refused.is_set():
                assert time.monotonic() < deadline, "never refused"
                reply = play.ask("low")
                assert reply.status in (200, 503), reply.status
                if reply.status == 503:
                    assert b"gateway_overloaded" in reply.body()
                    assert exchange(play.gateway.port, "GET", "/healthz").status == 200
                    refused.set()
        finally:
            refused.set()
            for thread in threads:
                thread.join()
        _wait_for(lambda: play.ask("plain").status == 200)
