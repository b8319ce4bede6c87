"""What an expert can do wrong, byte by byte: each fault gives its client a clean error or the whole
answer, never something in between, and never spoils the next request."""
import json
import os
import ssl
import subprocess
import tempfile
import threading

from expert import DONE, Expert, completion, send_reply, token_event
from gateway import Gateway
from report import Skip
from wire import Conn, exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = completion("fine")
LENGTH = b"Content-Length: %d\r\n" % len(GOOD)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
EVIL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nEVIL"

# name: (bytes on the wire, what then, status the client may see). GOOD must be the body of a 200.
REPLIES = {
    "a plain reply": (OK + LENGTH + b"\r\n" + GOOD, "keep", "200"),
    "a chunked reply": (OK + CHUNKED + b"\r\n" + CHUNKS, "keep", "200"),
    "a reply that ends with the connection": (OK + b"\r\n" + GOOD, "close", "200"),
    "HTTP/1.0": (OK.replace(b"1.1", b"1.0") + b"\r\n" + GOOD, "close", "200"),
    "no reason phrase": (OK.replace(b" OK", b" ") + LENGTH + b"\r\n" + GOOD, "keep", "200"),
    "100 and 103 before the reply": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
        + OK + LENGTH + b"\r\n" + GOOD, "keep", "200"),
    "chunk extensions and a trailer": (
        OK + CHUNKED + b"\r\n" + CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)[:-2] + b"X-T: 1\r\n\r\n",
        "keep", "200"),
    "a second reply behind the first": (OK + LENGTH + b"\r\n" + GOOD + EVIL, "keep", "200"),
    "a second reply behind the last chunk": (OK + CHUNKED + b"\r\n" + CHUNKS + EVIL, "keep", "200"),
    "a body on 204": (b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, "keep", "204|502"),
    "length too long": (OK + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + 9) + GOOD, "close", "502"),
    "a chunk cut in the middle": (OK + CHUNKED + b"\r\n" + CHUNKS[:40], "close", "502"),
    "no last chunk": (OK + CHUNKED + b"\r\n" + CHUNKS[:-5], "close", "502"),
    "chunk size that is no number": (OK + CHUNKED + b"\r\nxyz\r\n" + GOOD, "close", "502"),
    "negative chunk size": (OK + CHUNKED + b"\r\n-5\r\n" + GOOD, "close", "502"),
    "chunk size of 2^64": (OK + CHUNKED + b"\r\n10000000000000000\r\n" + GOOD, "close", "502"),
    "chunk without its line end": (OK + CHUNKED + b"\r\n2\r\n{}0\r\n\r\n", "close", "502"),
    "two lengths": (OK + LENGTH + b"Content-Length: 5\r\n\r\n" + GOOD, "close", "502"),
    "negative length": (OK + b"Content-Length: -5\r\n\r\n" + GOOD, "close", "502"),
    "length that is no number": (OK + b"Content-Length: many\r\n\r\n" + GOOD, "close", "502"),
    "length of 2^64": (OK + b"Content-Length: 18446744073709551616\r\n\r\n" + GOOD, "close", "502"),
    "unknown transfer-encoding": (OK + b"Transfer-Encoding: gzip\r\n\r\n" + GOOD, "close", "502"),
    "header of 100 kB": (OK + b"X: " + b"a" * 100000 + b"\r\n" + LENGTH + b"\r\n" + GOOD, "close",
                         "502"),
    "headers without end": (OK + b"X: y\r\n" * 30000, "close", "502"),
    "100 for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 30000, "close", "502"),
    "101 switching protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + GOOD,
                                "close", "502"),
    "status 999": (OK.replace(b"200", b"999") + LENGTH + b"\r\n" + GOOD, "close", "502"),
    "status that is no number": (OK.replace(b"200", b"2x0") + LENGTH + b"\r\n" + GOOD, "close",
                                 "502"),
    "HTTP/2 preface back": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "close", "502"),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", "close", "502"),
    "an SSH banner": (b"SSH-2.0-OpenSSH_9.2\r\n", "close", "502"),
    "header with a NUL": (OK + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + GOOD, "close", "200|502"),
    "NULs": (b"\x00" * 1000, "close", "502"),
    "a reset": (b"", "reset", "502"),
    "nothing at all": (b"", "close", "502"),
    "half a head, then silence": (b"HTTP/1.1 200 OK\r\nContent-", "silence", "504|502"),
    "a head, then silence": (OK + LENGTH + b"\r\n", "silence", "504|502"),
    "half a body, then silence": (OK + LENGTH + b"\r\n" + GOOD[:20], "silence", "504|502"),
}


def _body(model, text, **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}],
                       **more}).encode()


def _chat(gateway, model, text, **more):
    return exchange(gateway.port, "POST", "/v1/chat/completions", [], _body(model, text, **more))


def _answer(conn, raw, then):
    try:
        conn.send(raw)
    except OSError:
        return False  # the gateway has had enough of it
    if then == "reset":
        conn.reset()
    elif then == "silence":
        conn.wait_gone()
    return then == "keep"


def test_every_fault_of_a_reply():
    def handle(conn, head, body):
        name = json.loads(body)["messages"][0]["content"]
        if name in REPLIES:
            return _answer(conn, *REPLIES[name][:2])
        return send_reply(conn, GOOD)

    failures = []
    with Expert(handle) as expert:
        gateway = Gateway(
            f"experts:\n  main: {{url: {expert.url}}}\n"
            f"  hasty: {{url: {expert.url}, deadlines: {{first_token_ms: 1500, idle_ms: 1500}}}}\n"
            "policies: {attempts: 1}\n")
        try:
            for name, (_, then, statuses) in REPLIES.items():
                reply = _chat(gateway, "hasty" if then == "silence" else "main", name)
                if str(reply.status) not in statuses.split("|"):
                    failures.append(f"{name}: {reply.status} {reply.body()[:200]!r}")
                if reply.status == 200 and reply.body() != GOOD:
                    failures.append(f"{name}: the body is {reply.body()[:200]!r}")
                after = _chat(gateway, "main", "as usual")
                if after.status != 200 or after.body() != GOOD:
                    failures.append(f"after {name}: {after.status} {after.body()[:200]!r}")
        finally:
            gateway.stop()
    assert not failures, f"{len(failures)} of {len(REPLIES)}:\n" + "\n".join(failures)


def test_redirects_are_not_followed():
    with Expert(lambda conn, head, body: send_reply(conn, b"{}")) as other:
        def handle(conn, head, body):
            conn.send(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s/chat/completions\r\n"
                      b"Content-Length: 0\r\n\r\n" % other.url.encode())
            return True

        with Expert(handle) as expert:
            gateway = Gateway(f"experts:\n  main: {{url: {expert.url}, key: sk-secret-1}}\n")
            try:
                reply = _chat(gateway, "main", "hi")
                assert reply.status in (307, 502), reply.status
                assert reply.head.get("location") is None, reply.head.raw
            finally:
                gateway.stop()
        assert other.connections == 0, "the redirect was followed"


def test_stale_connections_are_replaced_unseen():
    """An expert that closes each connection after its reply costs no request."""
    def handle(conn, head, body):
        send_reply(conn, GOOD)
        return False

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\npolicies: {{attempts: 1}}\n")
        try:
            statuses = [_chat(gateway, "main", "hi").status for _ in range(50)]
            assert statuses == [200] * 50, statuses
        finally:
            gateway.stop()
        assert expert.requests == 50, expert.requests


def test_connection_closed_under_the_request_is_tried_anew():
    """A kept connection that the expert closes as the next request arrives was never a failure of
    that request: it goes out again on a fresh connection, once."""
    turns = []

    def handle(conn, head, body):
        turns.append(conn)
        if len(turns) == 2:  # the second request on the kept connection: closed without a byte
            return False
        return send_reply(conn, GOOD)

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\npolicies: {{attempts: 1}}\n")
        try:
            assert _chat(gateway, "main", "one").status == 200
            assert _chat(gateway, "main", "two").status == 200
        finally:
            gateway.stop()
        assert turns[0] is turns[1] and turns[2] is not turns[1], "connections were not reused"


def test_connections_to_an_expert_are_reused():
    with Expert(lambda conn, head, body: send_reply(conn, GOOD)) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for _ in range(20):
                assert _chat(gateway, "main", "hi").status == 200
        finally:
            gateway.stop()
        assert expert.connections == 1, f"{expert.connections} connections for 20 requests"


def test_compressed_replies_are_not_asked_for():
    """Whatever encoding comes, its bytes and its header reach the client together."""
    import gzip
    packed = gzip.compress(GOOD)
    asked = []

    def handle(conn, head, body):
        asked.append(head.get("accept-encoding", "identity"))
        conn.send(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
        return True

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\npolicies: {{attempts: 1}}\n")
        try:
            reply = exchange(gateway.port, "POST", "/v1/chat/completions",
                             [("Accept-Encoding", "gzip")], _body("main", "hi"))
        finally:
            gateway.stop()
    assert asked == ["identity"], f"asked for {asked}"
    if reply.status == 200:
        assert reply.head.get("content-encoding") == "gzip" and reply.body() == packed, \
            f"{reply.head.raw!r} {reply.body()[:100]!r}"
    else:
        assert reply.status == 502, reply.status


def test_self_signed_expert_is_not_trusted():
    folder = tempfile.TemporaryDirectory(prefix="expertd-tls-")
    cert, key = os.path.join(folder.name, "c.pem"), os.path.join(folder.name, "k.pem")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                        "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"no certificate to be had: {error}") from None
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def handle(conn, head, body):
        seen.append(head)
        return send_reply(conn, GOOD)

    with Expert(handle, tls=context) as expert:
        gateway = Gateway("experts:\n  main: {url: '"
                          f"{expert.url.replace('http:', 'https:')}', key: sk-secret-1, "
                          "deadlines: {connect_ms: 60000}}\n"
                          "policies: {attempts: 1}\n")
        try:
            reply = _chat(gateway, "main", "hi")
            assert reply.status == 502, reply.status
            assert b"sk-secret" not in reply.body()
        finally:
            gateway.stop()
    folder.cleanup()
    assert not seen, "the request went to somebody who cannot prove who he is"


def test_faults_of_kernels_fall_over():
    """The fault kernel's script, and the next expert behind it."""
    gateway = Gateway(
        "experts:\n"
        "  bad: {kernel: {fault: [503, 429@retry=1, reset]}}\n"
        "  cuts: {kernel: {fault: [cut@2]}}\n"
        "  spare: {kernel: {constant: {text: spare}}}\n"
        "aliases: {team: [bad, spare]}\n")
    try:
        for _ in range(3):
            reply = _chat(gateway, "team", "hi")
            said = json.loads(reply.body())["choices"][0]["message"]["content"]
            assert said == "spare", reply.body()
        reply = _chat(gateway, "cuts", "hi")
        assert reply.status == 502, f"half an answer: {reply.status} {reply.body()!r}"
        conn = Conn.open(gateway.port)
        body = _body("cuts", "hi", stream=True)
        conn.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                  b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        text = conn.rest()
        conn.close()
        assert b'"error"' in text and b"[DONE]" not in text, text
    finally:
        gateway.stop()


def test_slow_kernels_hold_nobody_up():
    """One worker: while kernels are busy, a remote expert and the health page answer."""
    with Expert(lambda conn, head, body: send_reply(conn, GOOD)) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n"
                          "  slow: {kernel: {echo: {delay_ms: 3000}}}\n")
        slow = []
        threads = [threading.Thread(target=lambda: slow.append(_chat(gateway, "slow", "hi").status))
                   for _ in range(4)]
        try:
            for thread in threads:
                thread.start()
            while b"\nexpertd_requests_in_flight 0\n" in exchange(gateway.admin, "GET", "/metrics").body():
                assert not slow, "they were done before anybody looked"
            served = 0
            while 200 not in slow and any(thread.is_alive() for thread in threads):
                assert _chat(gateway, "main", "hi").status == 200
                assert exchange(gateway.port, "GET", "/healthz").status == 200
                served += 1
            assert served >= 3, f"{served} were served while kernels were busy"
            for thread in threads:
                thread.join()
            assert all(status in (200, 503) for status in slow) and 200 in slow, slow
        finally:
            gateway.stop()


def test_leaving_client_frees_a_kernel_thread():
    """Kernels stop when nobody listens: many abandoned ones do not block the next."""
    gateway = Gateway("experts:\n  slow: {kernel: {echo: {delay_ms: 60000}}}\n"
                      "  quick: {kernel: {constant: {text: q}}}\n")
    try:
        for _ in range(20):
            conn = Conn.open(gateway.port)
            body = _body("slow", "hi")
            conn.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: "
                      b"application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            conn.close()
        assert _chat(gateway, "quick", "hi").status == 200
    finally:
        gateway.stop()


def test_stream_of_an_expert_with_a_fault_in_its_head():
    """Faults before the first token of a stream go to the next expert, unseen."""
    faults = [
        b"", b"HTTP/1.1 200 OK\r\nContent-", b"garbage\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"zz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
    ]
    pending = list(faults)
    events = [token_event("whole"), token_event(None, "stop"), DONE]

    def bad(conn, head, body):
        conn.send(pending.pop(0))
        return False

    def good(conn, head, body):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(events))
        return False

    with Expert(bad) as first, Expert(good) as second:
        gateway = Gateway(f"experts:\n  bad: {{url: {first.url}}}\n  good: {{url: {second.url}}}\n"
                          "aliases: {team: [bad, good]}\n")
        try:
            for fault in faults:
                reply = _chat(gateway, "team", "hi", stream=True)
                assert reply.status == 200 and reply.body() == b"".join(events), \
                    f"{fault!r}: {reply.status} {reply.body()!r}"
                assert reply.head.get("x-expertd-expert") == "good", fault
        finally:
            gateway.stop()
