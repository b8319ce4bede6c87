"""Nothing that a client or an expert writes becomes a header of the other side: names and values with
line ends, headers of a connection, headers that nobody asked for."""
import json
import subprocess
import tempfile

from expert import Expert, completion, send_reply
from gateway import BINARY, Gateway
from wire import Conn, Cut, Reply, exchange, request_bytes

EVIL = "x-evil"


def _config(expert, more=""):
    return f"experts:\n  main: {{url: {expert.url}{more}}}\n"


def _chat(port, model="main", headers=()):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    return exchange(port, "POST", "/v1/chat/completions", headers, body)


def test_headers_of_experts_stay_there():
    lines = [b"Set-Cookie: x-evil=1", b"x-evil: 1", b"Location: /x-evil", b"Server: x-evil",
             b"x-expertd-expert: x-evil", b"x-request-id: x-evil", b"Connection: x-evil",
             b"Trailer: x-evil", b"Keep-Alive: x-evil", b"Upgrade: x-evil", b"Alt-Svc: x-evil",
             b"Access-Control-Allow-Origin: x-evil", b"Retry-After: 5\rx-evil: 1",
             b"Retry-After: 5, x-evil", b"Content-Type: application/json\rx-evil: 1",
             b"Content-Type: application/json\x00x-evil: 1", b"Retry-After: 5\r\n x-evil: 1",
             b"Content-Language: x-evil", b"Strict-Transport-Security: x-evil"]
    turn = iter(lines * 2)

    def answer(conn, head, body):
        data = completion("fine")
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + next(turn) +
                  b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(data), data))
        return False

    with Expert(answer) as expert:
        gateway = Gateway(_config(expert))
        try:
            for line in lines:
                reply = _chat(gateway.port)
                assert reply.status in (200, 502), (line, reply.status)
                names = [name.lower() for name, _ in reply.head.headers]
                assert EVIL not in names and "set-cookie" not in names, (line, reply.head.headers)
                for name, value in reply.head.headers:
                    if name.lower() != "content-type":  # the one that is the expert's
                        assert EVIL not in value, (line, reply.head.headers)
                assert len(names) == len(set(names)), (line, names)
        finally:
            gateway.stop()
    assert not expert.errors, expert.errors


def test_what_clients_write_adds_no_header():
    seen = []

    def answer(conn, head, body):
        seen.append(head)
        return send_reply(conn, completion("fine"))

    with Expert(answer) as expert:
        gateway = Gateway(_config(expert, ", forward_headers: [traceparent, x-evil-too]"))
        try:
            for model in ("main\r\nx-evil: 1", "category/a\r\nx-evil: 1", "auto\nx-evil: 1",
                          "main\x00", "\r\n\r\nHTTP/1.1 200 OK"):
                reply = _chat(gateway.port, model)
                assert reply.status == 404, (model, reply.status)
                assert not reply.head.all(EVIL) and b"HTTP/1.1 200" not in reply.head.raw
            for name in ("traceparent", "x-request-id", "x-expertd-expert", "x-expertd-session"):
                for value in ("a\rx-evil: 1", "a\nx-evil: 1", "a\x00b", "a\r\n x-evil: 1", "a\x7fb"):
                    conn = Conn.open(gateway.port)
                    conn.send(request_bytes("POST", "/v1/chat/completions", [(name, value)], b"{}"))
                    try:
                        reply = Reply(conn)
                        assert reply.status == 400 and not reply.head.all(EVIL), (name, value)
                    except Cut:
                        pass  # closed without an answer: refused before it was a request
                    conn.close()
            assert _chat(gateway.port, headers=[("traceparent", "good")]).status == 200
        finally:
            gateway.stop()
    assert len(seen) == 1 and seen[0].get("traceparent") == "good" and not seen[0].all(EVIL)


def test_headers_of_a_connection_end_here():
    seen = []

    def answer(conn, head, body):
        seen.append(head)
        return send_reply(conn, completion("fine"))

    hop_by_hop = [("Connection", "keep-alive, x-evil"), ("x-evil", "1"), ("TE", "trailers"),
                  ("Upgrade", "websocket"), ("Keep-Alive", "timeout=5"),
                  ("Proxy-Authorization", "Basic x"), ("Cookie", "a=b"), ("Forwarded", "for=1.2.3.4"),
                  ("X-Forwarded-For", "1.2.3.4"), ("Accept-Encoding", "gzip"), ("Trailer", "x-evil")]
    with Expert(answer) as expert:
        gateway = Gateway(_config(expert))
        try:
            assert _chat(gateway.port, headers=hop_by_hop).status == 200
        finally:
            gateway.stop()
    names = {name.lower() for name, _ in seen[0].headers}
    assert names <= {"host", "user-agent", "accept", "content-type", "content-length"}, names


def test_a_configuration_cannot_inject_either():
    cases = [("experts:\n  main: {url: http://127.0.0.1:1, forward_headers: [%s]}\n", [
        "authorization", "Host", "content-length", "transfer-encoding", "proxy-connection",
        "x-api-key", "cookie", '"a b"', '"a\\r\\nb"', '""', '"a:"', "connection"]),
             ("experts:\n  main: {url: http://127.0.0.1:1, key: %s}\n", [
                 '"sk\\r\\nx-evil: 1"', '"sk\\nx"', '"sk\\x7f"'])]
    with tempfile.TemporaryDirectory() as folder:
        for form, values in cases:
            for value in values:
                path = folder + "/expertd.yaml"
                with open(path, "w", encoding="utf-8") as f:
                    f.write(form % value)
                done = subprocess.run([BINARY, "check", "-c", path], capture_output=True, text=True)
                assert done.returncode == 1, (value, done.stdout + done.stderr)
