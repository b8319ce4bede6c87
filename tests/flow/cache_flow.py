"""Kept answers: whose they are, how they are given, one call for many, and who asks when a leader goes."""
import hashlib
import json
import os
import re
import sqlite3
import tempfile
import threading

from expert import Expert, completion, send_reply
from gateway import Gateway
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

PATH = "/v1/chat/completions"


def _digest(key):
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _chunk(delta, finish=None, **more):
    return b"data: %s\n\n" % json.dumps(
        {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}).encode()


def _stream(conn, *words, last="stop"):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    body = _chunk({"role": "assistant", "content": ""})
    body += b"".join(_chunk({"content": word}) for word in words) + _chunk({}, last)
    conn.send(head + body + b"data: [DONE]\n\n")
    return False


class Place:
    """A gateway whose expert answers with its own count, when `open` is set."""

    def __init__(self, expert="", extra="", workers=1, tenants=True, handle=None):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-cache-")
        self.db = os.path.join(self.folder.name, "expertd.db")
        self.open = threading.Event()
        self.open.set()
        self.bodies = []
        self.expert = Expert(handle or self._answer)
        who = "".join(f"  - {{name: {name}, keys: ['{_digest('sk-' + name)}']}}\n"
                      for name in ("ann", "bob")) if tenants else ""
        self.gateway = Gateway(
            f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: {workers}}}\n"
            f"state: {{path: {self.db}}}\n" + ("tenants:\n" + who if tenants else "") +
            f"experts:\n  main: {{url: {self.expert.url}, price: {{input: 1, output: 1}}, "
            f"cache: {{ttl_s: 3600}}{expert}}}\n" + extra)

    def _answer(self, conn, head, body):
        self.bodies.append(body)
        count = len(self.bodies)
        self.open.wait(PATIENCE_S)
        if json.loads(body).get("stream"):
            return _stream(conn, "answer ", str(count))
        return send_reply(conn, completion(f"answer {count}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.set()
        self.gateway.stop()
        self.expert.__exit__(None, None, None)
        self.folder.cleanup()

    def request(self, key="sk-ann", headers=(), **more):
        body = {"model": "main", "temperature": 0,
                "messages": [{"role": "user", "content": "hi"}], **more}
        return ([("Authorization", f"Bearer {key}"), *headers], json.dumps(body).encode())

    def ask(self, *args, **more):
        headers, body = self.request(*args, **more)
        return exchange(self.gateway.port, "POST", PATH, headers, body)

    def connect(self, *args, **more):
        headers, body = self.request(*args, **more)
        conn = Conn.open(self.gateway.port)
        conn.send(request_bytes("POST", PATH, headers, body))
        return conn

    def metric(self, pattern):
        page = exchange(self.gateway.admin, "GET", "/metrics", []).body().decode()
        return float(re.search(rf"^{pattern} (\S+)$", page, re.M).group(1))

    def wait_for(self, pattern, value):
        """Until a figure has this value; each look is a request."""
        for _ in range(100000):
            if self.metric(pattern) == value:
                return
        raise AssertionError(f"{pattern} never became {value}")


def _said(reply):
    return json.loads(reply.body())["choices"][0]["message"]["content"]


def _streamed(reply):
    text, events = "", reply.body().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""], events
    for event in events[:-2]:
        for choice in json.loads(event.removeprefix("data: "))["choices"]:
            text += choice["delta"].get("content") or ""
    return text


def _found(reply):
    return reply.head.get("x-expertd-cache")


def test_the_second_of_two_gets_the_first_ones_answer_for_nothing():
    with Place() as p:
        first, second = p.ask(), p.ask()
        assert (_found(first), _found(second)) == ("miss", "hit")
        assert first.body() == second.body() and p.expert.requests == 1
        assert second.head.get("x-expertd-cost-usd") == "0.000000000"
        assert second.head.get("x-expertd-attempts") == "0"
        assert p.metric(r'expertd_cache_requests_total\{result="hit"\}') == 1
        rows = sqlite3.connect(p.db).execute(
            "SELECT outcome, cost_nano_usd, prompt_tokens, completion_tokens FROM ledger").fetchall()
        assert rows[1] == ("cached", 0, 0, 0) and rows[0][1] > 0, rows


def test_tenants_never_share():
    with Place() as p:
        assert [_said(p.ask(key)) for key in ("sk-ann", "sk-bob", "sk-ann", "sk-bob")] == \
            ["answer 1", "answer 2", "answer 1", "answer 2"]


def test_without_tenants_keys_do_not_share():
    with Place(tenants=False) as p:
        assert [_said(p.ask(key)) for key in ("one", "two", "one")] == \
            ["answer 1", "answer 2", "answer 1"]


def test_each_way_is_given_whichever_way_the_answer_came():
    for came in (False, True):
        with Place() as p:
            assert _found(p.ask(stream=came)) == "miss"
            plain, stream = p.ask(), p.ask(stream=True)
            assert (_found(plain), _found(stream)) == ("hit", "hit")
            assert (_said(plain), _streamed(stream)) == ("answer 1", "answer 1")
            assert stream.head.get("content-type") == "text/event-stream"
            assert p.expert.requests == 1


def test_what_differs_in_a_byte_is_another_request():
    with Place() as p:
        for more in ({}, {"seed": 1}, {"seed": 2}, {"temperature": 0.0},
                     {"messages": [{"role": "user", "content": "hi "}]}):
            assert _found(p.ask(**more)) == "miss", more
        assert p.expert.requests == 5


def test_sampled_answers_are_kept_only_where_that_is_said():
    for setting, found in (("", None), ("sampled", "hit")):
        extra = ("categories:\n  general: {experts: [{expert: main}], "
                 f"cache: {{ttl_s: 3600, sampled: {'true' if setting else 'false'}}}}}\n")
        with Place(extra=extra) as p:
            for more in ({"temperature": 0.7}, {"temperature": None}):
                p.ask(model="category/general", **more)
                assert _found(p.ask(model="category/general", **more)) == found


def test_clients_can_do_without():
    with Place() as p:
        assert _found(p.ask(headers=[("Cache-Control", "no-store")])) is None
        assert _found(p.ask()) == "miss"
        assert _found(p.ask(headers=[("x-expertd-cache-control", "no-store")])) is None
        fresh = p.ask(headers=[("x-expertd-cache-control", "no-cache")])
        assert (_found(fresh), _said(fresh)) == ("miss", "answer 4")
        assert _said(p.ask()) == "answer 4"


def test_unfit_answers_are_not_kept():
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    def reply_with(reason, **message):
        reply = json.loads(completion("x"))
        reply["choices"][0]["finish_reason"] = reason
        reply["choices"][0]["message"].update(message)
        return json.dumps(reply).encode()

    answers = {"length": lambda conn: send_reply(conn, reply_with("length")),
               "calls": lambda conn: send_reply(conn, reply_with("stop", tool_calls=[call])),
               "error": lambda conn: send_reply(conn, b'{"error":{"message":"no"}}', status=400),
               "cut": lambda conn: _stream(conn, "a", last="length")}

    def handle(conn, head, body):
        return answers[json.loads(body)["user"]](conn)

    with Place(handle=handle) as p:
        for kind in answers:
            for _ in range(2):
                assert _found(p.ask(user=kind, stream=kind == "cut")) in ("miss", None), kind
        assert p.expert.requests == 2 * len(answers)
        assert p.metric("expertd_cache_entries") == 0


def test_private_data_is_never_kept():
    with Place(extra="privacy: {redact: [{kinds: [email]}]}\n") as p:
        mail = [{"role": "user", "content": "write to ann@example.com"}]
        assert [_found(p.ask(messages=mail)) for _ in range(2)] == [None, None]
        assert [_found(p.ask()) for _ in range(2)] == ["miss", "hit"]


def test_fifty_at_once_make_one_call():
    with Place(workers=2) as p:
        p.open.clear()
        replies = []
        threads = [threading.Thread(target=lambda s=i % 2 == 1: replies.append(
            (s, p.ask(stream=s)))) for i in range(50)]
        for thread in threads:
            thread.start()
        p.wait_for("expertd_requests_in_flight", 50)
        p.open.set()
        for thread in threads:
            thread.join()
        assert p.expert.requests == 1, p.expert.requests
        assert {_streamed(r) if s else _said(r) for s, r in replies} == {"answer 1"}
        assert sorted(_found(r) for _, r in replies) == ["miss"] + ["shared"] * 49


def test_when_the_leader_fails_the_next_one_asks():
    count = []

    def handle(conn, head, body):
        count.append(1)
        if len(count) == 1:
            place.open.wait(PATIENCE_S)
            return False  # cut before a byte
        return send_reply(conn, completion("fine"))

    with Place(handle=handle, extra="policies: {retries: 0}\n") as place:
        place.open.clear()
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(place.ask())) for _ in range(10)]
        for thread in threads:
            thread.start()
        place.wait_for("expertd_requests_in_flight", 10)
        place.open.set()
        for thread in threads:
            thread.join()
        assert sorted(r.status for r in replies) == [200] * 9 + [502]
        assert place.expert.requests == 2


def test_a_call_goes_on_for_others_when_its_client_leaves():
    for stream in (False, True):
        with Place() as p:
            p.open.clear()
            leader = p.connect(stream=stream)
            p.wait_for("expertd_requests_in_flight", 1)
            follower = p.connect()
            p.wait_for("expertd_requests_in_flight", 2)
            leader.reset()
            p.gateway.wait_output("listening")
            p.open.set()
            reply = Reply(follower)
            assert (_found(reply), _said(reply)) == ("shared", "answer 1")
            assert p.expert.requests == 1


def test_a_call_ends_when_nobody_waits_for_it():
    gone = threading.Event()

    def handle(conn, head, body):
        conn.wait_gone()
        gone.set()
        return False

    for leaves_last in ("leader", "follower"):
        gone.clear()
        with Place(handle=handle) as p:
            leader = p.connect()
            p.wait_for("expertd_requests_in_flight", 1)
            follower = p.connect()
            p.wait_for("expertd_requests_in_flight", 2)
            first, last = (follower, leader) if leaves_last == "leader" else (leader, follower)
            first.reset()
            if leaves_last == "leader":
                p.wait_for("expertd_requests_in_flight", 1)
            assert not gone.is_set()
            last.reset()
            assert gone.wait(PATIENCE_S)


def test_who_waits_too_long_asks_alone():
    with Place(extra="cache: {wait_ms: 1}\n") as p:
        p.open.clear()
        leader = p.connect()
        p.wait_for("expertd_requests_in_flight", 1)
        follower = p.connect()
        while len(p.bodies) < 2:
            p.metric("expertd_requests_in_flight")
        p.open.set()
        assert [_found(Reply(c)) for c in (leader, follower)] == ["miss", "miss"]
