"""Clients that are slow on purpose: each connection ends within its deadline, however it drips."""
import itertools
import json
import time

from expert import Expert, completion, send_reply
from gateway import Gateway
from probe import CLOSE_MS, chat_body, hidden_request
from wire import PATIENCE_S, Conn, Failure, Reply

POST = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\n")


def drip(target, start, byte, name):
    """Sends `start`, then one byte at a time for as long as the gateway listens."""
    began = time.monotonic()
    conn = Conn.open(target.gateway.port)
    try:
        conn.send(start)
        for _ in itertools.count():
            assert time.monotonic() - began < PATIENCE_S, \
                f"{name}: still open after {PATIENCE_S} s with deadlines of {CLOSE_MS} ms"
            try:
                conn.send(byte)
                conn.fill(time.monotonic() + 0.02)  # the pace of the drip
            except Failure:
                continue  # nothing was said yet
            except OSError:
                break
            if conn.ended:
                break
        took = time.monotonic() - began
        assert took >= CLOSE_MS / 1000 * 0.8, f"{name}: closed after {took:.3f} s already"
        if conn.buffer:
            conn.ended = True
            assert Reply(conn).status == 408, f"{name}: {conn.received[:100]!r}"
    finally:
        conn.close()


def test_head_that_drips(target):
    drip(target, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"a", "head")


def test_head_that_stops(target):
    conn = Conn.open(target.gateway.port)
    conn.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    conn.rest(PATIENCE_S)
    conn.close()


def test_connection_that_says_nothing(target):
    conn = Conn.open(target.gateway.port)
    said = conn.rest(PATIENCE_S)
    assert said == b"" or said.startswith(b"HTTP/1.1 408 "), said
    conn.close()


def test_body_that_drips(target):
    drip(target, POST + b"Content-Length: 100000\r\n\r\n", b" ", "body")


def test_chunked_body_that_drips(target):
    drip(target, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "chunked body")


def test_idle_connection_is_closed_after_its_reply(target):
    conn = Conn.open(target.gateway.port)
    conn.send(hidden_request("before the silence", fields=b""))
    assert Reply(conn).status == 200
    conn.rest(PATIENCE_S)
    conn.close()


def test_slow_expert_is_not_an_idle_client():
    """Deadlines of the client's side do not run while the expert thinks, nor while it streams."""
    pause = CLOSE_MS * 1.5 / 1000

    def handle(conn, head, body):
        deadline = time.monotonic() + pause
        try:
            conn.fill(deadline)  # returns at once if the gateway leaves
            return False
        except Failure:
            pass
        if not json.loads(body).get("stream"):
            return send_reply(conn, completion("late"))
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
                      b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
                      b"data: [DONE]\n\n"):
            conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            try:
                conn.fill(time.monotonic() + pause)
                return False
            except Failure:
                continue
        conn.send(b"0\r\n\r\n")
        return True

    with Expert(handle) as expert:
        gateway = Gateway(
            "server:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  workers: 1\n"
            f"  limits: {{head_ms: {CLOSE_MS}, body_ms: {CLOSE_MS}, idle_ms: {CLOSE_MS}}}\n"
            f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for stream in (False, True):
                body = chat_body("hi")[:-1] + (b',"stream":true}' if stream else b"}")
                conn = Conn.open(gateway.port)
                conn.send(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                reply = Reply(conn)
                assert reply.status == 200, reply.body()
                assert (b"[DONE]" if stream else b"late") in reply.body(), reply.body()
                conn.close()
        finally:
            gateway.stop()
