"""Where keys are not: in no log, metric, reply, error or command line, and once a request is over not in
the process's memory either. Every key of these tests is a marker that is searched for."""
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from certs import Authority
from expert import Expert, completion, send_reply
from gateway import BINARY, Gateway
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

CLIENT, WRONG, ADMIN = "sk-mark-client-7261", "sk-mark-wrong-9034", "sk-mark-admin-1187"
EXPERT, FILE, ENV = "sk-mark-expert-5529", "sk-mark-file-6610", "sk-mark-env-4402"
REFUSING = socket.socket()  # bound and not listening: the port stays ours, and refuses
REFUSING.bind(("127.0.0.1", 0))
MARKS = (CLIENT, WRONG, ADMIN, EXPERT, FILE, ENV)


def _digest(key):
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def _config(experts, key_file, more=""):
    urls = {name: expert.url for name, expert in experts.items()}
    dead = REFUSING.getsockname()[1]
    return ("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, "
            f"admin_key: '{_digest(ADMIN)}'{more}}}\n"
            f"tenants:\n  - {{name: alice, keys: ['{_digest(CLIENT)}']}}\n"
            f"experts:\n  good: {{url: '{urls['good']}', key: '{EXPERT}'}}\n"
            f"  angry: {{url: '{urls['angry']}', key_file: {key_file}}}\n"
            f"  dead: {{url: 'http://127.0.0.1:{dead}/v1', key: '${{EXPERT_KEY}}'}}\n"
            f"  far: {{url: 'https://localhost:{experts['good'].port}/v1', key: '{EXPERT}'}}\n")


def _ask(port, path="/v1/chat/completions", key=None, model="good", context=None, name=None):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = [] if key is None else [(name or "Authorization", key if name else f"Bearer {key}")]
    conn = Conn.open(port)
    if context is not None:
        conn.sock = context.wrap_socket(conn.sock, server_hostname="localhost")
    conn.send(request_bytes("GET" if body is None else "POST", path, headers, body))
    reply = Reply(conn)
    said = reply.head.raw.decode("latin-1") + reply.body().decode()
    conn.close()
    return reply.status, said


def _good(conn, head, body):
    return send_reply(conn, completion("fine"))


def _angry(conn, head, body):
    """As some providers do: the refused key is in the answer."""
    seen = head.get("authorization")
    assert seen == f"Bearer {FILE}", seen
    error = json.dumps({"error": {"message": f"Incorrect API key provided: {seen}"}}).encode()
    return send_reply(conn, error, status=401)


def _memory(pid):
    """All that the process could dump."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if line.split()[1].startswith("rw") and "[v" not in line:
                yield from _blocks(mem, start, end)


def _blocks(mem, start, end, size=1 << 24, overlap=256):
    """What can be read of a mapping; those of sanitizers are larger than the machine, and mostly holes."""
    if end - start > 1 << 32:
        return
    for at in range(start, end, size):
        try:
            mem.seek(at)
            yield mem.read(min(size + overlap, end - at))
        except OSError:
            pass


def _find(pid, mark):
    return any(mark.encode() in block for block in _memory(pid))


def test_no_key_is_said():
    said = []
    with tempfile.TemporaryDirectory() as folder, Expert(_good) as good, Expert(_angry) as angry:
        key_file = _write(folder + "/key", FILE + "\n")
        experts = {"good": good, "angry": angry}
        gateway = Gateway(_config(experts, key_file), env={"EXPERT_KEY": ENV})
        try:
            for model, status in (("good", 200), ("angry", 502), ("dead", 502), ("far", 504)):
                got, text = _ask(gateway.port, key=CLIENT, model=model)
                assert got == status, (model, text)
                said.append(text)
            for name in (None, "x-api-key", "api-key"):
                got, text = _ask(gateway.port, key=WRONG, name=name)
                assert got == 401, text
                said.append(text)
            for path in ("/metrics", "/admin/config", "/readyz", "/admin/none", "/healthz"):
                for key in (ADMIN, WRONG, None):
                    headers = [] if key is None else [("Authorization", f"Bearer {key}")]
                    reply = exchange(gateway.admin, "GET", path, headers)
                    said += [reply.head.raw.decode("latin-1"), reply.body().decode()]
            for mistake in (f"key: '{EXPERT}', key_fil: x", f"key: ['{EXPERT}']",
                            f'key: "{EXPERT}\\x01"', f"key: '{EXPERT}', key_file: {key_file}",
                            f"contxt: '{EXPERT}'"):
                gateway.write_config(_config(experts, key_file) +
                                     f"  new: {{url: 'http://127.0.0.1:1', {mistake}}}\n")
                before = gateway.output().count("reload failed")
                gateway.signal(signal.SIGHUP)
                gateway.wait_output(f"(?s)(reload failed.*){{{before + 1}}}")
            os.chmod(key_file, 0o644)
            gateway.write_config(_config(experts, key_file))
            gateway.signal(signal.SIGHUP)
            gateway.wait_output("is a secret with mode 0644")
            with open(f"/proc/{gateway.process.pid}/cmdline", encoding="utf-8") as f:
                said.append(f.read())
        finally:
            gateway.stop()
        said.append(gateway.output())
    assert not angry.errors, angry.errors
    assert "reload failed" in said[-1] and "tenant" in said[-1], "the log is not there"
    for mark in MARKS:
        leaks = [text for text in said if mark in text]
        assert not leaks, (mark, leaks[0][-600:])


CHAT = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
KEYS = f"Authorization: Bearer {CLIENT}\r\nx-api-key: {WRONG}\r\n"
ODD = [  # refused, or, the first one, broken off before its body
    CHAT + KEYS + "Content-Length: 200\r\nExpect: 100-continue\r\n\r\n",
    CHAT + KEYS + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    CHAT + KEYS + "X y: 1\r\n\r\n",
    CHAT + KEYS + "Content-Length: 70002\r\n\r\n" + "x" * 70002,
    CHAT + "Transfer-Encoding: chunked\r\n" + KEYS + "\r\n2\r\n{}\r\n0\r\n\r\n",
]


def _send_odd(port, context, request):
    conn = Conn.open(port)
    if context is not None:
        conn.sock = context.wrap_socket(conn.sock, server_hostname="localhost")
    conn.send(request.encode())
    assert conn.until(b"\r\n\r\n")[:10] in (b"HTTP/1.1 1", b"HTTP/1.1 4")
    conn.close()


def _stays(gateway):
    """The keys that do not go. Nothing is sent meanwhile that could overwrite them by chance."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = [mark for mark in (CLIENT, WRONG) if _find(gateway.process.pid, mark)]
        if not found or time.monotonic() > deadline:
            return found


def test_keys_of_clients_do_not_stay_in_memory():
    if os.geteuid() != 0:
        print("SKIPPED: only root may look into a process that hides its memory")
        return
    with tempfile.TemporaryDirectory() as folder, Expert(_good) as good, Expert(_angry) as angry:
        key_file = _write(folder + "/key", FILE)
        authority = Authority(folder)
        cert, key = authority.issue("server")
        context = ssl.create_default_context(cafile=authority.cert)
        experts = {"good": good, "angry": angry}
        for more, tls in (("", None), (f", tls: {{cert: {cert}, key: {key}}}", context)):
            gateway = Gateway(_config(experts, key_file, more), env={"EXPERT_KEY": ENV})
            try:
                for _ in range(3):
                    assert _ask(gateway.port, key=CLIENT, context=tls)[0] == 200
                    assert _ask(gateway.port, key=WRONG, context=tls)[0] == 401
                    assert _ask(gateway.port, key=WRONG, name="x-api-key", context=tls)[0] == 401
                # it is needed there
                assert _find(gateway.process.pid, EXPERT), "the search finds nothing"
                if "built with sanitizers" in gateway.output():  # they keep what was freed
                    continue
                assert not _stays(gateway), more
                for request in ODD:
                    for _ in range(3):
                        _send_odd(gateway.port, tls, request)
                    assert not _stays(gateway), (more, request[:300])
            finally:
                gateway.stop()


def test_the_key_of_an_old_key_file_goes_with_it():
    if os.geteuid() != 0:
        print("SKIPPED: only root may look into a process that hides its memory")
        return
    with tempfile.TemporaryDirectory() as folder, Expert(_good) as good:
        key_file = _write(folder + "/key", FILE)
        experts = {"good": good, "angry": good}
        gateway = Gateway(_config(experts, key_file), env={"EXPERT_KEY": ENV})
        try:
            assert _ask(gateway.port, key=CLIENT, model="angry")[0] == 200
            assert _find(gateway.process.pid, FILE)
            _write(key_file, "sk-another")
            gateway.signal(signal.SIGHUP)
            gateway.wait_output("reloaded, generation 2")
            assert _ask(gateway.port, key=CLIENT, model="angry")[0] == 200  # with the new one
            if "built with sanitizers" not in gateway.output():
                deadline = time.monotonic() + PATIENCE_S
                while _find(gateway.process.pid, FILE):
                    assert time.monotonic() < deadline, "it stays"
        finally:
            gateway.stop()


def test_no_command_takes_a_key_as_an_argument():
    done = subprocess.run([BINARY, "--help"], capture_output=True, text=True)
    commands = re.findall(r"^  ([a-z-]+) ", done.stdout, re.M)
    assert len(commands) > 5, done.stdout
    for command in commands:
        text = subprocess.run([BINARY, command, "--help"], capture_output=True, text=True).stdout
        if command == "ledger":
            text = text.replace("--key", "")  # takes the name of one
        assert not re.search(r"--[a-z-]*(key|secret|token|password)\b(?!s)", text), (command, text)
