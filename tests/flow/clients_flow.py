"""Clients that mean no good, or are slow, or gone: each is ended by its deadline, takes bounded memory,
and nobody else notices."""
import json
import os
import re
import socket
import threading
import time

from expert import Expert, completion, send_reply, token_event
from gateway import Gateway
from wire import PATIENCE_S, Conn, Failure, Reply, exchange, request_bytes

GOOD = completion("fine")
SERVER = "server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: {workers}, {more}limits: {{{limits}}}}}\n"


def _body(model, stream=False):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def _request(model="main", stream=False, close=False):
    headers = [("Connection", "close")] if close else []
    return request_bytes("POST", "/v1/chat/completions", headers, _body(model, stream))


def _config(expert, limits, workers=1, more=""):
    return (SERVER.format(workers=workers, limits=limits, more=more) +
            f"experts:\n  main: {{url: {expert.url}, reply_bytes: 1000000000}}\n")


def _handle(conn, head, body):
    """Answers; a stream goes on until the gateway leaves, as fast as it takes it."""
    if b'"stream"' not in body:
        return send_reply(conn, GOOD)
    event = token_event("word " * 200)
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    deadline = time.monotonic() + 6 * PATIENCE_S
    conn.sock.settimeout(PATIENCE_S)
    try:
        while time.monotonic() < deadline:
            try:
                conn.sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            except TimeoutError:
                continue
    except OSError:
        pass
    return False


def _cpu_s(gateway):
    with open(f"/proc/{gateway.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(what, condition, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"not in time: {what}")
        time.sleep(0.01)


def _drip(conn, text, over):
    """Sends a byte now and then, until the gateway has had enough. What it said."""
    try:
        for byte in text:
            conn.send(bytes([byte]))
            if over.wait(0.02):
                break
    except OSError:
        pass
    try:
        return conn.rest()
    except OSError:
        return conn.received


def test_slow_heads_and_slow_bodies_end_by_their_deadlines():
    """A byte now and then counts as nothing: head and body are due as a whole."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 4000
    slow_body = request_bytes("POST", "/v1/chat/completions", [("Content-Length", "90000")])
    over = threading.Event()
    for due, begin, rest in (("head", b"", head), ("body", slow_body, b"{" * 90000)):
        deadlines = {"head_ms": 600000, "body_ms": 600000, "idle_ms": 600000, f"{due}_ms": 300}
        with Expert(_handle) as expert:
            limits = ", ".join(f"{key}: {ms}" for key, ms in deadlines.items())
            gateway = Gateway(_config(expert, limits))
            try:
                conn = Conn.open(gateway.port)
                conn.send(begin)
                assert b'"%s_timeout"' % due.encode() in _drip(conn, rest, over), conn.received
                assert expert.requests == 0
            finally:
                gateway.stop()


def test_reader_that_takes_nothing_is_dropped_and_its_call_cancelled():
    """While it holds the stream the expert is not read further; after write_ms the stream is over."""
    left = threading.Event()

    def handle(conn, head, body):
        result = _handle(conn, head, body)
        left.set()
        return result

    with Expert(handle) as expert:
        gateway = Gateway(_config(expert, "write_ms: 500, idle_ms: 60000"))
        try:
            conn = Conn.open(gateway.port, rcvbuf=4096)
            conn.send(_request(stream=True))
            if not left.wait(PATIENCE_S):
                raise Failure("the expert still talks to a client that does not listen")
            assert exchange(gateway.port, "POST", "/v1/chat/completions", [], _body("main")).status == 200
            conn.close()
        finally:
            gateway.stop()


def test_document_that_nobody_reads_is_dropped():
    big = completion("x" * 20_000_000)
    with Expert(lambda conn, head, body: send_reply(conn, big)) as expert:
        gateway = Gateway(_config(expert, "write_ms: 500, idle_ms: 60000"))
        try:
            before = gateway.descriptors()
            conn = Conn.open(gateway.port, rcvbuf=4096)
            conn.send(_request())
            _wait("the answer begins", lambda: conn.fill() and len(conn.received) > 0)
            _wait("the connection is dropped", lambda: gateway.descriptors() <= before + 1)
            conn.close()
        finally:
            gateway.stop()


def test_slow_reader_that_goes_on_reading_gets_all():
    """write_ms is about taking nothing, not about being slow: it reads a little for longer than that,
    then all."""
    text = "y" * 20_000_000
    with Expert(lambda conn, head, body: send_reply(conn, completion(text))) as expert:
        gateway = Gateway(_config(expert, "write_ms: 5000"))
        try:
            # Room for more than a segment, which has 64 KiB here: else the kernel sends a bit now and then.
            conn = Conn.open(gateway.port, rcvbuf=262144)
            conn.send(_request(close=True))
            got, early, until, pause = 0, 0, None, threading.Event()
            conn.sock.settimeout(PATIENCE_S)
            data = conn.sock.recv(65536)
            while data:
                got += len(data)
                until = until or time.monotonic() + 6
                if time.monotonic() < until:
                    early = got
                    pause.wait(0.05)
                data = conn.sock.recv(65536)
            assert early < len(text) / 2, f"it had {early} bytes early: that was not slow"
            assert got > len(text), f"{got} of {len(text)} bytes"
        finally:
            gateway.stop()


def _refused(gateway, reason, what="connections_refused"):
    """What the metrics say; -1 when the page cannot be had."""
    try:
        page = exchange(gateway.admin, "GET", "/metrics").body().decode()
        return int(re.search(rf'expertd_{what}_total{{reason="{reason}"}} (\d+)', page).group(1))
    except (Failure, OSError):
        return -1


def test_one_address_cannot_take_all_connections():
    def open_from(address, port):
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (address, 0))
        return Conn(sock)

    def status(conn):
        conn.send(request_bytes("GET", "/healthz"))
        reply = Reply(conn)
        return reply.status, reply.body()

    with Expert(_handle) as expert:
        gateway = Gateway(_config(expert, "connections_per_address: 5", workers=2,
                                  more="trusted_proxies: [127.0.0.9], "))
        try:
            held = [open_from("127.0.0.2", gateway.port) for _ in range(5)]
            assert [status(conn)[0] for conn in held] == [200] * 5
            code, text = status(open_from("127.0.0.2", gateway.port))
            assert code == 429 and b'"too_many_connections"' in text, (code, text)
            assert status(open_from("127.0.0.3", gateway.port))[0] == 200
            proxy = [open_from("127.0.0.9", gateway.port) for _ in range(20)]
            assert [status(conn)[0] for conn in proxy] == [200] * 20
            assert _refused(gateway, "per_address") == 1
            held.pop().close()

            def is_served():
                try:
                    return status(open_from("127.0.0.2", gateway.port))[0] == 200
                except (Failure, OSError):
                    return False
            _wait("a place is free again", is_served)
        finally:
            gateway.stop()


def test_idle_connections_make_room_and_busy_ones_do_not():
    with Expert(_handle) as expert:
        gateway = Gateway(_config(expert, "connections: 4, idle_ms: 60000"))
        try:
            idle = [Conn.open(gateway.port) for _ in range(4)]
            for conn in idle:
                conn.send(request_bytes("GET", "/healthz"))
                assert Reply(conn).body()
            busy = [Conn.open(gateway.port) for _ in range(4)]
            for conn in busy:
                conn.send(_request(stream=True))
                assert Reply(conn).status == 200
            for conn in idle:
                conn.wait_gone()
            extra = Conn.open(gateway.port)
            extra.send(_request())
            reply = Reply(extra)
            assert reply.status == 503 and b'"connections_exhausted"' in reply.body(), reply.body()
            extra.wait_gone()
            silent = Conn.open(gateway.port)  # one above the limit has little time
            silent.wait_gone()
            assert _refused(gateway, "total") == 2
            for conn in busy:
                conn.close()

            def is_served():
                try:
                    return exchange(gateway.port, "POST", "/v1/chat/completions", [],
                                    _body("main")).status == 200
                except (Failure, OSError):
                    return False
            _wait("connections that ended count no more", is_served)
        finally:
            gateway.stop()


def test_gateway_without_descriptors_answers_and_does_not_spin():
    """Sixty descriptors, two hundred clients: some are served, the others are told or wait, and the
    processor rests. When they leave everything is as before."""
    with Expert(_handle) as expert:
        gateway = Gateway(_config(expert, "connections: 1000, head_ms: 60000, idle_ms: 60000"),
                          command=("prlimit", "--nofile=60:60"))
        try:
            gateway.wait_output(r"the process may have 60 descriptors")
            clients = [Conn.open(gateway.port) for _ in range(200)]
            gateway.wait_output(r"clients are turned away: ")
            _wait("somebody is told", lambda: any([_is_refused(conn) for conn in clients]))
            told = sum(1 for conn in clients if conn.received.startswith(b"HTTP/1.1 503 "))
            before, began = _cpu_s(gateway), time.monotonic()
            try:
                clients[0].fill(began + 1)
            except Failure:
                pass
            used = _cpu_s(gateway) - before
            assert used < 0.5 * (time.monotonic() - began), f"{used} s of processor time in a second"
            for conn in clients:
                conn.close()

            def is_served():
                try:
                    return exchange(gateway.port, "POST", "/v1/chat/completions", [],
                                    _body("main")).status == 200
                except (Failure, OSError):
                    return False
            _wait("it serves again", is_served)
            assert _refused(gateway, "own_descriptors") >= told
            assert _refused(gateway, "own_descriptors", "accept_pauses") > 0
        finally:
            gateway.stop()


def _is_refused(conn):
    try:
        conn.fill(time.monotonic() + 0.001)
    except (Failure, OSError):
        pass
    return conn.received.startswith(b"HTTP/1.1 503 ")


def test_good_clients_are_served_among_hostile_ones():
    """Slow heads, slow bodies, idle connections, streams that nobody reads, garbage: 150 of them. Every
    request of the good client succeeds, and the deadlines end all others."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow: 1"
    half_body = request_bytes("POST", "/v1/chat/completions", [("Content-Length", "1000")]) + b"{"
    garbage = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 4 + b"\r\n\r\n"
    sayings = [b"", head, half_body, _request(stream=True), garbage]
    with Expert(_handle) as expert:
        gateway = Gateway(_config(expert, "head_ms: 5000, body_ms: 5000, write_ms: 5000, "
                                          "idle_ms: 5000", workers=2))
        try:
            before = gateway.descriptors()
            hostile = []
            for i in range(150):
                conn = Conn.open(gateway.port, rcvbuf=4096)
                try:
                    conn.send(sayings[i % len(sayings)])
                except OSError:
                    pass
                hostile.append(conn)
            good, last = Conn.open(gateway.port), time.monotonic()
            for _ in range(200):
                if time.monotonic() > last + 2:  # late itself: its connection may be idle for too long
                    good = Conn.open(gateway.port)
                last = time.monotonic()
                good.send(_request())
                reply = Reply(good)
                assert reply.status == 200 and reply.body() == GOOD, reply.status
            good.close()
            _wait("all hostile connections are ended",
                  lambda: gateway.descriptors() <= before + 8, 6 * PATIENCE_S)
            for conn in hostile:
                conn.close()
            assert exchange(gateway.port, "POST", "/v1/chat/completions", [], _body("main")).status == 200
        finally:
            gateway.stop()
