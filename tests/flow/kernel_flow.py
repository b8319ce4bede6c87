"""Kernels from files: the example of the tutorial, built by its own project, and what a kernel that
breaks down costs the others."""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from gateway import BINARY, ROOT, Gateway
from wire import PATIENCE_S, Conn, Failure, exchange, request_bytes

BUILD = os.path.dirname(BINARY)
TRIAL = os.path.join(BUILD, "tests", "kernels", "trial.so")


def _body(model, text, stream=False):
    return json.dumps({"model": model, "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()


def _chat(gateway, model, text, stream=False, headers=()):
    return exchange(gateway.port, "POST", "/v1/chat/completions", list(headers), _body(model, text, stream))


def _text(reply):
    assert reply.status == 200, reply.body()
    return json.loads(reply.body())["choices"][0]["message"]["content"]


def _trial(name="trial", more=""):
    return f"  {name}: {{kernel: {{file: {TRIAL}, memory: 256MiB{more}}}}}\n"


def _state(pid):
    """The letter of a process's state; None: it is gone. A zombie is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            letter = f.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if letter in "ZX" else letter


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
        found = f.read().split()
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as f:
                found += f.read().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended since
    return sorted(pid for pid in {int(child) for child in found} if _state(pid) is not None)


def _wait(claim, what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not in time")
        time.sleep(0.005)


def _is_sanitized():
    with open(BINARY, "rb") as f:
        binary = f.read()
    return b"__asan_init" in binary or b"__tsan_init" in binary


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_example_is_built_by_its_own_project_and_answers():
    with tempfile.TemporaryDirectory(prefix="expertd-kernel-") as folder:
        installed, build = os.path.join(folder, "usr"), os.path.join(folder, "build")
        _run("cmake", "--install", BUILD, "--prefix", installed, "--component", "kernels")
        _run("cmake", "-S", os.path.join(ROOT, "tests", "kernel_example"), "-B", build, "-G", "Ninja",
             f"-DCMAKE_PREFIX_PATH={installed}", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
        _run("cmake", "--build", build)
        shout = os.path.join(build, "shout.so")
        gateway = Gateway("experts:\n"
                          f"  child: {{kernel: {{file: {shout}}}}}\n"
                          f"  inside: {{kernel: {{file: {shout}, isolation: inprocess}}}}\n")
        try:
            for model in ("child", "inside"):
                assert _text(_chat(gateway, model, "hello über there")) == "HELLO üBER THERE!"
                events = _chat(gateway, model, "one two", stream=True).body().decode()
                for part in ('"content":"ONE "', '"content":"TWO"', '"content":"!"',
                             '"finish_reason":"stop"', "data: [DONE]\n\n"):
                    assert part in events, events
        finally:
            gateway.stop()


def test_broken_kernel_falls_over_and_comes_back_and_nobody_else_notices():
    gateway = Gateway("experts:\n" + _trial() + _trial("other") +
                      "  spare: {kernel: {constant: {text: spare}}}\n"
                      "aliases: {safe: [trial, spare]}\n")
    seen = []
    stop = threading.Event()

    def others():
        while not stop.is_set():
            seen.append(_text(_chat(gateway, "other", "hi")))

    try:
        thread = threading.Thread(target=others)
        thread.start()
        for order in ("crash", "exit", "garbage", "bomb"):
            if order == "bomb" and _is_sanitized():
                continue  # sanitizers take terabytes of address space: there is no limit on it
            reply = _chat(gateway, "safe", order)
            assert _text(reply) == "spare", order
            assert reply.head.get("x-expertd-expert") == "spare"
            _wait(lambda: _text(_chat(gateway, "safe", "back?")) == "as told: back?",
                  f"the kernel is back after {order}")
        refused = _chat(gateway, "trial", "crash")
        assert refused.status in (502, 503), refused.status
        gateway.wait_output("kernel-host: killed by SIGSEGV")
        _wait(lambda: len(seen) > 4 or not thread.is_alive(), "the others are answered")
        stop.set()
        thread.join()
    finally:
        stop.set()
        gateway.stop()
    assert len(seen) > 4 and set(seen) == {"as told: hi"}


def test_hanging_kernel_keeps_the_deadline_and_is_killed():
    gateway = Gateway("experts:\n  trial:\n"
                      f"    kernel: {{file: {TRIAL}}}\n"
                      "    deadlines: {first_token_ms: 1000}\n"
                      "policies: {attempts: 1}\n")
    try:
        (child,) = _children(gateway.process.pid)
        started = time.monotonic()
        reply = _chat(gateway, "trial", "hang")
        took = time.monotonic() - started
        assert reply.status == 504, reply.status
        assert took >= 1, took
        _wait(lambda: _state(child) is None, "the child that hangs is killed")
        gateway.wait_output("kernel-host: did not stop when told to")
        _wait(lambda: _chat(gateway, "trial", "back?").status == 200, "it is back")
    finally:
        gateway.stop()


def test_client_that_leaves_stops_the_generation():
    gateway = Gateway("experts:\n" + _trial())
    try:
        def leave():
            """Whether it stopped in time: one instance, it answers again only once it has."""
            _wait(lambda: _chat(gateway, "trial", "there?").status == 200, "it is there")
            (child,) = _children(gateway.process.pid)
            conn = Conn.open(gateway.port)
            conn.send(request_bytes("POST", "/v1/chat/completions", [],
                                    _body("trial", "endless", stream=True)))
            while conn.received.count(b"and on ") < 3:
                assert conn.fill()
            conn.sock.close()
            reply = _chat(gateway, "trial", "pieces")
            if b"did not stop when told to" in reply.body():  # soon enough: the machine may be busy
                return False
            assert _text(reply).endswith(f"pid={child}"), reply.body()
            return True

        _wait(leave, "it stops in time, and it is the same process")
    finally:
        gateway.stop()


def test_children_die_with_a_gateway_that_is_killed():
    gateway = Gateway("experts:\n" + _trial(more=", instances: 2"))
    children = _children(gateway.process.pid)
    assert len(children) == 2
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    try:
        _wait(lambda: all(_state(child) is None for child in children), "children end")
    finally:
        gateway._folder.cleanup()


def test_reload_replaces_the_children():
    gateway = Gateway("experts:\n" + _trial())
    try:
        before = _children(gateway.process.pid)
        gateway.signal(signal.SIGHUP)
        gateway.wait_output("reloaded, generation 2")
        _wait(lambda: len(now := _children(gateway.process.pid)) == 1 and now != before,
              "the new child alone is there")
        assert _text(_chat(gateway, "trial", "still")) == "as told: still"
    finally:
        gateway.stop()


def _crowd(threads):
    """Two instances of the trial on one core, and a kernel that takes no time."""
    return Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, kernel_cpus: 1}\n"
                   f"experts:\n  trial:\n    kernel: {{file: {TRIAL}, instances: 2, threads: {threads}}}\n"
                   "  calc: {kernel: calc}\n"
                   "policies: {attempts: 1}\n")


SOON = [("x-expertd-deadline-ms", "1000")]


def _stream(gateway, order):
    conn = Conn.open(gateway.port)
    conn.send(request_bytes("POST", "/v1/chat/completions", [], _body("trial", order, stream=True)))
    conn.until(b"chat.completion.chunk")
    return conn


def test_kernels_that_compute_take_turns_and_the_others_wait_for_none():
    gateway = _crowd(threads=1)
    try:
        conn = _stream(gateway, "endless")
        is_over = threading.Event()

        def read():
            while not is_over.is_set():
                conn.fill()

        reader = threading.Thread(target=read)
        reader.start()
        try:  # one core, and it is in use: the second instance waits, and is late
            assert _chat(gateway, "trial", "second", headers=SOON).status == 504
            assert _text(_chat(gateway, "calc", "2+2")) == "2 + 2 = 4"
        finally:
            is_over.set()
            reader.join()
        conn.close()
        assert _text(_chat(gateway, "trial", "third")) == "as told: third"
    finally:
        gateway.stop()


def test_whoever_waits_for_a_client_computes_nothing_and_holds_up_nobody():
    gateway = _crowd(threads=1)
    try:
        conn = _stream(gateway, "torrent")  # and reads no more of it
        _wait(lambda: _chat(gateway, "trial", "second", headers=SOON).status == 200, "its turn is given away")
        conn.close()
    finally:
        gateway.stop()


def test_a_kernel_that_says_that_it_takes_no_time_waits_for_none():
    gateway = _crowd(threads=0)
    try:
        conn = _stream(gateway, "endless")
        assert _text(_chat(gateway, "trial", "second")) == "as told: second"
        conn.close()
    finally:
        gateway.stop()


def _standing(gateway, name):
    reply = exchange(gateway.admin, "GET", "/admin/experts")
    return {row["expert"]: row for row in json.loads(reply.body())}[name]


def _metric(gateway, line):
    return f"\n{line}\n" in exchange(gateway.admin, "GET", "/metrics").body().decode()


def test_a_kernel_in_the_process_that_does_not_return_loses_its_turn_until_it_does():
    inside = f"{{kernel: {{file: {TRIAL}, isolation: inprocess, grace_ms: 100}}, deadlines: {{idle_ms: 200}}}}"
    gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1, kernel_cpus: 1}\n"
                      f"experts:\n  trial: {inside}\n  other: {inside}\n"
                      "policies: {attempts: 1}\n")
    try:
        conn = _stream(gateway, "first words be stuck")
        conn.until(b'"error"')  # of idle_ms
        assert _text(_chat(gateway, "other", "hello")) == "as told: hello"  # the one turn that there is
        _wait(lambda: _standing(gateway, "trial")["stuck"], "it is known to be stuck")
        gateway.wait_output("expert trial is stuck")
        assert _metric(gateway, 'expertd_expert_stuck{expert="trial"} 1')
        assert _metric(gateway, 'expertd_expert_stuck{expert="other"} 0')
        refused = _chat(gateway, "trial", "hello")
        assert (refused.status, b"experts_unavailable" in refused.body()) == (503, True), refused.body()
        seen = _standing(gateway, "trial")
        assert seen["in_flight"] == 0 and sum(seen["attempts"].values()) == 1, seen

        assert _text(_chat(gateway, "other", "release")) == "as told: release"
        _wait(lambda: not _standing(gateway, "trial")["stuck"], "it is known to be back")
        gateway.wait_output("expert trial is stuck no more")
        for model in ("trial", "other", "trial"):
            assert _text(_chat(gateway, model, "hello")) == "as told: hello"
        seen = _standing(gateway, "trial")
        assert seen["attempts"] == {"success": 2, "failure": 1, "neutral": 0, "cool_down": 0}, seen
    finally:
        gateway.stop()


def test_check_says_where_more_is_asked_for_than_may_compute():
    stories = os.path.join(ROOT, "tests", "unit", "backends", "data", "tinylm", "stories260K.gguf")
    cases = (
        (f"{{file: {TRIAL}, instances: 3, threads: 2}}", "3 instances of 2 threads"),
        (f"{{tinylm: {{model: {stories}, parallel: 2}}}}", '"parallel" is 2'),
        (f"{{tinylm: {{model: {stories}}}}}", None),
    )
    for block, why in cases:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(f"server: {{kernel_cpus: 1}}\nexperts:\n  k: {{kernel: {block}}}\n")
            f.flush()
            done = subprocess.run([BINARY, "check", "--config", f.name], capture_output=True,
                                  text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert ("turns" in said) == (why is not None) and (why is None or why in said), said


def test_check_says_what_is_wrong_with_a_kernel():
    cases = (
        ("{file: build/k.so}", "must be an absolute path"),
        (f"{{file: {BUILD}/tests/kernels/trial_next_major.so}}",
         "speaks version 2.1 of the interface, this host 1.1"),
        (f"{{file: {TRIAL}, options: {{say: refuse}}}}", "it was told to refuse"),
    )
    for block, why in cases:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(f"experts:\n  k: {{kernel: {block}}}\n")
            f.flush()
            done = subprocess.run([BINARY, "check", "--config", f.name], capture_output=True,
                                  text=True, check=False)
        assert done.returncode == 1, done.stdout + done.stderr
        assert why in done.stdout + done.stderr, done.stdout + done.stderr
