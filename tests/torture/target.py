"""A gateway with everything on its request path, experts of each kind, and the requests that torture
sends: each says in one word what the client saw, and whether that is allowed."""
import hashlib
import json
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time

from certs import Authority
from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from failing import Failing
from gateway import BINARY, ROOT, Gateway
from wire import PATIENCE_S, Conn, Cut, Failure, Reply, request_bytes

GOOD = completion("fine")
WHOLE = [token_event(f"t{i} ") for i in range(20)] + [token_event(None, "stop"), DONE]
KEY = "sk-of-a-test"

# name: (model, stream)
KINDS = {
    "plain": ("near", False),
    "stream": ("near", True),
    "new connection": ("fresh", False),
    "libcurl": ("far", False),
    "libcurl, stream": ("far", True),
    "https": ("safe", False),
    "https, stream": ("safe", True),
    "kernel": ("embedded", False),
    "kernel, stream": ("embedded", True),
    "classified": ("auto", False),
}

# Two calls at work: the first expert is silent, the second is asked beside it and answers.
HEDGED = {
    "hedged": ("both", False),
    "hedged, stream": ("both", True),
    "hedged, libcurl": ("both-far", False),
    "hedged, libcurl, stream": ("both-far", True),
}
ALL = {**KINDS, **HEDGED}

CONFIG = """
server:
  listen: 127.0.0.1:0
  admin: 127.0.0.1:0
  workers: 1
  access_log: {folder}/access.log
  limits: {{head_ms: 6000, body_ms: 6000, idle_ms: 6000}}
  {server}
state: {{path: {folder}/state.db{state}}}
tenants: [{{name: someone, keys: ["sha256:{digest}"]}}]
budgets: [{{name: all, usd: 1000, per: day}}]
experts:
  near: {{url: "http://127.0.0.1:{near}/v1", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  fresh: {{url: "http://127.0.0.1:{fresh}/v1", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  far: {{url: "http://expert.localhost:{near}/v1", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  safe: {{url: "https://localhost:{safe}/v1", tls: {{ca: {folder}/ca.pem}}, price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  embedded: {{kernel: {{constant: {{text: "it is so, and nothing else"}}}}, price: {{input: 0, output: 0}}}}
  late: {{url: "http://127.0.0.1:{late}/v1", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  late-far: {{url: "http://expert.localhost:{late}/v1", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
aliases: {{both: [late, near], both-far: [late-far, far]}}
router: {{model: {root}/conf/models/domains.edm}}
categories: {{general: {{experts: [{{expert: near, score: 0.5}}]}}}}
policies: {{{policies}, deadline_ms: 30000, breaker: {{failures: 0, cool_down: false}}}}
"""
POLICIES = "attempts: 1"
HEDGES = "attempts: 2, retries: 0, hedge: {after_ms: 10, max: 1}"
# They end what a call that failed has left behind, and are far more than an answer takes on a slow machine.
DEADLINES = "{connect_ms: 6000, first_token_ms: 6000, idle_ms: 6000, total_ms: 20000}"


def _answer(keeps):
    def answer(conn, head, body):
        is_stream = b'"stream":true' in body.replace(b" ", b"")
        done = send_stream(conn, WHOLE) if is_stream else send_reply(conn, GOOD)
        return keeps and done
    return answer


class Target:
    """Ends with `close`, which is a check itself: it must end in order, with a ledger that is whole."""

    def __init__(self, server="", state="", kinds=KINDS):
        self.kinds = kinds
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-torture-")
        authority = Authority(self.folder.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("expert"))
        self.failing = Failing(self.folder.name)
        self.near = Expert(_answer(True))
        self.fresh = Expert(_answer(False))
        self.safe = Expert(_answer(True), tls=context)
        self.waiting = 0  # calls of `late` that were not ended
        self.lock = threading.Lock()
        self.late = Expert(self._say_nothing)
        self.config = CONFIG.format(
            folder=self.folder.name, server=server, state=state, root=ROOT, deadlines=DEADLINES,
            digest=hashlib.sha256(KEY.encode()).hexdigest(), near=self.near.port,
            fresh=self.fresh.port, safe=self.safe.port, late=self.late.port,
            policies=HEDGES if kinds.keys() <= HEDGED.keys() else POLICIES)
        self.gateway = Gateway(self.config, env=self.failing.env)
        for kind in kinds:  # warm: pools, caches, first uses
            self.must_soon(kind)
        self.descriptors = self.count_descriptors()

    def _say_nothing(self, conn, head, body):
        with self.lock:
            self.waiting += 1
        conn.wait_gone()
        with self.lock:
            self.waiting -= 1
        return False

    def close(self):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while self.gateway.is_alive() and self.waiting > 0 and time.monotonic() < deadline:
                time.sleep(0.002)  # threads of the expert notice the end of theirs
            if self.waiting > 0:
                raise Failure(f"{self.waiting} calls that were outrun are still open")
            self.gateway.stop()
        finally:
            for expert in (self.near, self.fresh, self.safe, self.late):
                expert.close()
            self.folder.cleanup()

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.gateway.process.pid}/fd"))

    def lost_descriptors(self, spare):
        """How many more it holds than at the start, once these are no more than `spare`, or it holds on to them."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            more = self.count_descriptors() - self.descriptors
            if more <= spare or time.monotonic() > deadline:
                return more
            time.sleep(0.01)  # connections end by their deadlines, and nobody tells us

    def ask(self, kind):
        """One request on a connection of its own: "ok", "error 503", "cut", "gone". Failure for what may
        never be: no end in time, or what looks like an answer and is none."""
        model, is_stream = ALL[kind]
        body = {"model": model, "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
        if is_stream:
            body["stream"] = True
        request = request_bytes("POST", "/v1/chat/completions",
                                [("Authorization", f"Bearer {KEY}")], json.dumps(body).encode())
        conn = Conn.open(self.gateway.port)
        try:
            conn.send(request)
            reply = Reply(conn)
            while reply.piece() != b"":
                pass
            return self._judge(kind, reply, False)
        except Cut:
            return self._judge(kind, reply, True) if "reply" in locals() else "gone"
        except ConnectionError:
            return "gone"
        finally:
            conn.close()

    def _judge(self, kind, reply, is_cut):
        body = reply.taken
        if reply.status != 200:
            error = json.loads(body)["error"] if not is_cut else {"message": ""}
            if not isinstance(error.get("message"), str):
                raise Failure(f"{kind}: {reply.status} without an error: {body[:200]!r}")
            return f"error {reply.status} {error.get('code')}: {error['message']}"
        if is_cut:
            return "cut"
        if self._is_whole(kind, body):
            return "ok"
        raise Failure(f"{kind}: 200, to its end, and no answer: {body[-300:]!r}")

    def _is_whole(self, kind, body):
        model, is_stream = ALL[kind]
        if model != "embedded":
            return body == (b"".join(WHOLE) if is_stream else GOOD)
        said = body.replace(b"\n", b"")
        text = b"".join(re.findall(rb'"content":"([^"]*)"', said))
        return text == b"it is so, and nothing else" and \
            (not is_stream or body.endswith(b"data: [DONE]\n\n"))

    def must(self, kind):
        seen = self.ask(kind)
        if seen != "ok":
            raise Failure(f"{kind}: {seen}, though nothing fails; the gateway's last words:\n"
                          f"{self.gateway.output()[-2000:]}")

    def must_soon(self, kind):
        """The same for what the gateway waits a moment after: without descriptors it refuses at first."""
        deadline = time.monotonic() + PATIENCE_S
        while self.ask(kind) != "ok":
            if time.monotonic() > deadline:
                self.must(kind)

    def _ask_ledger(self, option):
        path = os.path.join(self.folder.name, "conf.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.config)
        return subprocess.run([BINARY, "ledger", "-c", path, option], capture_output=True, text=True,
                              check=False)

    def verify_ledger(self):
        done = self._ask_ledger("--verify")
        if done.returncode != 0:
            raise Failure(f"the ledger is not whole: {done.stdout}{done.stderr}")

    def ledger(self):
        return [json.loads(line) for line in self._ask_ledger("--jsonl").stdout.splitlines()]
