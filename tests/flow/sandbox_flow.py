"""What a serving process has given up, seen from outside, and what that means for a reload."""
import os
import shutil
import signal
import subprocess
import tempfile

from certs import Authority
from expert import Expert, completion, send_reply
from gateway import BINARY, Gateway
from wire import exchange


def _answer(conn, head, body):
    return send_reply(conn, completion("fine"))


def _config(expert, server="", ca=None):
    tls = f"  far: {{url: 'https://far.example/v1', tls: {{ca: {ca}}}}}\n" if ca else ""
    return (f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1{server}}}\n"
            f"experts:\n  main: {{url: {expert.url}}}\n{tls}")


def _status(gateway, name):
    with open(f"/proc/{gateway.process.pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)[name]


def test_it_is_confined_and_says_so():
    with Expert(_answer) as expert:
        gateway = Gateway(_config(expert))
        try:
            said = gateway.output()
            if "built with sanitizers" in said:
                return
            assert "new privileges: none; memory dumps: none" in said, said
            assert _status(gateway, "NoNewPrivs") == "1"
            assert _status(gateway, "Seccomp") == "2", said
            with open(f"/proc/{gateway.process.pid}/limits", encoding="utf-8") as f:
                assert any(line.split()[4:6] == ["0", "0"] for line in f if "core file" in line)
        finally:
            gateway.stop()


def test_off_is_off_and_a_warning():
    with Expert(_answer) as expert:
        gateway = Gateway(_config(expert, ", sandbox: off"))
        try:
            assert "warn sandbox off" in gateway.output()
            assert _status(gateway, "Seccomp") == "0"
        finally:
            gateway.stop()


def test_a_reload_reads_folders_that_were_named():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other, \
            Expert(_answer) as expert:
        near, far = Authority(folder), Authority(other)
        for server, reads_far in (("", False), (f", sandbox_read: [{other}]", True)):
            gateway = Gateway(_config(expert, server, near.cert))
            try:
                if "files: read" not in gateway.output():
                    return  # nothing is confined here, and the log says it
                os.replace(shutil.copy(near.cert, folder + "/new"), near.cert)  # folders count
                gateway.signal(signal.SIGHUP)
                gateway.wait_output("reloaded, generation 2")
                gateway.write_config(_config(expert, server, far.cert))
                gateway.signal(signal.SIGHUP)
                if reads_far:
                    gateway.wait_output("reloaded, generation 3")
                else:
                    gateway.wait_output("Permission denied")
                    gateway.wait_output("server.sandbox_read, cannot be read")
                assert exchange(gateway.port, "GET", "/v1/models").status == 200
            finally:
                gateway.stop()


def test_root_is_refused():
    with Expert(_answer) as expert, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "expertd.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(_config(expert))
        if os.geteuid() != 0:
            return  # everything else shows that others may
        done = subprocess.run([BINARY, "serve", "-c", path], capture_output=True, text=True)
        assert done.returncode == 2 and "does not run as root" in done.stderr, done.stderr
