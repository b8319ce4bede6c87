"""Who swaps models in the bench: the gateway with several settings, llama-server's router and llama-swap. Each is a
context: it listens on `port`, starts the same model processes, and is gone at the end."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import gateway

ROOT = gateway.ROOT
FAKE = os.path.join(ROOT, "tests", "lib", "fake_model.py")
PACE = os.path.join(ROOT, "build", "dev", "bench", "swap_pace.so")
FILES = os.path.join(ROOT, "conf", "models", "experts")
EXPERTS = 8
FIT = 3
TOKENS = 20
TOKEN_MS = 10  # of which llama-server, which stops twice at each token, sleeps the half each time
NAMES = [f"m{i}" for i in range(EXPERTS)]
AT_ONCE = "starve_ms: 0, patience: 0, evict: lru"
EXPERTD = {  # its block `local`
    "first come, least recently used": AT_ONCE,
    "`patience: 1`": "patience: 1",
    "`patience: 2`": "patience: 2",
    "`patience: 4`": "patience: 4",
    "`patience: 8`": "patience: 8",
    "`patience: 16`": "patience: 16",
}


def matrix(names):
    """Any three. Of sets that are equally good the first is taken, so who is named last leaves first."""
    one = "(" + " | ".join(names) + ")"
    return {"use": "matrix", "settings": {"matrix": {"sets": {"three": " & ".join([one] * FIT)}}}}


LLAMA_SWAP = {  # its routing.router; the traces like m0 most
    "llama-swap, matrix of three, often used named first": matrix(NAMES),
    "llama-swap, matrix of three, often used named last": matrix(NAMES[::-1]),
    "llama-swap, as it comes": {"use": "group", "settings": {"groups": {
        "all": {"swap": True, "exclusive": True, "members": NAMES}}}},
}
ROUTER = "llama-server, `--models-max 3`"


class Models:
    """The command of each model process, and a count of those that were started."""

    def __init__(self, llama_server, load_ms):
        self.folder = tempfile.TemporaryDirectory(prefix="swap-bench-")
        self.starts = os.path.join(self.folder.name, "starts")
        self.llama_server = llama_server
        self.load_ms = load_ms
        self.files = sorted(os.path.join(FILES, name) for name in os.listdir(FILES) if name.endswith(".gguf"))

    def file(self, index):
        return self.files[index % len(self.files)]

    def options(self):
        return {"ctx-size": "2048", "parallel": "4", "threads": "1", "threads-batch": "1", "no-warmup": "true",
                "chat-template": "chatml", "cache-ram": "0"}

    def flags(self):
        return [part for name, value in self.options().items()
                for part in (["--" + name] if value == "true" else ["--" + name, value])]

    def command(self, index):
        if not self.llama_server:
            return [sys.executable, FAKE, "--port", "${PORT}", "--name", NAMES[index], "--load-ms", str(self.load_ms),
                    "--service-ms", str(TOKENS * TOKEN_MS), "--starts", self.starts]
        return [self.llama_server, "--model", self.file(index), "--host", "127.0.0.1", "--port", "${PORT}",
                "--alias", NAMES[index], *self.flags()]

    def environment(self):
        return {"LD_PRELOAD": PACE, "SWAP_LOAD_MS": str(self.load_ms), "SWAP_PAUSE_MS": str(TOKEN_MS // 2),
                "SWAP_STARTS": self.starts} if self.llama_server else {}

    def pids(self):
        try:
            with open(self.starts, encoding="utf-8") as f:
                return [int(line.split()[-1]) for line in f]
        except FileNotFoundError:
            return []


def keep_log(text):
    """In the folder SWAP_LOGS, if there is one."""
    if os.environ.get("SWAP_LOGS"):
        with open(f"{os.environ['SWAP_LOGS']}/{os.getpid()}-{time.time():.0f}.log", "w", encoding="utf-8") as f:
            f.write(text)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def program(argv, models, port, env=None):
    """A rival: it ends by SIGTERM, or by SIGKILL after ten seconds."""
    log = os.path.join(models.folder.name, "log")
    with open(log, "wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                with open(log, encoding="utf-8", errors="replace") as f:
                    raise SystemExit(f"{argv[0]} does not listen; it said:\n{f.read()[-2000:]}")
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with open(log, encoding="utf-8", errors="replace") as f:
            keep_log(f.read())


@contextlib.contextmanager
def expertd(models, local):
    experts = {name: {"process": {"argv": models.command(i), "memory": "1GiB", "queue": 1000,
                                  "env": models.environment()}} for i, name in enumerate(NAMES)}
    # YAML of this size: JSON is YAML.
    g = gateway.Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, access_log: 'off'}\n"
                        f"local: {{memory: {FIT}GiB{', ' + local if local else ''}}}\n"
                        f"experts: {json.dumps(experts)}\n"
                        "categories: {general: {experts: [{expert: m0, score: 1}]}}\n")
    try:
        yield g.port
    finally:
        g.stop()
        keep_log(g.output())


@contextlib.contextmanager
def llama_router(models):
    port = free_port()
    presets = os.path.join(models.folder.name, "models.ini")
    with open(presets, "w", encoding="utf-8") as f:
        f.write("version = 1\n")
        for i, name in enumerate(NAMES):
            f.write(f"\n[{name}]\nmodel = {models.file(i)}\n")
    with program([models.llama_server, "--models-preset", presets, "--models-max", str(FIT), "--host", "127.0.0.1",
                  "--port", str(port), *models.flags()], models, port, models.environment()):
        yield port


@contextlib.contextmanager
def llama_swap(models, path, router):
    port = free_port()
    environment = [f"{name}={value}" for name, value in models.environment().items()]
    config = {"startPort": 20000 + os.getpid() % 700 * 16, "healthCheckTimeout": 60, "logLevel": "info",
              "performance": {"disabled": True}, "routing": {"router": router},
              "models": {name: {"cmd": " ".join(models.command(i)), "concurrencyLimit": 1000, "env": environment}
                         for i, name in enumerate(NAMES)}}
    file = os.path.join(models.folder.name, "config.yaml")
    with open(file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    with program([path, "--config", file, "--listen", f"127.0.0.1:{port}"], models, port):
        yield port


def contexts(llama_server, llama_swap_path):
    """{name: models -> context}, and {name: why it is left out}."""
    found = {name: lambda models, local=local: expertd(models, local) for name, local in EXPERTD.items()}
    missing = {}
    if llama_server:
        found[ROUTER] = llama_router
    else:
        missing[ROUTER] = "no --llama-server, nor LLAMA_SERVER in the environment"
    for name, router in LLAMA_SWAP.items():
        if llama_swap_path:
            found[name] = lambda models, router=router: llama_swap(models, llama_swap_path, router)
        else:
            missing[name] = "no --llama-swap, nor LLAMA_SWAP in the environment"
    return found, missing
