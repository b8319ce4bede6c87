"""Starts what the measurements need: responder, nginx, HAProxy and the gateway, each on the loopback
and, where there are two cores, on the core meant for it."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
sys.dont_write_bytecode = True

from wire import Conn, Reply, exchange, request_bytes  # noqa: E402,F401

EXPERTD = os.environ.get("EXPERTD", os.path.join(ROOT, "build", "release", "expertd"))
SERVE = [EXPERTD, "serve"] + (["--allow-root"] if os.geteuid() == 0 else [])
TOOLS = os.environ.get("BENCH_TOOLS", os.path.join(os.path.dirname(EXPERTD), "bench"))

LOAD_CORE, SERVER_CORE = 0, 1
PINS = len(os.sched_getaffinity(0)) > 1

START_S = 15

# What the upstreams of the measurements answer; the names are also the experts of the gateway.
SERVICES = {
    "fixed": "fixed=431",            # a short chat completion
    "stream": "stream=50,1000,210",  # 50 events, one each millisecond
    "hold": "stream=60,1000000,210",  # one event a second: keeps streams open
}


def on_core(core, command):
    return ["taskset", "-c", str(core), *command] if PINS else list(command)


def free_port():
    """A port that was free a moment ago: for servers that cannot be asked which one they got."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_listening(port, process):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not listen on {port}")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def rss_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            total += int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return total


class Process:
    """A server process; `ports` maps a service's name to where it is served."""

    def __init__(self, name, command, core, **kwargs):
        self.name = name
        self.ports = {}
        self.process = subprocess.Popen(on_core(core, command), **kwargs)

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Responder(Process):
    def __init__(self):
        specs = [*SERVICES.values(), "control"]
        super().__init__("direct", [os.path.join(TOOLS, "responder"), *specs], LOAD_CORE,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = []
        for line in self.process.stdout:
            if line == "\n":
                break
            ports.append(int(line.split()[-1]))
        self.ports = dict(zip(SERVICES, ports))
        self.control = ports[-1]

    def seen(self, service):
        """What it has seen of a service: requests, gone, gone_ns, body_hash, ..."""
        rows = json.loads(exchange(self.control, "GET", "/").body())
        return next(row for row in rows if row["spec"] == SERVICES[service])


NGINX = """worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; use epoll; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_body_buffer_size 256k; client_max_body_size 16m; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_read_timeout 300s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{services}
}}
"""

NGINX_SERVICE = """  upstream {name} {{ server 127.0.0.1:{to}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{at} backlog=4096;
    location / {{ proxy_pass http://{name}; proxy_buffering {buffering}; }} }}
"""

HAPROXY = """global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option http-no-delay
  http-reuse always
"""

HAPROXY_SERVICE = """frontend in-{name}
  bind 127.0.0.1:{at}
  default_backend {name}
backend {name}
  server s 127.0.0.1:{to} pool-max-conn -1
"""


class Nginx(Process):
    """The reference: one worker, keep-alive both ways, no access log, no buffering of streams."""

    def __init__(self, upstream):
        self.folder = tempfile.mkdtemp(prefix="bench-nginx-")
        ports = {name: free_port() for name in SERVICES}
        services = "".join(
            NGINX_SERVICE.format(name=name, to=upstream.ports[name], at=port,
                                 buffering="on" if name == "fixed" else "off")
            for name, port in ports.items())
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(NGINX.format(folder=self.folder, services=services))
        super().__init__("nginx", ["nginx", "-c", path, "-e", os.path.join(self.folder, "error.log")],
                         SERVER_CORE, stderr=subprocess.DEVNULL)
        self.ports = ports
        wait_listening(ports["fixed"], self.process)

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Haproxy(Process):
    def __init__(self, upstream):
        self.folder = tempfile.mkdtemp(prefix="bench-haproxy-")
        ports = {name: free_port() for name in SERVICES}
        path = os.path.join(self.folder, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as f:
            f.write(HAPROXY + "".join(
                HAPROXY_SERVICE.format(name=name, to=upstream.ports[name], at=port)
                for name, port in ports.items()))
        super().__init__("haproxy", ["haproxy", "-db", "-f", path], SERVER_CORE,
                         stderr=subprocess.DEVNULL)
        self.ports = ports
        wait_listening(ports["fixed"], self.process)

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def gateway_config(upstream, router_model=None, sandbox="auto"):
    """Experts named as the services; `auto` goes to the expert fixed, classified with the weights
    if there are any. What watches a process from inside, as valgrind does, needs no sandbox."""
    experts = "".join(f"  {name}: {{url: 'http://127.0.0.1:{port}/v1', model: expert, key: sk-bench}}\n"
                      for name, port in upstream.ports.items())
    router = f"router: {{model: {router_model}}}\n" if router_model else ""
    return ("server:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  workers: 1\n"
            f"  sandbox: {sandbox}\nexperts:\n{experts}"
            "categories:\n  general: {experts: [{expert: fixed, score: 0.5}]}\n" + router)


class Expertd(Process):
    """The gateway with one worker. `command` stands before it, as in ["valgrind", ...]; `text` is
    a configuration instead of the usual one."""

    def __init__(self, upstream, router_model=None, command=(), core=SERVER_CORE, extra="",
                 text=None):
        self.folder = tempfile.mkdtemp(prefix="bench-expertd-")
        config = os.path.join(self.folder, "expertd.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(text or gateway_config(upstream, router_model, "off" if command else "auto") + extra)
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            super().__init__("expertd", [*command, *SERVE, "--config", config], core,
                             stdout=subprocess.DEVNULL, stderr=log, cwd=self.folder)
        self.port = self._wait_port()
        self.ports = {name: self.port for name in SERVICES}

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _wait_port(self):
        deadline = time.monotonic() + START_S * 4  # under valgrind it takes its time
        while time.monotonic() < deadline and self.process.poll() is None:
            match = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())
            if match:
                return int(match.group(1))
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"expertd does not listen: {self.log()[-2000:]}")

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# Sentences of a prompt, enough of them for any size asked for.
SENTENCES = (
    "I have an SQL table of orders with a customer and a total, and the report takes minutes. ",
    "The index exists, yet the planner reads the whole table each time I group by month. ",
    "What would you change first, and how do I see whether it helped? ",
    "My colleague says that a materialised view is the answer, but the data changes often. ",
    "We run version fifteen on a small machine with four cores and slow disks. ",
)


def chat_body(model, size, stream=False):
    """A chat request of exactly `size` bytes: a system prompt, and a conversation as it grows."""
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    tail = {"stream": True} if stream else {}

    def encode(text):
        return json.dumps({"model": model, "temperature": 0.7, **tail,
                           "messages": messages + [{"role": "user", "content": text}]}).encode()
    text, i = "", 0
    while len(encode("")) + 3000 < size:
        messages.append({"role": "user", "content": "".join(SENTENCES)})
        messages.append({"role": "assistant", "content": "".join(reversed(SENTENCES))})
    missing = size - len(encode(""))
    while len(text) < missing:
        text += SENTENCES[i % len(SENTENCES)]
        i += 1
    return encode(text[:max(0, missing)])


def loadgen(port, body_path, *options, pids=()):
    """Runs loadgen; its report as a dictionary. RuntimeError when requests failed."""
    command = [os.path.join(TOOLS, "loadgen"), "--port", str(port), "--body", body_path,
               *[str(option) for option in options]]
    for pid in pids:
        command += ["--pid", str(pid)]
    done = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"loadgen: {done.returncode} {done.stdout[-600:]} {done.stderr[-600:]}")
    return json.loads(done.stdout)


def need_tools():
    """Ends the program with a message when something is not built."""
    for path in (EXPERTD, os.path.join(TOOLS, "responder"), os.path.join(TOOLS, "loadgen")):
        if not os.access(path, os.X_OK):
            sys.exit(f"no {path}: build the release preset, or set EXPERTD and BENCH_TOOLS")
