"""HTTPS for clients: what plain HTTP does, certificates renewed by a reload, pairs that cannot work."""
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

from certs import Authority
from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from gateway import BINARY, Gateway
from wire import PATIENCE_S, Conn, Reply, request_bytes


def _context(authority, version=None):
    context = ssl.create_default_context(cafile=authority.cert)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def _connect(port, context, name="localhost"):
    conn = Conn.open(port)
    conn.sock = context.wrap_socket(conn.sock, server_hostname=name)
    return conn


def _ask(conn, text="hello", **more):
    body = json.dumps({"model": "main", "messages": [{"role": "user", "content": text}], **more})
    conn.send(request_bytes("POST", "/v1/chat/completions", [], body.encode()))
    return Reply(conn)


def _answer(conn, head, body):
    request = json.loads(body)
    text = request["messages"][-1]["content"]
    if request.get("stream"):
        words = [token_event(word) for word in text.split(" ")]
        return send_stream(conn, words + [token_event(None, "stop"), DONE])
    return send_reply(conn, completion(text))


def _config(expert, cert, key, more=""):
    return ("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
            f"tls: {{cert: {cert}, key: {key}{more}}}}}\n"
            f"experts:\n  main: {{url: {expert.url}}}\n")


class _Served:
    """A gateway with a certificate of a fresh authority."""

    def __init__(self, handle=_answer, more=""):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-tls-")
        self.authority = Authority(self.folder.name)
        self.pair = self.authority.issue("server")
        self.expert = Expert(handle)
        self.gateway = Gateway(_config(self.expert, *self.pair, more))
        self.port = self.gateway.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.gateway.stop()
        finally:
            self.expert.close()
            self.folder.cleanup()


def test_answers_and_streams_on_one_connection():
    with _Served() as served:
        conn = _connect(served.port, _context(served.authority))
        assert conn.sock.selected_alpn_protocol() == "http/1.1"
        for i in range(3):
            reply = _ask(conn, f"number {i}")
            assert json.loads(reply.body())["choices"][0]["message"]["content"] == f"number {i}"
            reply = _ask(conn, "a b c", stream=True)
            assert reply.body().endswith(DONE), reply.body()
        conn.close()


def test_long_bodies_and_streams_are_whole():
    text = " ".join(f"word{i}" for i in range(60000))  # many TLS records, both ways
    with _Served() as served:
        conn = _connect(served.port, _context(served.authority))
        reply = _ask(conn, text)
        assert json.loads(reply.body())["choices"][0]["message"]["content"] == text
        reply = _ask(conn, text[:200000], stream=True)
        got = [json.loads(line[6:]) for line in reply.body().split(b"\n\n")[:-2]]
        assert "".join(e["choices"][0]["delta"].get("content") or "" for e in got) == \
            text[:200000].replace(" ", "")
        conn.close()


def test_requests_sent_together_are_answered_in_order():
    with _Served() as served:
        conn = _connect(served.port, _context(served.authority))
        requests = b""
        for i in range(5):
            body = json.dumps({"model": "main", "messages": [{"role": "user", "content": f"n{i}"}]})
            requests += request_bytes("POST", "/v1/chat/completions", [], body.encode())
        conn.send(requests)  # one record: the rest waits inside the TLS library
        for i in range(5):
            said = json.loads(Reply(conn).body())["choices"][0]["message"]["content"]
            assert said == f"n{i}", said
        conn.close()


def test_many_clients_at_once():
    failures = []
    with _Served() as served:
        context = _context(served.authority)

        def client(number):
            try:
                conn = _connect(served.port, context)
                for i in range(5):
                    reply = _ask(conn, f"{number} {i}", stream=i % 2 == 0)
                    assert reply.status == 200
                    reply.body()
                conn.close()
            except Exception as error:  # reported below, from the main thread
                failures.append(repr(error))

        threads = [threading.Thread(target=client, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures, failures[:3]


def test_a_client_that_leaves_cancels_its_call():
    gone = threading.Event()

    def endless(conn, head, body):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        event = token_event("more")
        conn.send(b"%x\r\n%s\r\n" % (len(event), event))
        conn.sock.settimeout(PATIENCE_S)
        if conn.sock.recv(1) == b"":
            gone.set()
        return False

    with _Served(endless) as served:
        conn = _connect(served.port, _context(served.authority))
        reply = _ask(conn, "go on", stream=True)
        assert reply.event() is not None
        conn.sock.close()
        assert gone.wait(PATIENCE_S), "the expert went on for nobody"


def test_old_versions_and_plain_talk_are_refused():
    with _Served() as served, _Served(more=", min_version: tls1.3") as strict:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            conn = _connect(served.port, _context(served.authority, version))
            assert _ask(conn).status == 200
            conn.close()
        old = _context(served.authority, ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        for port, context in ((served.port, old),
                              (strict.port, _context(strict.authority, ssl.TLSVersion.TLSv1_2))):
            try:
                _connect(port, context)
                raise AssertionError("an old version was spoken")
            except ssl.SSLError:
                pass
        conn = Conn.open(served.port)
        conn.send(request_bytes("GET", "/healthz"))
        assert not conn.rest().startswith(b"HTTP/"), "spoke plainly"
        conn.close()


def _serial(port, context):
    conn = _connect(port, context)
    try:
        return conn.sock.getpeercert()["subject"]
    finally:
        conn.close()


def test_a_reload_brings_a_new_certificate_to_new_connections():
    with _Served() as served:
        context = _context(served.authority)
        old = _connect(served.port, context)
        _ask(old).body()
        before = _serial(served.port, context)
        for source, target in zip(served.authority.issue("renewed"), served.pair):
            os.replace(source, target)
        served.gateway.signal(signal.SIGHUP)
        served.gateway.wait_output("reloaded, generation")
        assert before != _serial(served.port, context) == ((("commonName", "renewed"),),)
        assert _ask(old).status == 200, "a reload closed a connection"
        old.close()


def test_a_reload_with_a_pair_that_does_not_fit_changes_nothing():
    with _Served() as served:
        context = _context(served.authority)
        before = _serial(served.port, context)
        cert, _ = served.authority.issue("other")
        os.replace(cert, served.pair[0])
        served.gateway.signal(signal.SIGHUP)
        said = served.gateway.wait_output(r"expertd.yaml:1:\d+: .* is not the key of .*").group(0)
        assert served.pair[1] in said, said
        served.gateway.wait_output("reload failed")
        assert _serial(served.port, context) == before


def test_pairs_that_cannot_work_do_not_load():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        authority = Authority(folder)
        cert, key = authority.issue("server")
        other = authority.issue("other")[1]
        past = authority.issue("past", days=-1)
        readable = os.path.join(folder, "readable.key")
        with open(key, encoding="utf-8") as source, open(readable, "w", encoding="utf-8") as f:
            secret = source.read()
            f.write(secret)
        os.chmod(readable, 0o644)
        broken = os.path.join(folder, "broken.key")
        with open(broken, "w", encoding="utf-8") as f:
            f.write(secret[:100])
        os.chmod(broken, 0o600)
        path = os.path.join(folder, "expertd.yaml")
        cases = [(cert, key, 0, ""), (cert, other, 1, "is not the key of the certificate"),
                 (cert, readable, 1, "mode 0644: others must not reach it"),
                 (cert, broken, 1, "cannot be used"), (path, key, 1, "cannot be used"),
                 (folder + "/none.pem", key, 1, "No such file"), (*past, 0, "is over")]
        for case_cert, case_key, code, why in cases:
            with open(path, "w", encoding="utf-8") as f:
                f.write(_config(expert, case_cert, case_key))
            done = subprocess.run([BINARY, "check", "-c", path], capture_output=True, text=True)
            said = done.stdout + done.stderr
            assert done.returncode == code and why in said, (case_cert, case_key, said)
            assert secret.splitlines()[1] not in said


def test_slow_handshakes_and_bodies_end():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        authority = Authority(folder)
        cert, key = authority.issue("server")
        def config(limits):
            return _config(expert, cert, key).replace("workers: 1", f"workers: 1, limits: {{{limits}}}")

        gateway = Gateway(config("head_ms: 300, body_ms: 600000, idle_ms: 600000"))
        try:
            silent = Conn.open(gateway.port)  # no handshake
            silent.wait_gone()
        finally:
            gateway.stop()
        gateway = Gateway(config("head_ms: 600000, body_ms: 200, idle_ms: 600000"))
        try:
            slow = _connect(gateway.port, _context(authority))
            slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
            reply = Reply(slow)
            assert reply.status == 408, reply.head.first
            assert b"body_timeout" in reply.body()
        finally:
            gateway.stop()


def test_draining_finishes_requests():
    asked, go_on = threading.Event(), threading.Event()

    def later(conn, head, body):
        asked.set()
        go_on.wait(PATIENCE_S)
        return _answer(conn, head, body)

    with _Served(later) as served:
        conn = _connect(served.port, _context(served.authority))
        idle = _connect(served.port, _context(served.authority))
        body = json.dumps({"model": "main", "messages": [{"role": "user", "content": "x"}]})
        conn.send(request_bytes("POST", "/v1/chat/completions", [], body.encode()))
        assert asked.wait(PATIENCE_S)
        served.gateway.signal(signal.SIGTERM)
        served.gateway.wait_output("draining")
        go_on.set()
        assert Reply(conn).status == 200
        idle.close()
        conn.close()


def test_admin_speaks_tls_of_its_own():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        authority = Authority(folder)
        cert, key = authority.issue("admin")
        gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
                          f"admin_tls: {{cert: {cert}, key: {key}}}}}\n"
                          f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            conn = _connect(gateway.admin, _context(authority))
            conn.send(request_bytes("GET", "/metrics"))
            assert b"expertd_" in Reply(conn).body()
            conn.close()
            with socket.create_connection(("127.0.0.1", gateway.port)) as plain:
                plain.sendall(request_bytes("GET", "/healthz"))
                assert plain.recv(8) == b"HTTP/1.1"
        finally:
            gateway.stop()
