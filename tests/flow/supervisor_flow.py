"""What a supervisor such as systemd hears and hands over: readiness, reloads, the watchdog, and
sockets that outlive a process, so that a restart refuses no connection."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from expert import DONE, Expert, completion, send_reply, token_event
from gateway import ROOT, SERVE, Gateway
from wire import PATIENCE_S, exchange, request_bytes, Conn, Reply


def _answer(conn, head, body):
    return send_reply(conn, completion("fine"))


def _answer_streams_too(conn, head, body):
    if b'"stream"' not in body:
        return _answer(conn, head, body)
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n")
    for event in [token_event("a")] * 20 + [token_event(None, "stop"), DONE]:
        conn.send(b"%x\r\n%s\r\n" % (len(event), event))
    conn.send(b"0\r\n\r\n")
    return True


def _config(expert, listen="127.0.0.1:0", workers=2):
    return (f"server: {{listen: '{listen}', admin: 127.0.0.1:0, workers: {workers}}}\n"
            f"experts:\n  main: {{url: {expert.url}}}\n")


class _Supervisor:
    """A socket that messages come to."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE_S)

    def hear(self):
        return self.socket.recv(4096).decode()

    def hear_until(self, word):
        while True:
            said = self.hear()
            if word in said.splitlines():
                return said


def test_readiness_reloads_and_the_end_are_told():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        supervisor = _Supervisor(folder)
        gateway = Gateway(_config(expert), env={"NOTIFY_SOCKET": supervisor.path})
        try:
            assert supervisor.hear() == "READY=1\nSTATUS=serving"
            gateway.signal(signal.SIGHUP)
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", supervisor.hear())
            assert supervisor.hear() == "STATUS=serving"
            assert supervisor.hear() == "READY=1"
            gateway.write_config("nonsense: 1\n")
            gateway.signal(signal.SIGHUP)
            assert supervisor.hear().startswith("RELOADING=1\n")
            assert "failed" in supervisor.hear()
            assert supervisor.hear() == "READY=1"
        finally:
            gateway.stop()
        assert supervisor.hear().startswith("STOPPING=1\n")


def test_the_watchdog_is_patted_while_workers_take_turns():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        supervisor = _Supervisor(folder)
        gateway = Gateway(_config(expert), env={"NOTIFY_SOCKET": supervisor.path,
                                                "WATCHDOG_USEC": "60000"})
        try:
            for _ in range(5):
                supervisor.hear_until("WATCHDOG=1")
            assert exchange(gateway.port, "GET", "/healthz").status == 200
        finally:
            gateway.stop()


# As a supervisor does: the variables name the process that they are for.
_HAND_OVER = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])"""


class _Generation:
    """A gateway that is handed a listening socket as descriptor 3."""

    def __init__(self, config_path, listener, names="clients"):
        number = listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HAND_OVER, str(number), names, *SERVE, "-c", config_path],
            pass_fds=[number], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = ""

    def wait(self, pattern):
        for line in self.process.stderr:
            self.said += line
            if re.search(pattern, line):
                return line
        raise AssertionError(self.said)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.said += self.process.stderr.read()
        return self.process.wait(PATIENCE_S)


def test_a_restart_refuses_no_connection():
    asks, failures, stop = [], [], threading.Event()
    with tempfile.TemporaryDirectory() as folder, Expert(_answer_streams_too) as expert, \
            socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]
        path = os.path.join(folder, "expertd.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(_config(expert, f"127.0.0.1:{port}"))
        body = json.dumps({"model": "main", "messages": [{"role": "user", "content": "x"}]}).encode()
        stream_body = body.replace(b'{"model"', b'{"stream": true, "model"')

        def client():
            while not stop.is_set():
                try:
                    stream = exchange(port, "POST", "/v1/chat/completions", [], stream_body)
                    if not stream.body().endswith(DONE):
                        failures.append(f"cut: {stream.body()[-100:]!r}")
                    asks.append(exchange(port, "POST", "/v1/chat/completions", [], body).status)
                except Exception as error:  # reported below, from the main thread
                    failures.append(repr(error))

        generation = _Generation(path, listener)
        generation.wait("admin on")
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                assert generation.end() == 0, generation.said
                waiting = Conn.open(port)  # nobody is there; it is not refused
                waiting.send(request_bytes("POST", "/v1/chat/completions", [], body))
                generation = _Generation(path, listener)
                generation.wait("admin on")
                assert Reply(waiting).status == 200
                waiting.close()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            assert generation.end() == 0, generation.said
    assert not failures and set(asks) == {200}, (failures[:3], len(asks))


def test_what_listens_elsewhere_is_not_taken():
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert, \
            socket.create_server(("0.0.0.0", 0)) as everywhere, \
            socket.create_server(("127.0.0.1", 0)) as here:
        path = os.path.join(folder, "expertd.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(_config(expert))
        for listener, names in ((everywhere, "clients"), (everywhere, ""), (everywhere, "admin")):
            generation = _Generation(path, listener, names)
            said = generation.process.stderr.read()
            assert generation.process.wait(PATIENCE_S) == 1 and "handed over" in said, said
        generation = _Generation(path, here, "strangers")  # of another name: not for us
        said = generation.wait("listening on")
        assert not said.rstrip().endswith(f":{here.getsockname()[1]}"), said
        assert generation.end() == 0


def test_the_unit_is_hard_to_leave():
    if shutil.which("systemd-analyze") is None:
        print("SKIPPED: no systemd-analyze here")
        return
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           os.path.join(ROOT, "conf", "systemd", "expertd.service")],
                          capture_output=True, text=True)
    said = done.stdout + done.stderr
    found = re.search(r"exposure level for expertd\.service: ([\d.]+)", said)
    assert found and float(found.group(1)) <= 1.5, said[-500:]
    assert "ignoring" not in said, said
