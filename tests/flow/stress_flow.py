"""Reload, drain and disconnects under load: nothing that was accepted is lost."""
import json
import random
import re
import signal
import socket
import threading
import time

from expert import DONE, Expert, completion, send_reply, token_event
from gateway import BINARY, Gateway
from wire import PATIENCE_S, Conn, Failure, Reply, exchange, request_bytes

GOOD = completion("fine")
IS_SANITIZED = any(word in BINARY for word in ("asan", "tsan"))


def _body(model, text, stream=False):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def _chat(gateway, model="main", text="hi", stream=False):
    return exchange(gateway.port, "POST", "/v1/chat/completions", [], _body(model, text, stream))


def _rss_kb(gateway):
    with open(f"/proc/{gateway.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))


def test_fifty_reloads_under_load_fail_no_request_and_cut_no_stream():
    """Between them files that cannot be used, which change nothing."""
    def config(turn):
        return (f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2}}\n"
                f"experts:\n  main: {{url: {expert.url}, title: 'turn {turn}'}}\n"
                f"  extra-{turn}: {{url: {expert.url}}}\n")

    failures, over, served, streamed = [], threading.Event(), [], []
    next_event = threading.Condition()

    def handle(conn, head, body):
        if b'"stream"' not in body:
            return send_reply(conn, GOOD)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for event in [token_event("a"), token_event("b"), token_event(None, "stop"), DONE]:
            conn.send(b"%x\r\n%s\r\n" % (len(event), event))
            with next_event:  # a stream lasts as long as a few reloads
                next_event.wait(0.2)
        conn.send(b"0\r\n\r\n")
        return True

    def client(gateway, is_stream):
        conn = Conn.open(gateway.port)
        request = request_bytes("POST", "/v1/chat/completions", [], _body("main", "hi", is_stream))
        while not over.is_set():
            try:
                conn.send(request)
                reply = Reply(conn)
                is_good = reply.body().endswith(DONE) if is_stream else reply.body() == GOOD
                if reply.status != 200 or not is_good:
                    failures.append(f"{reply.status} {reply.body()[-200:]!r}")
                (streamed if is_stream else served).append(1)
            except (Failure, OSError) as error:
                failures.append(repr(error))
                return
        conn.close()

    with Expert(handle) as expert:
        gateway = Gateway(config(0))
        try:
            threads = [threading.Thread(target=client, args=(gateway, i % 2 == 1)) for i in range(8)]
            for thread in threads:
                thread.start()
            for turn in range(1, 51):
                if turn % 10 == 0:
                    gateway.write_config(config(turn) + "nonsense: 1\n")
                    gateway.signal(signal.SIGHUP)
                    _wait_failed_reloads(gateway, turn // 10)
                gateway.write_config(config(turn))
                gateway.signal(signal.SIGHUP)
                gateway.wait_output(rf"reloaded, generation {turn + 1}\b")
                with next_event:
                    next_event.notify_all()
                names = exchange(gateway.port, "GET", "/v1/models").body()
                assert f"extra-{turn}".encode() in names, names
                enough = len(served) + 10  # requests between two reloads
                while len(served) < enough and not failures:
                    time.sleep(0.002)
            over.set()
            for thread in threads:
                thread.join()
        finally:
            over.set()
            gateway.stop()
    assert not failures, f"{len(failures)} of {len(served)} and {len(streamed)}: {failures[:3]}"
    assert len(served) >= 500 and len(streamed) > 0, (len(served), len(streamed))


def _wait_failed_reloads(gateway, count):
    gateway.wait_output(r"(?s)" + r"reload failed .*?" * count)


def test_large_configuration_reloads():
    """1,000 lines; `bench/reload_conf` says how fast."""
    lines = ["experts:"]
    for i in range(900):
        lines.append(f"  expert-{i}: {{url: 'http://127.0.0.1:9/v{i}', context: {1000 + i}}}")
    lines.append("categories:")
    for i in range(100):
        name = f"category-{i}" if i else "general"
        lines.append(f"  {name}: {{experts: [{{expert: expert-{i}, score: 0.5}}]}}")
    gateway = Gateway("\n".join(lines) + "\n")
    try:
        gateway.signal(signal.SIGHUP)
        gateway.wait_output(r"reloaded, generation 2, in \d+ us")
        names = exchange(gateway.port, "GET", "/v1/models").body()
        assert b'"expert-899"' in names and b'"category/category-99"' in names, names[-300:]
    finally:
        gateway.stop()


def test_drain_loses_no_accepted_request():
    count = 50
    all_here = threading.Barrier(count + 1, timeout=PATIENCE_S)
    draining = threading.Event()

    def handle(conn, head, body):
        all_here.wait()
        draining.wait(PATIENCE_S)
        return send_reply(conn, GOOD)

    statuses = []
    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            threads = [threading.Thread(target=lambda: statuses.append(_chat(gateway).status))
                       for _ in range(count)]
            for thread in threads:
                thread.start()
            all_here.wait()
            gateway.signal(signal.SIGTERM)
            gateway.wait_output(r"(?i)drain")
            draining.set()
            for thread in threads:
                thread.join()
            assert gateway.wait_exit() == 0
        finally:
            draining.set()
            gateway.stop()
    assert statuses == [200] * count, statuses


def test_clients_that_leave_anywhere_leave_nothing_behind():
    """300 clients leave at random points of requests and streams; the expert's connections end,
    and so does what the gateway counts as in flight."""
    events = [token_event(f"{i} " * 50) for i in range(50)] + [token_event(None, "stop")]
    open_streams = [0]
    lock = threading.Lock()

    def handle(conn, head, body):
        with lock:
            open_streams[0] += 1
        try:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            for event in events:
                conn.send(b"%x\r\n%s\r\n" % (len(event), event))
                try:
                    conn.fill(time.monotonic() + 0.005)  # a pause that ends when the gateway leaves
                    return False
                except Failure:
                    continue
            conn.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(DONE), DONE))
            return True
        finally:
            with lock:
                open_streams[0] -= 1

    def client(gateway, seed):
        chance = random.Random(seed)
        request = request_bytes("POST", "/v1/chat/completions", [], _body("main", "hi", True))
        conn = Conn.open(gateway.port)
        try:
            if chance.random() < 0.3:
                conn.send(request[:chance.randrange(len(request))])
            else:
                conn.send(request)
                for _ in range(chance.randrange(6)):
                    conn.fill()
            if chance.random() < 0.5:
                conn.reset()
            elif chance.random() < 0.5:
                conn.sock.shutdown(socket.SHUT_WR)
                conn.rest()
        except (OSError, Failure):
            pass
        finally:
            conn.close()

    with Expert(handle) as expert:
        gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2}\n"
                          f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for start in range(0, 300, 30):
                threads = [threading.Thread(target=client, args=(gateway, start + i))
                           for i in range(30)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            deadline = time.monotonic() + PATIENCE_S
            while open_streams[0] > 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert open_streams[0] == 0, f"{open_streams[0]} streams outlive their clients"
            assert _chat(gateway, stream=True).status == 200
        finally:
            gateway.stop()


def test_client_whose_last_bytes_and_goodbye_arrive_together():
    """Data and end of the connection in one event: neither may hide the other."""
    request = request_bytes("POST", "/v1/chat/completions", [], _body("main", "hi"))
    body_at = request.index(b"\r\n\r\n") + 4
    parts = {"nothing": b"", "half a head": request[:40], "a head": request[:body_at],
             "half a body": request[:-5], "a whole request": request}
    failures = []
    with Expert(lambda conn, head, body: send_reply(conn, GOOD)) as expert:
        gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
                          "limits: {head_ms: 600000, body_ms: 600000, idle_ms: 600000}}\n"
                          f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for name, part in parts.items():
                for is_new in (False, True):  # the kernel's queue holds new ones meanwhile
                    conn = Conn.open(gateway.port)
                    if not is_new:
                        conn.send(request_bytes("GET", "/healthz"))
                        Reply(conn).body()
                    gateway.signal(signal.SIGSTOP)
                    if is_new:
                        conn.close()
                        conn = Conn.open(gateway.port)
                    conn.send(part)
                    conn.sock.shutdown(socket.SHUT_WR)
                    gateway.signal(signal.SIGCONT)
                    try:
                        conn.rest()
                    except Failure:
                        failures.append(f"{name} ({'new' if is_new else 'kept'} connection) stays")
                    conn.close()
            assert not failures, "; ".join(failures)
        finally:
            gateway.stop()


def test_broken_streams_leave_no_descriptor():
    """Streams that are broken off, 400 of them: their connections are closed for good, on both
    sides, long before any time-out."""
    def client():
        request = request_bytes("POST", "/v1/chat/completions", [("Connection", "close")],
                                _body("cuts", "hi", True))
        for _ in range(50):
            conn = Conn.open(gateway.port)
            conn.send(request)
            assert b"[DONE]" not in conn.rest()
            conn.close()

    gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
                      "limits: {head_ms: 600000, body_ms: 600000, idle_ms: 600000}}\n"
                      "experts:\n"
                      "  cuts: {kernel: {fault: [cut@2]}}\n")
    try:
        before = gateway.descriptors()
        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + PATIENCE_S
        while gateway.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert gateway.descriptors() <= before, f"{gateway.descriptors() - before} descriptors are left"
    finally:
        gateway.stop()


def test_memory_comes_back_to_earth():
    """2,000 requests of 100 kB leave no more than a few megabytes behind."""
    def client():
        conn = Conn.open(gateway.port)
        request = request_bytes("POST", "/v1/chat/completions", [], _body("main", "x" * 100000))
        for _ in range(250):
            conn.send(request)
            assert Reply(conn).body() == GOOD
        conn.close()

    with Expert(lambda conn, head, body: send_reply(conn, GOOD)) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            _chat(gateway)
            before = _rss_kb(gateway)
            threads = [threading.Thread(target=client) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            grown = _rss_kb(gateway) - before
            assert grown < 12000 or IS_SANITIZED, f"it grew by {grown} kB"
            assert expert.requests == 2001, expert.requests
        finally:
            gateway.stop()


def test_a_slow_reader_holds_a_bounded_amount_and_gets_all_of_its_stream():
    """It was 590 kB each when an expert could send ahead 256 KiB for each of them."""
    count, most_kb = 16, 350
    event = token_event("x" * 16000)
    sent = [0] * count
    lock = threading.Lock()
    has_got_stuck = threading.Event()

    def handle(conn, head, body):
        """As many events as it takes to fill the kernel's buffers, whatever their sizes."""
        if b'"stream"' not in body:
            return send_reply(conn, GOOD)
        index = int(json.loads(body)["messages"][0]["content"])
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        conn.sock.settimeout(None)
        while not has_got_stuck.is_set():
            conn.sock.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            with lock:
                sent[index] += 1
        for piece in (token_event(None, "stop"), DONE):
            conn.sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        conn.sock.sendall(b"0\r\n\r\n")
        return True

    def is_stuck():
        """Nothing has moved for half a second, and everybody has begun."""
        with lock:
            before = list(sent)
        threading.Event().wait(0.5)
        with lock:
            return before == sent and min(sent) > 0

    with Expert(handle) as expert:
        gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
                          "limits: {write_ms: 600000}}\n"
                          f"experts:\n  main: {{url: {expert.url}}}\n")
        conns = []
        try:
            _chat(gateway)
            before = _rss_kb(gateway)
            for i in range(count):
                conns.append(Conn.open(gateway.port, rcvbuf=4096))
                conns[-1].send(request_bytes("POST", "/v1/chat/completions", [],
                                             _body("main", str(i), True)))
            deadline = time.monotonic() + 5 * PATIENCE_S
            while not is_stuck():
                assert time.monotonic() < deadline, "the expert is read although nobody reads"
            each = (_rss_kb(gateway) - before) / count
            assert each < most_kb or IS_SANITIZED, f"a reader that is slow holds {each:.0f} kB"
            has_got_stuck.set()

            for i in (0, count - 1):
                body = Reply(conns[i]).body()
                assert body.endswith(DONE) and body.count(event) == sent[i], body[-200:]
        finally:
            has_got_stuck.set()
            for conn in conns:
                conn.close()
            gateway.stop()
