"""What the gateway makes of a network that is slow, lossy, cut and mended: it stands in one network
namespace, its experts or its clients in another, cable.py between them. Assertions are about truth
(what the client got, what the ledger and the log say), not about speed.

    unshare -Urnm python3 tests/torture/partitions.py NAME     is how run starts each of them"""
import concurrent.futures
import functools
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

from cable import FAR, FIN, NEAR, RST, SYN, Cable, Segment  # noqa: E402
from expert import DONE, Expert, completion, send_reply, send_stream, token_event  # noqa: E402
from gateway import BINARY, Gateway  # noqa: E402
from report import Skip  # noqa: E402
from wire import PATIENCE_S, Conn, Cut, Failure, Reply, exchange, request_bytes  # noqa: E402

SEED = 5
KEY = "sk-of-a-test"
NAME = "far.example"  # what libcurl calls the far machine; the gateway's own client takes the address
BOTH = ("far", "named")  # experts: of the own client, and of libcurl
LONG = "{connect_ms: 60000, first_token_ms: 90000, idle_ms: 90000, total_ms: 600000}"
SHORT = "{connect_ms: 4000, first_token_ms: 6000, idle_ms: 5000, total_ms: 600000}"

CONFIG = """
server:
  listen: {NEAR}:0
  admin: 127.0.0.1:0
  workers: 1
  access_log: {folder}/access.log
  limits: {{write_ms: {write_ms}}}
state: {{path: {folder}/state.db, durability: commit}}
tenants: [{{name: someone, keys: ["sha256:{digest}"]}}]
experts:
  far: {{url: "{far}", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  named: {{url: "{named}", price: {{input: 1, output: 2}}, deadlines: {deadlines}}}
  near: {{url: "{near}", price: {{input: 1, output: 2}}}}
aliases: {{far-team: [far, near], named-team: [named, near]}}
policies: {{{policies}breaker: {breaker}}}
"""
NO_BREAKER = "{failures: 0, cool_down: false}"


def _expect(condition, what):
    if not condition:
        raise Failure(str(what))


def _wait_for(what, why):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        _expect(time.monotonic() < deadline, why)
        time.sleep(0.005)  # the other side of it is a process without events for us


def _sized(text):
    """The answer to a prompt that says how long it should be."""
    return int(text.partition(" ")[0]) if text[:1].isdigit() else 4


def _plain(text):
    return completion("x" * _sized(text))


def _events(text):
    count = max(2, _sized(text) // 10)
    return [token_event(f"t{i} ") for i in range(count)] + [token_event(None, "stop"), DONE]


class Seen:
    """What a client saw of a reply."""

    def __init__(self, reply, body, is_cut):
        self.status, self.head, self.body, self.is_cut = reply.status, reply.head, body, is_cut

    def __repr__(self):
        return f"{self.status} {self.body[-300:]!r}{' (cut)' if self.is_cut else ''} " \
               f"{self.head.get('x-expertd-attempt-log')}"

    def is_told(self):
        """A stream that ended in an error event, and does not look whole."""
        events = [event for event in self.body.split(b"\n\n") if event]
        return self.is_cut and events and b'"error"' in events[-1] and b"[DONE]" not in self.body


class World:
    """A gateway here, a `far` expert beyond the cable (under an address and under a name), a `near`
    one without a cable. Their handlers are attributes and may be exchanged."""

    def __init__(self, deadlines=LONG, policies="", breaker=NO_BREAKER, host=NAME, write_ms=30000):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-cable-")
        self.cable = Cable(SEED)
        self.far = Expert(self.answer, listener=self.cable.listen())
        self.near = Expert(self.answer)
        self.config = CONFIG.format(
            NEAR=NEAR, folder=self.folder.name, digest=hashlib.sha256(KEY.encode()).hexdigest(),
            far=self.far.url, named=f"http://{host}:{self.far.port}/v1", near=self.near.url,
            deadlines=deadlines, policies=policies, breaker=breaker, write_ms=write_ms)
        self.gateway = Gateway(self.config)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.cable.mend()
        try:
            self.gateway.stop()
        except Failure:
            if kind is None:
                raise
        if kind is None:
            self._check_ledger()
        errors = self.far.errors + self.near.errors
        if kind is None and errors:
            raise Failure(f"an expert: {errors[0]!r}")
        self.folder.cleanup()

    @staticmethod
    def answer(conn, head, body):
        request = json.loads(body)
        text = request["messages"][-1]["content"]
        if request.get("stream"):
            return send_stream(conn, _events(text))
        return send_reply(conn, _plain(text))

    # ------------------------------------------------------------ asking

    def request(self, model, stream, text):
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        if stream:
            body["stream"] = True
        return request_bytes("POST", "/v1/chat/completions", [("Authorization", f"Bearer {KEY}")],
                             json.dumps(body).encode())

    def ask(self, model, stream=False, text="hello"):
        conn = Conn.open(self.gateway.port, host=NEAR)
        try:
            conn.send(self.request(model, stream, text))
            return read(conn)
        finally:
            conn.close()

    def must(self, model, stream=False, text="hello", who=None):
        seen = self.ask(model, stream, text)
        wanted = b"".join(_events(text)) if stream else _plain(text)
        _expect(seen.status == 200 and not seen.is_cut and seen.body == wanted,
                f"{model}, {'stream' if stream else 'plain'}, {text[:20]}: {seen}")
        who = who or model
        _expect(seen.head.get("x-expertd-expert") == who, f"{seen}, not by {who}")
        return seen

    # ------------------------------------------------------------ what is written down

    def _ask_ledger(self, option):
        path = os.path.join(self.folder.name, "conf.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.config)
        done = subprocess.run([BINARY, "ledger", "-c", path, option], capture_output=True,
                              text=True, check=False)
        _expect(done.returncode == 0, done.stdout + done.stderr)
        return done.stdout

    def _check_ledger(self):
        self._ask_ledger("--verify")

    def rows(self):
        return [json.loads(line) for line in self._ask_ledger("--jsonl").splitlines()]

    def outcomes(self):
        return [(row["expert"], row["outcome"]) for row in self.rows()]

    def logged(self):
        """The lines of the access log."""
        with open(os.path.join(self.folder.name, "access.log"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def standing(self, name):
        reply = exchange(self.gateway.admin, "GET", "/admin/experts")
        return {row["expert"]: row for row in json.loads(reply.body())}[name]

    def memory_kb(self):
        with open(f"/proc/{self.gateway.process.pid}/status", encoding="utf-8") as f:
            return int([line for line in f if line.startswith("VmRSS")][0].split()[1])


def read(conn, reply=None):
    reply = reply or Reply(conn)
    try:
        while reply.piece() != b"":
            pass
        return Seen(reply, reply.taken, False)
    except Cut:
        return Seen(reply, reply.taken, True)


class Paused:
    """An expert that stops behind its first token until it may go on; notes whether it is left."""

    def __init__(self):
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.is_left = threading.Event()
        self.sent = 0

    def handle(self, conn, head, body):
        events = _events(json.loads(body)["messages"][-1]["content"])
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for event in events:
                conn.send(b"%x\r\n%s\r\n" % (len(event), event))
                self.sent += len(event)
                self.has_begun.set()
                if not self.may_go_on.wait(PATIENCE_S):
                    conn.wait_gone()
            conn.send(b"0\r\n\r\n")
            return True
        except OSError:
            self.is_left.set()
            raise


# ------------------------------------------------------------------ the whole, though late

PROFILES = {
    "far away": {"delay_s": 0.05},
    "lossy": {"delay_s": 0.025, "jitter_s": 0.01, "loss": 0.05, "twice": 0.02},
    "out of order": {"delay_s": 0.005, "jitter_s": 0.04},
    "thin": {"delay_s": 0.01, "bytes_per_s": 400_000},
}


def _all_whole(profile):
    with World() as world:
        world.cable.set(**PROFILES[profile])
        cells = [(model, stream, f"{size} bytes" + " " * fill) for model in BOTH
                 for stream in (False, True) for size, fill in ((4, 0), (3000, 0), (9000, 30000))]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for seen in pool.map(lambda cell: world.must(*cell), cells):
                _expect(seen.head.get("x-expertd-attempts") == "1", seen)
        lost = world.cable.there.dropped + world.cable.back.dropped
        _expect(lost > 0 or "loss" not in PROFILES[profile], "nothing was lost: what was tried?")
        _expect([outcome for _, outcome in world.outcomes()] == ["ok"] * len(cells),
                world.outcomes())


def test_answers_are_whole_over_a_long_way():
    _all_whole("far away")


def test_answers_are_whole_where_one_packet_in_twenty_is_lost():
    _all_whole("lossy")


def test_answers_are_whole_where_packets_overtake_each_other():
    _all_whole("out of order")


def test_answers_are_whole_over_a_thin_line():
    _all_whole("thin")


def test_a_cut_that_is_mended_in_time_loses_nothing():
    with World() as world:
        for model in BOTH:
            paused = Paused()
            world.far.handle = paused.handle
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(world.must, model, True, "300")
                _expect(paused.has_begun.wait(PATIENCE_S), "nobody asked")
                world.cable.cut()
                paused.may_go_on.set()
                world.cable.back.wait_dropped(2)  # the rest of it, and again
                world.cable.mend()
                asked.result()
            world.far.handle = world.answer
            world.cable.cut()  # and with a request that has not left
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(world.must, model)
                world.cable.there.wait_dropped(2)
                world.cable.mend()
                _expect(asked.result().head.get("x-expertd-attempts") == "1", "asked again")


# ------------------------------------------------------------------ a cut towards an expert

def _last(world, expert):
    """The newest line of the access log, once it is there, and the newest row of an expert."""
    rows = [row for row in world.rows() if row["expert"] == expert]
    _wait_for(lambda: world.logged()[-1:] and world.logged()[-1]["request_id"] ==
              world.rows()[-1]["request_id"], "no line in the access log")
    return world.logged()[-1], rows[-1]


def test_before_the_connect_the_next_expert_answers():
    with World(SHORT) as world:
        world.cable.cut()
        for model in BOTH:
            for stream in (False, True):
                seen = world.must(f"{model}-team", stream, who="near")
                _expect(seen.head.get("x-expertd-attempt-log") ==
                        f"{model} connect_timeout; near 200", seen)
            seen = world.ask(model)
            _expect(seen.status == 504 and b'"expert_timeout"' in seen.body, seen)
            line, row = _last(world, model)
            _expect((line["outcome"], line["reason"], line["fault"]) ==
                    ("timeout", "connect_timeout", "expert"), line)
            _expect((row["outcome"], row["completion_tokens"]) == ("connect_timeout", 0), row)
        _expect(world.far.requests == 0, "how did that get through?")


def test_a_stream_that_is_cut_is_told_and_billed():
    with World(SHORT) as world:
        for model in BOTH:
            paused = Paused()
            world.far.handle = paused.handle
            conn = Conn.open(world.gateway.port, host=NEAR)
            conn.send(world.request(f"{model}-team", True, "300"))
            reply = Reply(conn)
            _expect(b"t0 " in reply.event(), "no first token")
            world.cable.cut()
            paused.may_go_on.set()
            seen = read(conn, reply)
            conn.close()
            world.cable.mend()
            _expect(seen.is_told(), seen)
            line, row = _last(world, model)
            _expect((line["outcome"], line["reason"], line["fault"]) ==
                    ("truncated", "idle_timeout", "expert"), line)
            _expect((row["outcome"], row["usage_source"]) == ("idle_timeout", "estimated"), row)
            _expect(0 < row["completion_tokens"] < 5 and row["cost_nano_usd"] > 0, row)
            _expect(world.near.requests == 0, "another expert was asked after the first token")


def test_one_way_answers_do_not_come_and_the_next_expert_is_asked():
    with World(SHORT) as world:
        for model in BOTH:
            world.must(model)  # a connection that is kept
            world.cable.back.is_cut = True
            seen = world.must(f"{model}-team", who="near")
            world.cable.mend()
            _expect(seen.head.get("x-expertd-attempt-log") ==
                    f"{model} first_token_timeout; near 200", seen)
            _expect((model, "first_token_timeout") in world.outcomes(), world.outcomes())
        _expect(world.far.requests == 4, f"{world.far.requests} requests arrived, not 4")


def _unsent(port):
    """How many sockets of this machine nobody owns any more, with bytes that the kernel still sends."""
    closing = ("04", "0B")  # FIN_WAIT1, CLOSING
    with open("/proc/net/tcp", encoding="ascii") as f:
        lines = [line.split() for line in f][1:]
    return sum(line[2].endswith(f":{port:04X}") and line[3] in closing for line in lines)


def test_one_way_requests_do_not_arrive_and_the_next_expert_is_asked():
    with World(SHORT) as world:
        for model in BOTH:
            world.must(model)
            world.cable.there.is_cut = True
            seen = world.must(f"{model}-team", who="near")
            _expect("first_token_timeout; near 200" in seen.head.get("x-expertd-attempt-log"), seen)
            _wait_for(lambda: _unsent(world.far.port) == 0, "a request that was given up may still arrive")
            world.cable.mend()


def _forgets(world):
    """Connections that are there now are dead, and nobody says so: a firewall forgot them."""
    known = set()

    def watch(packet):
        segment = Segment.parse(packet)
        ports = segment and frozenset((segment.source_port, segment.target_port))
        if segment and segment.flags & SYN:
            known.add(ports)
        return ([packet] if not segment or ports in known else []), []

    world.cable.set(meddle=watch)


def test_a_connection_that_a_firewall_forgot_costs_its_deadline_and_no_answer():
    with World(SHORT) as world:
        for model in BOTH:
            world.must(model)
        _forgets(world)
        for model in BOTH:
            world.must(f"{model}-team", who="near")  # waits for the dead one, then the next expert
            world.must(model)                        # which was not kept


def test_a_machine_that_came_back_has_new_connections():
    with World(LONG) as world:
        ends = []
        answer = world.answer

        def handle(conn, head, body):
            ends.append(conn)
            return answer(conn, head, body)

        world.far.handle = handle
        for model in BOTH:
            with concurrent.futures.ThreadPoolExecutor(3) as pool:  # more than one is kept
                list(pool.map(world.must, [model] * 3))
        world.cable.cut()
        for conn in ends:
            try:
                conn.reset()  # its word does not come through
            except OSError:
                pass  # it was not kept
        before = world.far.connections
        world.cable.mend()
        for model in BOTH:
            for _ in range(3):
                seen = world.must(model)  # of which the far machine knows nothing: it says RST
                _expect(seen.head.get("x-expertd-attempts") == "1", seen)
        _expect(world.far.connections >= before + 2, "all connections still worked")


# ------------------------------------------------------------------ resets

def test_a_firewall_that_refuses_is_no_answer_and_the_next_expert_has_one():
    with World(SHORT) as world:
        before = len(os.listdir(f"/proc/{world.gateway.process.pid}/fd"))

        def refuse(packet):
            segment = Segment.parse(packet)
            return ([], [segment.reset_to(0)]) if segment and segment.flags & SYN else ([packet], [])

        world.cable.there.meddle = refuse
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda i: world.must(("far-team", "named-team")[i % 2], i % 3 == 0,
                                                      who="near"), range(60)))
        _expect(all("connect_failed; near 200" in one.head.get("x-expertd-attempt-log")
                    for one in seen), seen[0])
        for model in BOTH:
            seen = world.ask(model)
            _expect(seen.status == 502, seen)
        _wait_for(lambda: len(os.listdir(f"/proc/{world.gateway.process.pid}/fd")) < before + 20,
                  "descriptors are lost")


def test_resets_that_fit_end_a_stream_and_it_is_told():
    with World(SHORT) as world:
        world.cable.back.delay_s = 0.01

        def shoot(packet):
            segment = Segment.parse(packet)
            is_late = segment and b"t5 " in packet
            return [packet] + ([segment.reset_behind()] if is_late else []), []

        world.cable.back.meddle = shoot
        for model in BOTH:
            seen = world.ask(f"{model}-team", True, "300")
            _expect(seen.is_told() or seen.head.get("x-expertd-expert") == "near", seen)
            _expect((model, "cut") in world.outcomes(), world.outcomes())


def test_resets_that_do_not_fit_change_nothing():
    with World() as world:
        def flood(packet):
            segment = Segment.parse(packet)
            if not segment or segment.flags & (SYN | FIN | RST):
                return [packet], []
            return [packet], [segment.reset_to(segment.expected + world.cable.there.random.randrange(
                1 << 20, 1 << 30)) for _ in range(5)]

        world.cable.there.meddle = flood
        for model in BOTH:
            for stream in (False, True):
                seen = world.must(model, stream, "9000 bytes")
                _expect(seen.head.get("x-expertd-attempts") == "1", seen)


# ------------------------------------------------------------------ breakers

def test_a_breaker_opens_in_the_cut_and_a_probe_closes_it_behind_it():
    breaker = "{failures: 2, window_ms: 60000, open_ms: 300, open_max_ms: 300}"
    with World(SHORT, "retries: 0, ", breaker) as world:
        for model in BOTH:
            world.cable.cut()
            for _ in range(2):
                world.must(f"{model}-team", who="near")
            _expect(world.standing(model)["breaker"] != "closed", world.standing(model))
            world.must(f"{model}-team", who="near")  # not asked, or a probe that fails
            world.cable.mend()
            _wait_for(lambda: world.ask(f"{model}-team").head.get("x-expertd-expert") == model,
                      f"nobody asks it again: {world.standing(model)}")
            _expect(world.standing(model)["breaker"] == "closed", world.standing(model))
            _expect(world.standing(model)["breaker_opened"] >= 1, world.standing(model))


# ------------------------------------------------------------------ a cut towards a client

class Flood:
    """An expert whose stream does not end; notes when it is left."""

    def __init__(self):
        self.is_left = threading.Event()
        self.sent = 0

    def handle(self, conn, head, body):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        event = token_event("t0 " + "y" * 1000)
        try:
            while True:
                conn.send(b"%x\r\n%s\r\n" % (len(event), event))
                self.sent += len(event)
        except (OSError, Failure):
            self.is_left.set()
            raise


def _leave_open(world):
    """A client beyond the cable that has the beginning of a stream without end; (its connection, the
    expert)."""
    flood = Flood()
    world.near.handle = flood.handle
    conn = world.cable.elsewhere.call(lambda: Conn.open(world.gateway.port, host=NEAR))
    conn.send(world.request("near", True, "hello"))
    reply = Reply(conn)
    _expect(b"t0 " in reply.event(), "no first token")
    return conn, reply, flood


def _client_is_cut(cut):
    with World(write_ms=4000) as world:
        world.must("near")
        before_kb = world.memory_kb()
        conn, reply, flood = _leave_open(world)
        cut(world.cable)
        most_kb = 0
        deadline = time.monotonic() + PATIENCE_S
        while not flood.is_left.is_set():
            most_kb = max(most_kb, world.memory_kb() - before_kb)
            _expect(time.monotonic() < deadline, "the expert's call goes on")
            time.sleep(0.01)  # sampling
        if "san" not in BINARY:
            _expect(most_kb < 8192, f"{most_kb} kB for one client that reads nothing")
        _wait_for(lambda: ("near", "cancelled") in world.outcomes(), world.outcomes())
        row = world.rows()[-1]
        _expect(row["completion_tokens"] > 0 and row["cost_nano_usd"] > 0, row)
        world.cable.mend()
        conn.send(b"?")  # the gateway's machine has forgotten it and says so, when it is asked
        seen = read(conn, reply)
        _expect(seen.is_cut and b"[DONE]" not in seen.body, seen)
        world.near.handle = world.answer
        world.must("near")


def test_a_client_that_is_cut_off_ends_the_call():
    _client_is_cut(lambda cable: cable.cut())


def test_a_client_to_whom_nothing_comes_ends_the_call():
    _client_is_cut(lambda cable: setattr(cable.there, "is_cut", True))


def test_a_client_of_whom_nothing_comes_ends_the_call():
    _client_is_cut(lambda cable: setattr(cable.back, "is_cut", True))


# ------------------------------------------------------------------ names

def _answer_names(listener, seen):
    """A name server that knows one address for all names."""
    while True:
        question, peer = listener.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack_from("!H", question, end - 4)[0]
        seen.append(question[12:end])
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(FAR)
        listener.sendto(question[:2] + b"\x81\x80\0\1" + (b"\0\1" if kind == 1 else b"\0\0") +
                        b"\0\0\0\0" + question[12:end] + (answer if kind == 1 else b""), peer)


def _name_server(world, asked):
    def make():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((FAR, 53))
        return listener
    listener = world.cable.elsewhere.call(make)
    threading.Thread(target=_answer_names, args=(listener, asked), daemon=True).start()


def test_a_name_server_beyond_a_slow_cable_is_waited_for():
    with World(host="expert.far.example") as world:
        asked = []
        _name_server(world, asked)
        world.cable.set(delay_s=0.1)
        world.must("named")
        _expect(any(b"\6expert\3far" in question for question in asked), asked)


def test_a_name_server_that_is_silent_costs_connect_ms_and_nobody_else():
    with World(SHORT, host="expert.far.example") as world:
        _name_server(world, [])
        world.cable.cut()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(world.must, "named-team", who="near")
            world.must("near")
            seen = asked.result()
        _expect("named connect_timeout; near 200" == seen.head.get("x-expertd-attempt-log"), seen)
        world.cable.mend()
        _wait_for(lambda: world.ask("named").status == 200, "the name is not looked up again")


TESTS = {name[5:]: function for name, function in list(globals().items())
         if name.startswith("test_")}


def _name_the_far_machine():
    """In the mount namespace of this process: /etc/hosts knows it, and it is asked for other names."""
    for path, text in (("/etc/hosts", f"127.0.0.1 localhost\n{FAR} {NAME}\n"),
                       ("/etc/resolv.conf", f"nameserver {FAR}\n")):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(text)
            f.flush()
            os.chmod(f.name, 0o644)
            subprocess.run(["mount", "--bind", f.name, path], check=True)


APART = ["unshare", "-Urnm"]
HANG_S = 20 * PATIENCE_S  # of a test that does not end by itself


@functools.cache
def _why_not():
    """Why there are no namespaces with a cable here; "" where there are."""
    trial = "ip tuntap add cable mode tun && mount --bind /etc/hosts /etc/hosts"
    try:
        done = subprocess.run([*APART, "sh", "-c", trial], capture_output=True, text=True,
                              check=False)
    except FileNotFoundError as why:
        return str(why)
    return "" if done.returncode == 0 else done.stderr.strip()[:200] or "unshare failed"


def run_apart(name):
    """One of TESTS, in namespaces of its own."""
    if _why_not():
        raise Skip(f"no namespaces with a cable here: {_why_not()}")
    try:
        done = subprocess.run([*APART, sys.executable, os.path.abspath(__file__), name], check=False,
                              capture_output=True, text=True, timeout=HANG_S)
    except subprocess.TimeoutExpired:
        raise Failure("it did not end") from None
    _expect(done.returncode == 0, done.stdout + done.stderr)


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _name_the_far_machine()
    try:
        TESTS[sys.argv[1]]()
    except Failure as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
