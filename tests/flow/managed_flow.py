"""Managed experts: real child processes of a fake model server, through all that may happen to them."""
import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
import time

from gateway import Gateway
from wire import PATIENCE_S, exchange

FAKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib",
                    "fake_model.py")


def is_alive(pid):
    """A zombie is gone: it only waits to be counted."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")


@contextlib.contextmanager
def _flag(folder):
    """A file that is there until somebody removes it."""
    path = os.path.join(folder, "flag")
    with open(path, "w", encoding="utf-8"):
        pass
    yield path
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


class House:
    """A gateway with managed experts. experts: name -> (arguments of the fake, keys of process)."""

    def __init__(self, experts, local="", categories=None, state=False, workers=2, extra="", cold="wait",
                 server="access_log: '-'"):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-managed-")
        self.starts_path = os.path.join(self.folder.name, "starts")
        self.flag = os.path.join(self.folder.name, "flag")
        self.local = local
        self.state = state
        self.workers = workers
        self.categories = categories
        self.extra = extra
        self.cold = cold
        self.server = server
        self.asked = 0
        self.refusals = 0
        self.lock = threading.Lock()
        self.gateway = Gateway(self.config(experts))

    def config(self, experts):
        text = (f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: {self.workers},"
                f" {self.server}}}\n")
        if self.state:
            text += f"state: {{path: {self.folder.name}/e.db}}\n"
        text += f"local: {{{self.local}}}\nexperts:\n"
        for name, (arguments, keys) in experts.items():
            # A port is free when it is looked for and may be anybody's when it is used, while other
            # tests look for ports too: socket files, but where ports are what a test is about.
            place = "--port, '${PORT}'" if "port" in arguments else "--socket, '${SOCKET}'"
            words = [a for a in arguments if a != "port"]
            argv = ", ".join([f"'{sys.executable}'", f"'{FAKE}'", place, f"--name, {name}",
                              f"--starts, '{self.starts_path}'", *(f"'{w}'" for w in words)])
            text += f"  {name}:\n    process: {{argv: [{argv}]{keys}}}\n"
        members = self.categories or ", ".join(
            f"{{expert: {name}, score: {0.9 - 0.01 * i}}}" for i, name in enumerate(experts))
        return (text + f"categories: {{general: {{experts: [{members}], cold: {self.cold}}}}}\n"
                + self.extra)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.gateway.is_alive():
                self.gateway.stop()
        finally:
            self.folder.cleanup()

    def ask(self, model, stream=False):
        self.asked += 1  # no two alike: conversations keep their expert
        document = {"model": model, "stream": stream,
                    "messages": [{"role": "user", "content": f"hello {self.asked}"}]}
        return exchange(self.gateway.port, "POST", "/v1/chat/completions", [],
                        json.dumps(document).encode())

    def words(self, model):
        """[name, pid] of who answered."""
        reply = self.ask(model)
        assert reply.status == 200, (reply.status, reply.body(), self.gateway.output())
        return json.loads(reply.body())["choices"][0]["message"]["content"].split()

    def ask_at_once(self, models):
        replies = [None] * len(models)

        def one(i):
            replies[i] = self.ask(models[i])
            with self.lock:
                self.refusals += replies[i].status == 503

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(models))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return replies

    def admin(self, method, path):
        reply = exchange(self.gateway.admin, method, path, [], b"" if method == "POST" else None)
        return reply.status, json.loads(reply.body())

    def process(self, name):
        found = [p for p in self.admin("GET", "/admin/processes")[1]
                 if p["expert"] == name and not p["retired"]]
        assert len(found) == 1, found
        return found[0]

    def wait_state(self, name, state):
        return wait_until(lambda: (lambda p: p if p["state"] == state else None)(self.process(name)))

    def starts(self):
        try:
            with open(self.starts_path, encoding="utf-8") as f:
                return [line.split() for line in f]
        except FileNotFoundError:
            return []


def test_twenty_callers_of_a_cold_expert_share_one_start():
    with House({"a": (["--load-ms", "300"], "")}) as h:
        replies = h.ask_at_once(["a"] * 20)
        assert [r.status for r in replies] == [200] * 20, [r.status for r in replies]
        assert len(h.starts()) == 1, h.starts()
        p = h.process("a")
        assert (p["state"], p["starts"], p["waiting"], p["busy"]) == ("ready", 1, 0, 0), p
        assert p["load_ms"] >= 300, p


def test_a_port_serves_as_well_as_a_socket_file():
    for place in (["port"], []):
        with House({"a": (place, "")}) as h:
            assert h.words("a")[0] == "a"
            reply = h.ask("a", stream=True)
            assert reply.status == 200 and b"[DONE]" in reply.body(), reply.body()


def test_a_killed_gateway_leaves_no_process():
    with House({"a": ([], ""), "b": (["--child"], "")}, state=True) as h:
        pids = [int(h.words("a")[1]), int(h.words("b")[1])]
        leaders = [h.process("a")["pid"], h.process("b")["pid"]]
        h.gateway.process.kill()
        h.gateway.process.wait()
        wait_until(lambda: not any(is_alive(p) for p in leaders))
        # What a child had started itself is the next start's to end.
        assert is_alive(pids[1]), "the fake's own child should have survived: nobody told it"
        with House({"a": ([], "")}) as other:  # no record of that one: does nothing to it
            other.words("a")
        assert is_alive(pids[1])
        h.gateway = Gateway(h.config({"a": ([], "")}))
        wait_until(lambda: not is_alive(pids[1]))
        assert "was left behind" in h.gateway.output()


def test_a_killed_child_is_a_failure_with_a_reason_and_comes_back():
    with House({"a": ([], ""), "spare": ([], "")}) as h:
        pid = int(h.words("a")[1])
        os.kill(pid, signal.SIGKILL)
        p = h.wait_state("a", "failed")
        assert "signal 9" in p["reason"], p
        assert h.words("auto")[0] == "spare"
        wait_until(lambda: h.ask("a").status == 200)
        assert int(h.words("a")[1]) != pid
        assert h.process("a")["failures"] == 1


def test_a_crash_while_loading_fails_over_with_the_last_words():
    with House({"a": (["--fail", "crash", "--load-ms", "100"], ""), "spare": ([], "")}) as h:
        assert h.words("auto")[0] == "spare"
        p = h.process("a")
        assert p["state"] == "failed" and "exit status 3" in p["reason"], p
        assert "imaginary memory" in p["reason"] and "imaginary" in p["output"], p
        reply = h.ask("a")  # pinned: nobody else may answer
        assert reply.status == 503, reply.status
        assert json.loads(reply.body())["error"]["code"] == "expert_not_ready", reply.body()
        assert int(reply.head.get("Retry-After")) >= 1
        assert "imaginary" not in reply.body().decode()


def test_one_that_is_never_healthy_is_ended_at_its_deadline():
    with House({"a": (["--fail", "never"], ", start_ms: 300"), "spare": ([], "")}) as h:
        assert h.words("auto")[0] == "spare"
        p = h.process("a")
        assert p["state"] == "failed" and "start_ms" in p["reason"], p
        assert not any(is_alive(int(pid)) for name, pid in h.starts() if name == "a")


def test_a_failed_start_is_not_repeated_for_nobody():
    with House({"a": (["--fail", "never"], ", start_ms: 100"), "spare": (["--load-ms", "1500"], "")}) as h:
        assert h.words("auto")[0] == "spare"  # which takes longer than a's pause of a second
        p = h.process("a")
        assert (p["state"], p["starts"]) == ("failed", 1), p


def test_failures_back_off_and_a_repaired_expert_recovers():
    arguments = ["--fail", "crash", "--flag"]
    with tempfile.TemporaryDirectory() as folder:
        flag = os.path.join(folder, "flag")
        with open(flag, "w", encoding="utf-8"):
            pass
        with House({"a": ([*arguments, flag], "")}, extra="policies: {retries: 0}\n") as h:
            assert h.ask("a").status == 503
            first = h.process("a")
            looked = time.monotonic()
            assert first["starts"] == 1, first
            assert h.ask("a").status == 503  # at once, no start
            second = h.process("a")
            is_late = first["since_ms"] + (time.monotonic() - looked) * 1000 > 1000
            assert is_late or second["starts"] == 1, second
            wait_until(lambda: h.ask("a").status == 503 and h.process("a")["starts"] > 1)
            third = wait_until(lambda: (lambda p: p if p["state"] == "failed" else None)(h.process("a")))
            for p in (first, third):
                pause_ms = 1000 * 2 ** (p["starts"] - 1) - p["since_ms"]
                assert abs(p["retry_ms"] - max(pause_ms, 0)) <= 1, p
            os.unlink(flag)
            wait_until(lambda: h.ask("a").status == 200)


def test_a_hung_child_is_found_out_and_replaced():
    with tempfile.TemporaryDirectory() as folder:
        flag = os.path.join(folder, "flag")
        with open(flag, "w", encoding="utf-8"):
            pass
        with House({"a": (["--fail", "deaf", "--flag", flag], ", stop_ms: 100}\n"
                          "    deadlines: {first_token_ms: 5000"), "spare": ([], "")}) as h:
            for name in ("a", "spare"):  # two starts of Python are more than a client waits for
                h.admin("POST", f"/admin/experts/{name}/load")
                h.wait_state(name, "ready")
            assert h.words("auto")[0] == "spare"
            os.unlink(flag)
            p = h.wait_state("a", "failed")
            assert "hung" in p["reason"], p
            wait_until(lambda: h.ask("a").status == 200)
            assert len([s for s in h.starts() if s[0] == "a"]) == 2


def test_an_idle_expert_is_unloaded_a_ttl_after_its_last_request_ended():
    with House({"a": (["--service-ms", "1500"], ", ttl_s: 1")}) as h:
        pid = int(h.words("a")[1])  # takes longer than the ttl: it counts from the end
        assert is_alive(pid)
        p = h.wait_state("a", "cold")
        assert p["expiries"] == 1 and not is_alive(pid), p


def test_a_busy_expert_is_never_stopped_for_another():
    with tempfile.TemporaryDirectory() as folder, _flag(folder) as flag, \
            House({"a": (["--fail", "slow", "--flag", flag], ", memory: 1GiB"),
                   "b": ([], ", memory: 1GiB")},
                  local="memory: 1GiB, starve_ms: 100, patience: 0") as h:
        h.admin("POST", "/admin/experts/a/load")
        h.wait_state("a", "ready")
        replies = {}
        threads = [threading.Thread(target=lambda name=name: replies.update({name: h.ask(name)}))
                   for name in "ab"]
        threads[0].start()
        wait_until(lambda: h.process("a")["busy"] == 1)
        threads[1].start()
        wait_until(lambda: h.process("b")["waiting"] == 1)
        time.sleep(0.3)  # b starves, and a is busy
        assert h.process("a")["busy"] == 1 and h.process("b")["waiting"] == 1
        os.unlink(flag)
        for thread in threads:
            thread.join()
        assert [replies[name].status for name in "ab"] == [200, 200], h.gateway.output()
        assert h.process("a")["evictions"] == 1
        assert h.process("a")["failures"] == 0


def test_memory_holds_only_as_many_as_fit():
    experts = {name: ([], ", memory: 1GiB") for name in "abcd"}
    with House(experts, local="memory: 2GiB, starve_ms: 0, patience: 0") as h:
        for name in "abcdabcd":
            assert h.words(name)[0] == name
            loaded = [p for p in h.admin("GET", "/admin/processes")[1]
                      if p["state"] not in ("cold", "failed")]
            assert len(loaded) <= 2, loaded


def test_the_queue_is_bounded_and_says_when_to_come_back():
    with tempfile.TemporaryDirectory() as folder, _flag(folder) as flag, \
            House({"a": (["--fail", "never", "--flag", flag], ", queue: 3")}) as h:
        threading.Thread(target=lambda: wait_until(lambda: h.refusals == 5) and os.unlink(flag)).start()
        replies = h.ask_at_once(["a"] * 8)  # it loads until all that are too many have gone
        assert sorted(r.status for r in replies) == [200] * 3 + [503] * 5, \
            [r.status for r in replies]
        for reply in replies:
            if reply.status == 503:
                assert json.loads(reply.body())["error"]["code"] == "overloaded"
                assert int(reply.head.get("Retry-After")) >= 1


def test_a_wait_that_is_too_long_ends():
    with House({"a": (["--load-ms", "3000"], ", wait_ms: 200")}) as h:
        reply = h.ask("a")
        assert reply.status == 503, reply.status
        assert json.loads(reply.body())["error"]["code"] == "expert_not_ready"
        assert int(reply.head.get("Retry-After")) >= 1


def test_a_flood_of_output_blocks_nobody():
    with House({"a": (["--fail", "flood"], "")}) as h:
        for _ in range(20):
            assert h.words("a")[0] == "a"
        p = h.process("a")
        assert "flood" in p["output"] and len(p["output"]) <= 2048, len(p["output"])


def test_output_can_go_to_a_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.log")
        with House({"a": ([], f", log: '{path}'")}) as h:
            h.words("a")
            wait_until(lambda: os.path.exists(path) and "loading" in open(path).read())


def test_a_reload_keeps_what_has_not_changed_and_ends_what_has_gone():
    experts = {"a": ([], ""), "b": ([], "")}
    with House(experts) as h:
        pids = {name: int(h.words(name)[1]) for name in experts}
        h.gateway.write_config(h.config({"a": ([], ", ttl_s: 3600"), "c": ([], "")}))
        h.gateway.signal(signal.SIGHUP)
        h.gateway.wait_output(r"reloaded, generation 2")
        assert int(h.words("a")[1]) == pids["a"]
        wait_until(lambda: not is_alive(pids["b"]))
        assert h.words("c")[0] == "c"
        h.gateway.write_config(h.config({"a": (["--memory-mb", "1"], "")}))
        h.gateway.signal(signal.SIGHUP)
        h.gateway.wait_output(r"reloaded, generation 3")
        assert int(h.words("a")[1]) != pids["a"]
        wait_until(lambda: not is_alive(pids["a"]))


def test_the_first_may_come_by_a_reload_where_programs_may_be_started():
    for server, may in (("sandbox_exec: true", True), ("sandbox: 'off'", True), ("sandbox: auto", False)):
        with House({"a": ([], "")}, server=server) as h:
            managed = h.config({"a": ([], "")})
            h.gateway.stop()
            h.gateway = Gateway(h.config({}).replace("experts:\n", "experts: {a: {kernel: echo}}\n")
                                .replace("experts: []", "experts: [{expert: a, score: 1}]"))
            h.gateway.write_config(managed)
            h.gateway.signal(signal.SIGHUP)
            h.gateway.wait_output(r"reloaded, generation 2" if may else r"server\.sandbox_exec")
            assert h.ask("a").status == 200
            assert len(h.starts()) == (1 if may else 0), (server, h.starts())


def test_operators_load_and_unload():
    with House({"a": ([], "")}) as h:
        status, said = h.admin("POST", "/admin/experts/a/load")
        assert status == 200 and said["accepted"] is True, said
        pid = h.wait_state("a", "ready")["pid"]
        assert h.admin("POST", "/admin/experts/a/unload")[0] == 200
        h.wait_state("a", "cold")
        assert not is_alive(pid)
        assert h.admin("POST", "/admin/experts/nobody/load")[0] == 404
        assert h.admin("POST", "/admin/experts/a/dance")[0] == 404


def test_a_loaded_runner_up_answers_while_the_best_is_loaded():
    members = "{expert: a, score: 0.9}, {expert: b, score: 0.85}, {expert: c, score: 0.2}"
    with House({"a": (["--load-ms", "500"], ""), "b": ([], ""), "c": ([], "")},
               categories=members, cold="runner_up") as h:
        assert h.words("c")[0] == "c"
        assert h.words("b")[0] == "b"
        assert h.words("auto")[0] == "b"  # and a is being loaded for the next one
        h.wait_state("a", "ready")
        assert h.words("auto")[0] == "a"
    with House({"a": ([], ""), "b": ([], ""), "c": ([], "")},
               categories=members, cold="runner_up") as h:
        assert h.words("c")[0] == "c"
        assert h.words("auto")[0] == "a"  # c is much worse, b is cold too: a is waited for


def test_the_wait_for_a_load_is_a_latency():
    members = "{expert: a, score: 0.9}, {expert: b, score: 0.85}"
    with House({"a": ([], ""), "b": ([], "")}, categories=members,
               extra="policies: {latency_weight: 0.1}\n") as h:
        assert h.words("b")[0] == "b"
        assert h.words("auto")[0] == "b"  # a load of a is thought to take two seconds
        h.words("a")
        wait_until(lambda: h.words("a") and h.words("auto")[0] == "a")  # a slow answer counts for a while


def test_a_cold_expert_can_be_refused_at_once():
    with House({"a": (["--load-ms", "300"], "")}, cold="503") as h:
        reply = h.ask("auto")
        assert reply.status == 503, reply.status
        assert json.loads(reply.body())["error"]["code"] == "expert_not_ready"
        assert int(reply.head.get("Retry-After")) >= 1
        h.wait_state("a", "ready")  # the refusal has started the load
        assert h.words("auto")[0] == "a"


def test_preloaded_experts_are_there_before_anybody_asks():
    with House({"a": ([], ", preload: true"), "b": ([], "")}) as h:
        h.wait_state("a", "ready")
        assert h.process("b")["state"] == "cold"


class Talk(House):
    """Two categories, one tenant; `turns` asks in them by turns."""

    def __init__(self, local):
        rules = "".join(f"{{when: {{text: {word}}}, category: {word}}}, " for word in ("law", "math"))
        digest = hashlib.sha256(b"sk-talk").hexdigest()
        super().__init__({"a": ([], ", memory: 1GiB"), "b": ([], ", memory: 1GiB")}, local=local,
                         extra=f"rules: [{rules}]\ntenants: [{{name: t, keys: ['sha256:{digest}']}}]\n")

    def config(self, experts):
        more = "".join(f"{word}: {{experts: [{{expert: {name}, score: 0.9}}]}}, "
                       for word, name in (("law", "a"), ("math", "b")))
        return super().config(experts).replace("categories: {", "categories: {" + more)

    def turn(self, word):
        self.asked += 1
        body = {"model": "auto", "messages": [{"role": "user", "content": f"{word} {self.asked}"}]}
        reply = exchange(self.gateway.port, "POST", "/v1/chat/completions",
                         [("Authorization", "Bearer sk-talk")], json.dumps(body).encode())
        assert reply.status == 200, (reply.status, reply.body(), self.gateway.output())

    def prefetches(self, name):
        """[loads on a guess, used, wasted]"""
        page = exchange(self.gateway.admin, "GET", "/metrics", [], None).body().decode()
        return [int(line.split()[1]) for what in ("", "_used", "_wasted") for line in page.splitlines()
                if line.startswith(f'expertd_managed_prefetches{what}_total{{expert="{name}"}}')]


def test_the_likely_next_expert_is_loaded_before_it_is_asked_for():
    with Talk("memory: 2GiB, prefetch: {min_probability: 0.6}") as h:
        for _ in range(4):
            h.turn("law")
            h.turn("math")
        assert h.prefetches("b") == [0, 0, 0], h.prefetches("b")  # it was there
        for used in (1, 0):
            h.admin("POST", "/admin/experts/b/unload")
            h.wait_state("b", "cold")
            h.turn("law")
            h.wait_state("b", "ready")
            if used:
                h.turn("math")
                assert h.prefetches("b") == [1, 1, 0], h.prefetches("b")
        h.admin("POST", "/admin/experts/b/unload")
        h.wait_state("b", "cold")
        assert h.prefetches("b") == [2, 1, 1], h.prefetches("b")


def test_nobody_leaves_for_a_guess():
    for local in ("memory: 1GiB, prefetch: {min_probability: 0.6}", "memory: 2GiB"):
        with Talk(local) as h:
            for _ in range(4):
                h.turn("law")
                h.turn("math")
            h.admin("POST", "/admin/experts/b/unload")
            h.wait_state("b", "cold")
            h.turn("law")
            h.turn("law")
            assert h.process("a")["state"] == "ready" and h.process("b")["state"] == "cold"
            assert h.prefetches("a") == h.prefetches("b") == [0, 0, 0]


def test_metrics_count_what_happened():
    with House({"a": ([], "")}) as h:
        h.words("a")
        page = exchange(h.gateway.admin, "GET", "/metrics", [], None).body().decode()
        assert 'expertd_managed_starts_total{expert="a"} 1\n' in page, page
        assert 'expertd_managed_ready{expert="a"} 1\n' in page


def test_a_stubborn_child_is_killed_after_its_grace():
    with House({"a": (["--fail", "stubborn"], ", stop_ms: 200")}) as h:
        pid = int(h.words("a")[1])
        h.gateway.stop()
        assert not is_alive(pid)


def test_an_orderly_end_takes_all_children_along():
    with House({"a": ([], ""), "b": (["--child"], "")}) as h:
        pids = [int(h.words(name)[1]) for name in "ab"]
        h.gateway.stop()
        wait_until(lambda: not any(is_alive(pid) for pid in pids))


def threads(pid):
    """[(name, cores it may run on, nice)]"""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as f:
                before, _, after = f.read().rpartition(")")
            cores = len(os.sched_getaffinity(int(task)))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        found.append((before.partition("(")[2], cores, int(after.split()[16])))
    return found


def test_computing_keeps_to_its_cores_and_yields():
    cores = len(os.sched_getaffinity(0))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with House({"a": ([], "")}, server="kernel_cpus: 1, kernel_nice: 3") as h:
        pid = int(h.words("a")[1])
        ours = threads(h.gateway.process.pid)
        computing = [t for t in ours if t[0] == "kernel"]
        assert computing == [("kernel", 1, min(own + 3, 19))] * 2, ours
        assert all(t[1:] == (cores, own) for t in ours if t[0] != "kernel"), ours
        assert all(t[1] == 1 for t in threads(pid)), threads(pid)
    with House({"a": ([], "")}) as h:
        assert all(t[1] == cores for t in threads(h.gateway.process.pid) + threads(int(h.words("a")[1])))


def test_children_get_no_secrets_and_no_descriptors():
    script = ("import os, sys; print('ENV', sorted(os.environ)); "
              "print('FDS', sorted(os.listdir('/proc/self/fd')), flush=True); sys.exit(1)")
    conf = ("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, kernel_cpus: 1}\n"
            f"experts: {{a: {{process: {{argv: ['{sys.executable}', -c, \"{script}\", "
            "'${PORT}'], env: {MINE: '1'}}}}\n"
            "categories: {general: {experts: [{expert: a, score: 1}]}}\n")
    with House({"a": ([], "")}) as h:
        h.gateway.stop()
        h.gateway = Gateway(conf, env={"SECRET_KEY": "zebra"})
        assert h.ask("a").status == 503
        output = h.process("a")["output"]
        assert "SECRET_KEY" not in output and "MINE" in output, output
        assert "OMP_WAIT_POLICY" in output and "OMP_NUM_THREADS" in output, output
        assert "FDS ['0', '1', '2', '3']" in output, output  # 3: the listing itself


def test_a_log_that_nobody_reads_holds_up_nobody():
    with tempfile.TemporaryDirectory() as folder:
        pipe = os.path.join(folder, "log")
        os.mkfifo(pipe)
        with House({"a": ([], f", log: '{pipe}'"), "b": ([], "")}) as h:
            assert h.words("a")[0] == "a"
            assert h.words("b")[0] == "b"
            h.gateway.wait_output(r'expert a: cannot open its log "[^"]*/log": No such device')


def test_what_the_health_check_brought_is_told():
    gateway = Gateway("experts:\n  a: {process: {argv: [sleep, '600', '${PORT}'], start_ms: 100, preload: true}}\n")
    try:
        gateway.wait_output("expert a failed: not healthy in time .start_ms.: "
                            "the last GET /health brought no answer in HTTP")
    finally:
        gateway.stop()
