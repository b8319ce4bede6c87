"""A gateway process for a test: started on ports of the kernel's choice, watched for crashes,
ended in order."""
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time

from report import Skip
from wire import PATIENCE_S, Crashed, Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("EXPERTD", os.path.join(ROOT, "build", "dev", "expertd"))

# How to start it: tests may run where there is only root.
SERVE = [BINARY, "serve"] + (["--allow-root"] if os.geteuid() == 0 else [])

DEFAULT_SERVER = "server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1}\n"

CRASHED = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|"
                     r"assertion|API violation", re.I)


def shared_dir():
    """The folder of shared corpora and suites, or None where there is none."""
    path = os.environ.get("EXPERTD_SHARED", os.path.join(ROOT, "..", "shared"))
    return path if os.path.isdir(path) else None


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Gateway:
    def __init__(self, config, env=None, command=()):
        """Starts it and waits until it listens. A configuration without `server:` gets one worker
        and ports of the kernel's choice."""
        self._folder = tempfile.TemporaryDirectory(prefix="expertd-test-")
        self.config_path = os.path.join(self._folder.name, "expertd.yaml")
        self.write_config(config)
        self._output = []
        self._grown = threading.Condition()
        self.process = subprocess.Popen(
            [*command, *SERVE, "--config", self.config_path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self._folder.name, env={**os.environ, **(env or {})})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = self._wait_port(r"listening on [\d.]+:(\d+)")
            self.admin = self._wait_port(r"admin on 127\.0\.0\.1:(\d+)")
        except Failure:
            self.process.kill()
            self.process.wait()
            raise

    def write_config(self, config):
        if not re.search(r"^server:", config, re.M):
            config = DEFAULT_SERVER + config
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(config)

    def _read(self):
        for line in self.process.stdout:
            with self._grown:
                self._output.append(line.decode("utf-8", "replace"))
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def output(self):
        """All it has written to standard output and error so far."""
        with self._grown:
            return "".join(self._output)

    def wait_output(self, pattern, seconds=PATIENCE_S):
        """Waits until the output matches; returns the match."""
        deadline = time.monotonic() + seconds
        with self._grown:
            while True:
                text = "".join(self._output)
                match = re.search(pattern, text, re.M)
                if match:
                    return match
                left = deadline - time.monotonic()
                dead = self.process.poll() is not None and not self._reader.is_alive()
                if left <= 0 or dead:
                    why = f"it ended with {self.process.returncode}" if dead else "in time"
                    raise (Crashed if dead else Failure)(
                        f"the gateway did not say /{pattern}/ ({why}); it said:\n{text[-3000:]}")
                self._grown.wait(min(left, 0.1))

    def _wait_port(self, pattern):
        return int(self.wait_output(pattern).group(1))

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self):
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failure("the gateway did not end in time") from None

    def descriptors(self):
        """How many it has open; Skip where only root may look."""
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        except PermissionError:
            raise Skip("SKIPPED: only root may look into a process that hides its memory") from None

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        """Ends it in order; Failure if it had crashed, does not end, or a sanitizer complained."""
        try:
            early = self.process.poll()
            if early is None:
                self.signal(signal.SIGTERM)
                self.wait_exit()
            self._reader.join(PATIENCE_S)
            if self.process.returncode != 0:
                when = "at the end" if early is None else "before the end"
                raise Crashed(f"the gateway ended with {self.process.returncode} {when}; its last "
                              f"words:\n{self.output()[-3000:]}")
            if CRASHED.search(self.output()):
                raise Crashed(f"the gateway complained:\n{self.output()[-4000:]}")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._folder.cleanup()
