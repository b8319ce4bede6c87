"""HTTPS towards experts: who is believed, who is not, and what the log says of it."""
import json
import os
import re
import ssl
import subprocess
import tempfile

from certs import Authority
from expert import Expert, completion, send_reply
from gateway import BINARY, Gateway
from wire import exchange

KEY = "sk-secret-upstream-tls"


def _answer(conn, head, body):
    _answer.host = head.get("host")
    assert head.get("authorization") == f"Bearer {KEY}"
    return send_reply(conn, completion("fine"))


def _context(pair, believed=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if believed is not None:
        context.load_verify_locations(believed.cert)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _config(port, tls, host="localhost"):
    block = f", tls: {{{tls}}}" if tls else ""
    return (f"experts:\n  main: {{url: 'https://{host}:{port}/v1', key: {KEY}{block}, "
            "deadlines: {connect_ms: 60000}}\n")


def _status(context, tls, host="localhost"):
    """What a client gets, and what the gateway says."""
    with Expert(_answer, context) as expert:
        gateway = Gateway(_config(expert.port, tls, host))
        try:
            body = json.dumps({"model": "main", "messages": [{"role": "user", "content": "hi"}]})
            reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body.encode())
            text = reply.body().decode()
        finally:
            gateway.stop()
    assert not expert.errors, expert.errors
    said = gateway.output() + text + repr(reply.head.headers)
    assert KEY not in said and "PRIVATE" not in said
    return reply.status, said


def test_whom_to_believe():
    with tempfile.TemporaryDirectory() as folder:
        ours, other = Authority(folder, "ours"), Authority(folder, "other")
        good = ours.issue("good")
        far = ours.issue("far", names=("DNS:far.example",))
        past = ours.issue("past", days=-1)
        refused = "connect_failed: "
        cases = [
            # certificate, tls block, status, what the log says
            (good, f"ca: {ours.cert}", 200, ""),
            (far, f"ca: {ours.cert}", 502, refused + ".*name.*localhost"),
            (far, f"ca: {ours.cert}, server_name: far.example", 200, ""),
            (good, f"ca: {ours.cert}, server_name: far.example", 502, refused + ".*far.example"),
            (past, f"ca: {ours.cert}", 502, refused + ".*expired"),
            (good, f"ca: {other.cert}", 502, refused + ".*(issuer|self.signed)"),
            (good, "", 502, refused + ".*(issuer|self.signed)"),
        ]
        for pair, tls, status, why in cases:
            got, said = _status(_context(pair), tls)
            assert got == status, (pair, tls, said)
            assert re.search(why, said), (why, said)
        assert _answer.host.startswith("localhost:"), _answer.host


def test_a_certificate_of_ones_own_is_shown():
    with tempfile.TemporaryDirectory() as folder:
        ours, clients = Authority(folder, "ours"), Authority(folder, "clients")
        context = _context(ours.issue("good"), clients)
        cert, key = clients.issue("gateway")
        stranger, stranger_key = ours.issue("stranger")
        assert _status(context, f"ca: {ours.cert}, cert: {cert}, key: {key}")[0] == 200
        assert _status(context, f"ca: {ours.cert}, cert: {stranger}, key: {stranger_key}")[0] == 502
        assert _status(context, f"ca: {ours.cert}")[0] == 502


def test_old_versions_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        ours = Authority(folder, "ours")
        context = _context(ours.issue("good"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        status, said = _status(context, f"ca: {ours.cert}")
        assert status == 502 and "connect_failed: " in said and "version" in said, said


def test_files_are_checked_when_they_load():
    with tempfile.TemporaryDirectory() as folder:
        ours = Authority(folder, "ours")
        cert, key = ours.issue("good")
        other = ours.issue("other")[1]
        path = os.path.join(folder, "expertd.yaml")
        cases = [(f"ca: {ours.cert}, cert: {cert}, key: {key}", "https", 0, ""),
                 ("ca: none.pem", "https", 1, "none.pem\" No such file"),
                 (f"ca: {path}", "https", 1, "cannot be used"),
                 (f"cert: {cert}", "https", 1, "go together"),
                 (f"cert: {cert}, key: {other}", "https", 1, "is not the key"),
                 ("server_name: 'a/b'", "https", 1, "is no host name"),
                 (f"ca: {ours.cert}", "http", 1, "needs a url with https://")]
        for tls, scheme, code, why in cases:
            with open(path, "w", encoding="utf-8") as f:
                f.write(_config(443, tls).replace("https://", scheme + "://"))
            done = subprocess.run([BINARY, "check", "-c", path], capture_output=True, text=True)
            said = done.stdout + done.stderr
            assert done.returncode == code and why in said, (tls, said)
