"""Tests of experts' health that need time or quantity: recovery, flapping, turns between tenants."""
import hashlib
import json
import math
import signal
import threading
import time

from expert import Expert, completion, send_reply
from gateway import Gateway
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

SERVER = ("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2, access_log: 'off'}\n"
          "policies: {retries: 0}\n")


def _chat_body(text="hello"):
    return json.dumps({"model": "main", "messages": [{"role": "user", "content": text}]}).encode()


def _chat(gateway, headers=(), text="hello"):
    return exchange(gateway.port, "POST", "/v1/chat/completions", list(headers), _chat_body(text))


def _experts(gateway):
    reply = exchange(gateway.admin, "GET", "/admin/experts")
    return {row["expert"]: row for row in json.loads(reply.body())}


def _wait_for(what):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"


class Play:
    """A gateway in front of one expert."""

    def __init__(self, handle, options, more=""):
        self.expert = Expert(handle)
        self.gateway = Gateway(f"{SERVER}experts:\n  main: {{url: {self.expert.url}, {options}}}\n"
                               f"{more}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.expert.close()


def _fail(conn):
    return send_reply(conn, b'{"error":{"message":"broken"}}', 500)


def test_a_probe_that_goes_well_closes_the_breaker():
    is_well = threading.Event()

    def handle(conn, _head, _body):
        return send_reply(conn, completion("fine")) if is_well.is_set() else _fail(conn)

    with Play(handle, "breaker: {failures: 2, open_ms: 50}") as play:
        assert _chat(play.gateway).status == 500
        assert _chat(play.gateway).status == 500
        assert _experts(play.gateway)["main"]["breaker"] == "open"
        is_well.set()
        _wait_for(lambda: _chat(play.gateway).status == 200)
        assert _experts(play.gateway)["main"]["breaker"] == "closed"
        assert play.expert.requests == 3, play.expert.requests
        assert _experts(play.gateway)["main"]["attempts"] == {
            "success": 1, "failure": 2, "neutral": 0, "cool_down": 0}


def test_an_expert_that_is_down_gets_ever_fewer_requests():
    with Play(lambda conn, _head, _body: _fail(conn),
              "breaker: {failures: 3, open_ms: 20, open_max_ms: 60000}") as play:
        began = time.monotonic()
        asked = 0
        while time.monotonic() < began + 1.5 or asked < 50:
            _chat(play.gateway)
            asked += 1
        # 3 to open it, then a probe after 20, 40, 80, ... ms: at most 7 in 1.5 s
        probes = math.ceil(math.log2((time.monotonic() - began) / 0.02 + 1))
        assert 4 <= play.expert.requests <= 3 + probes, (asked, play.expert.requests)


def test_breakers_outlive_a_reload():
    with Play(lambda conn, _head, _body: _fail(conn),
              "breaker: {failures: 1, open_ms: 600000}") as play:
        assert _chat(play.gateway).status == 500
        play.gateway.signal(signal.SIGHUP)
        play.gateway.wait_output("reloaded, generation 2")
        assert _chat(play.gateway).status == 503
        assert play.expert.requests == 1


class Room:
    """An expert whose answers wait until the test lets them go; notes who came in which order."""

    def __init__(self):
        self.lock = threading.Lock()
        self.order = []
        self.tickets = threading.Semaphore(0)

    def handle(self, conn, _head, body):
        with self.lock:
            self.order.append(json.loads(body)["messages"][0]["content"])
        self.tickets.acquire()
        return send_reply(conn, completion("fine"))


def _tenants(*names, extra=""):
    rows = "".join(f"  - name: {name}\n    keys: [\"sha256:"
                   f"{hashlib.sha256(_key(name).encode()).hexdigest()}\"]\n{extra}" for name in names)
    return "tenants:\n" + rows


def _key(name):
    return f"xk-test-{name}-0123456789abcdef0123456789abcdef"


def _send(gateway, name, count, headers=()):
    conns = []
    for _ in range(count):
        conn = Conn.open(gateway.port)
        conn.send(request_bytes("POST", "/v1/chat/completions",
                                [("Authorization", f"Bearer {_key(name)}"), *headers],
                                _chat_body(name)))
        conns.append(conn)
    return conns


def test_tenants_take_turns_at_a_full_expert():
    room = Room()
    with Play(room.handle, "concurrency: 4, queue: 1000, queue_ms: 3600000",
              _tenants("alice", "bob")) as play:
        conns = _send(play.gateway, "alice", 200)
        _wait_for(lambda: _experts(play.gateway)["main"]["queued"] == 196)
        conns += _send(play.gateway, "bob", 5)
        _wait_for(lambda: _experts(play.gateway)["main"]["queued"] == 201)
        assert _experts(play.gateway)["main"]["in_flight"] == 4
        for done in range(1, 13):  # one after the other, so that the order is the queue's
            room.tickets.release()
            _wait_for(lambda done=done: len(room.order) == 4 + done)
        turns = room.order[4:14]
        assert turns.count("bob") == 5, room.order
        assert all(turns[i] != turns[i + 1] for i in range(9)), room.order
        room.tickets.release(len(conns))
        for conn in conns:
            assert Reply(conn).status == 200
        assert len(room.order) == 205


def test_who_leaves_the_queue_is_never_served():
    room = Room()
    with Play(room.handle, "concurrency: 1, queue_ms: 3600000", _tenants("alice", "bob")) as play:
        first = _send(play.gateway, "alice", 1)
        _wait_for(lambda: _experts(play.gateway)["main"]["in_flight"] == 1)
        gone = _send(play.gateway, "bob", 20)
        _wait_for(lambda: _experts(play.gateway)["main"]["queued"] == 20)
        for conn in gone:
            conn.close()
        _wait_for(lambda: _experts(play.gateway)["main"]["queued"] == 0)
        last = _send(play.gateway, "alice", 1)
        room.tickets.release(2)
        for conn in first + last:
            assert Reply(conn).status == 200
        assert room.order == ["alice", "alice"], room.order
        assert _experts(play.gateway)["main"]["in_flight"] == 0


class Patient:
    """An expert with a page of health that says what the test wants; notes what it was asked."""

    def __init__(self):
        self.status = 200
        self.chat = lambda conn: send_reply(conn, completion("fine"))
        self.heads = []
        self.chats = 0

    def handle(self, conn, head, _body):
        if head.first.startswith("GET "):
            self.heads.append(head)
            status = self.status
            if status is None:
                conn.wait_gone()
                return False
            if status == "undecided":
                _wait_for(lambda: self.status != "undecided")
            return send_reply(conn, b"{}", self.status)
        self.chats += 1
        return self.chat(conn)

    def wait_probes(self, count):
        most = len(self.heads) + count
        _wait_for(lambda: len(self.heads) >= most)


HEALTH = "health: {path: /health?deep=1, interval_ms: 20, timeout_ms: 600000, unhealthy: 2, healthy: 2}"


def test_an_expert_that_fails_its_probes_gets_no_requests_until_it_is_well():
    for status in (500, 404, None):
        patient = Patient()
        health = HEALTH if status is not None else HEALTH.replace("600000", "1000")
        with Play(patient.handle, health + ", key: sk-secret-probe") as play:
            patient.wait_probes(1)
            assert patient.heads[0].first == "GET /health?deep=1 HTTP/1.1", patient.heads[0].first
            assert patient.heads[0].get("authorization") == "Bearer sk-secret-probe"
            _wait_for(lambda: _chat(play.gateway).status == 200)
            patient.status = status
            _wait_for(lambda: not _experts(play.gateway)["main"]["healthy"])
            play.gateway.wait_output("expert main fails its health checks")
            chats = patient.chats
            reply = _chat(play.gateway)
            assert reply.status == 503 and b"experts_unavailable" in reply.body()
            assert patient.chats == chats
            patient.status = 200
            _wait_for(lambda: _experts(play.gateway)["main"]["healthy"])
            _wait_for(lambda: _chat(play.gateway).status == 200)


def test_an_expert_that_is_gone_is_seen_without_a_request():
    patient = Patient()
    with Play(patient.handle, HEALTH) as play:
        patient.wait_probes(1)
        play.expert.close()
        _wait_for(lambda: not _experts(play.gateway)["main"]["healthy"])
        assert patient.chats == 0


def test_a_probe_and_no_request_tries_whether_a_breaker_may_close():
    patient = Patient()
    with Play(patient.handle, HEALTH + ", breaker: {failures: 1, open_ms: 50}") as play:
        patient.status = "undecided"
        patient.chat = _fail
        patient.wait_probes(1)
        assert _chat(play.gateway).status == 500
        # past open_ms a request would be let through
        _wait_for(lambda: _experts(play.gateway)["main"]["opens_in_ms"] <= 0)
        assert _chat(play.gateway).status == 503
        assert patient.chats == 1
        patient.chat = lambda conn: send_reply(conn, completion("fine"))
        patient.status = 200
        _wait_for(lambda: _experts(play.gateway)["main"]["breaker"] == "closed")
        assert patient.chats == 1
        _wait_for(lambda: _chat(play.gateway).status == 200)


def test_a_reload_changes_who_is_probed():
    patient = Patient()
    with Play(patient.handle, HEALTH) as play:
        patient.status = 500
        _wait_for(lambda: not _experts(play.gateway)["main"]["healthy"])
        with open(play.gateway.config_path, encoding="utf-8") as file:
            config = file.read()
        play.gateway.write_config(config.replace(HEALTH, "reply_bytes: 1MiB"))
        play.gateway.signal(signal.SIGHUP)
        play.gateway.wait_output("reloaded, generation 2")
        _wait_for(lambda: _experts(play.gateway)["main"]["healthy"])  # a probe may be out
        assert _chat(play.gateway).status == 200
        asked = len(patient.heads)
        play.gateway.write_config(config)
        play.gateway.signal(signal.SIGHUP)
        play.gateway.wait_output("reloaded, generation 3")
        patient.wait_probes(2)
        assert len(patient.heads) > asked
