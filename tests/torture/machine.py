"""What else a machine may do: the disk is full or read-only, the clock jumps, names do not resolve,
somebody kills the process. (The network: partitions.py.)"""
import contextlib
import errno
import json
import re
import signal
import threading
import time

import sweeps
from gateway import Gateway
from target import ALL, KEY, KINDS, Target
from wire import PATIENCE_S, Conn, Failure, Reply, exchange, request_bytes

EAI_AGAIN = -3
FOR_EVER = 1 << 62


def _expect(condition, what):
    if not condition:
        raise Failure(what)


def _all_end(target, kinds, allowed):
    """Each kind of request ends, as allowed."""
    for kind in kinds:
        seen = target.ask(kind)
        _expect(re.match(allowed, seen), f"{kind}: {seen}, not {allowed}")


def _under(name, error, allowed, state=""):
    """While all calls of a class fail requests end as allowed; then they are answered again."""
    sweeps.needs_library()
    target = Target(state=state)
    try:
        target.failing.arm(name, error, count=FOR_EVER)
        _all_end(target, KINDS, allowed)
        target.failing.disarm()
        for kind in KINDS:
            target.must_soon(kind)
        target.verify_ledger()
    finally:
        target.close()


def test_a_full_disk_refuses_and_recovers():
    _under("pwrite", errno.ENOSPC, "ok|error 50|cut")


def test_a_disk_that_cannot_sync_refuses_and_recovers():
    _under("sync", errno.EIO, "ok|error 50|cut")


def test_a_full_disk_in_interval_mode_recovers():
    _under("pwrite", errno.ENOSPC, "ok|error 50|cut", ", durability: interval, interval_ms: 20")


def test_no_sockets_towards_experts():
    _under("socket", errno.EMFILE, "ok|error 50")


def test_no_memory_at_all_for_a_while():
    _under("memory", errno.ENOMEM, "ok|error|cut|gone")


def test_a_name_that_does_not_resolve_is_an_error_in_time():
    sweeps.needs_library()
    target = Target()
    try:
        target.failing.arm("resolve", EAI_AGAIN, count=FOR_EVER)
        seen = target.ask("libcurl")
        _expect(re.match("ok|error 502", seen), f"libcurl: {seen}")
        target.must("plain")
        target.failing.disarm()
        target.must("libcurl")
    finally:
        target.close()


@contextlib.contextmanager
def _resolving(hangs):
    """A target whose expert for "libcurl" has a name that is never known: at once, or after for ever."""
    sweeps.needs_library()
    target = Target()
    try:
        first = target.gateway
        target.gateway = Gateway(target.config.replace("expert.localhost", "some.example"),
                                 env=target.failing.env)
        target.failing.hold_resolver(hangs)
        target.failing.arm("resolve", EAI_AGAIN, count=FOR_EVER)
        try:
            yield target
        finally:
            target.failing.hold_resolver(False)
            target.failing.disarm()
            target.gateway, second = first, target.gateway
            second.stop()
    finally:
        target.close()


def test_a_name_that_is_unknown_is_502():
    with _resolving(hangs=False) as target:
        seen = target.ask("libcurl")
        _expect(seen.startswith("error 502"), seen)
        target.must("plain")


def test_a_resolver_that_hangs_ends_at_connect_ms():
    with _resolving(hangs=True) as target:
        seen = target.ask("libcurl")  # ends, though the resolver does not
        _expect(seen.startswith("error 50"), seen)
        target.must("plain")


def test_the_wall_clock_may_jump():
    sweeps.needs_library()
    target = Target()
    try:
        for seconds in (3600, -3600, 86400 * 40, -86400 * 40, 86400 * 365, 0):
            target.failing.move_clock(seconds)
            for kind in KINDS:
                target.must(kind)
        status, body = _admin(target, "/admin/budgets")
        _expect(status in (200, 404), f"budgets: {status} {body[:200]}")
        target.verify_ledger()
    finally:
        target.close()


def test_a_jump_of_the_wall_clock_moves_no_deadline():
    sweeps.needs_library()
    target = Target()
    try:
        def handle(conn, head, body):
            target.failing.move_clock(86400 * 30)
            conn.wait_gone()

        target.near.handle = handle
        started = time.monotonic()
        seen = target.ask("plain")
        took_s = time.monotonic() - started
        _expect(seen.startswith("error 504"), seen)
        _expect(took_s > 5.5, f"first_token_ms of 6000 took {took_s:.1f} s")
    finally:
        target.close()


def _admin(target, path):
    reply = exchange(target.gateway.admin, "GET", path)
    return reply.status, reply.body()


def test_files_that_cannot_be_opened_any_more():
    _under("open", errno.EROFS, "ok|error 50|cut")


def test_a_state_folder_that_is_read_only_refuses_the_start():
    try:
        gateway = Gateway("state: {path: /proc/expertd/state.db}\n"
                          "experts: {a: {kernel: {echo: {}}}}\n")  # there root cannot write, either
    except Failure as why:
        _expect("cannot use the state file" in str(why), str(why))
    else:
        gateway.stop()
        raise Failure("it started, though it cannot store anything")


def _answered(target, ids):
    """Asks until the gateway is gone; notes what was acknowledged to its end."""
    body = json.dumps({"model": "near", "messages": [{"role": "user", "content": "hi"}]}).encode()
    while True:
        conn = None
        try:
            conn = Conn.open(target.gateway.port)
            conn.send(request_bytes("POST", "/v1/chat/completions",
                                    [("Authorization", f"Bearer {KEY}")], body))
            reply = Reply(conn)
            while reply.piece() != b"":
                pass
            if reply.status == 200:
                ids.append(reply.head.get("x-request-id"))
        except (Failure, OSError):
            return
        finally:
            if conn is not None:
                conn.close()


def test_kill_9_under_load_loses_nothing_that_was_acknowledged():
    sweeps.needs_library()
    target = Target()
    try:
        for turn in range(4):
            ids = []
            threads = [threading.Thread(target=_answered, args=(target, ids))
                       for _ in range(4)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + PATIENCE_S
            while len(ids) < 20 + 13 * turn and time.monotonic() < deadline:
                time.sleep(0.002)  # kill -9 has no event to wait for
            target.gateway.process.send_signal(signal.SIGKILL)
            target.gateway.process.wait()
            for thread in threads:
                thread.join()
            target.verify_ledger()
            rows = target.ledger()
            known = [row["request_id"] for row in rows]
            _expect(len(ids) > 0 and set(ids) <= set(known),
                    f"{len(set(ids) - set(known))} of {len(ids)} acknowledged are lost")
            _expect(len(known) == len(set(known)), "a row is there twice")
            target.gateway = Gateway(target.config, env=target.failing.env)
    finally:
        target.close()


def test_a_resolver_that_hangs_stops_nobody_else():
    with _resolving(hangs=True) as target:
        asker = threading.Thread(target=target.ask, args=("libcurl",))
        asker.start()
        deadline = time.monotonic() + PATIENCE_S
        while target.failing.calls() == 0 and time.monotonic() < deadline:
            time.sleep(0.002)  # the resolver is a thread without events for us
        _expect(target.failing.calls() > 0, "nobody looks the name up")
        for kind in KINDS:
            if ALL[kind][0] != "far":
                target.must(kind)
        asker.join()
