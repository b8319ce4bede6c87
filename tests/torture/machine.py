"""What else a machine may do: the disk is full or read-only, the clock jumps, names do not resolve,
somebody kills the process. (The network: partitions.py.)"""
import errno
import json
import re
import signal
import threading
import time

import sweeps
from gateway import Gateway
from target import KEY, KINDS, Target
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


def _resolving(wait_ms):
    """One request to a host whose name is never known; how it ended and how long it took."""
    sweeps.needs_library()
    target = Target()
    try:
        target.failing.set_resolver_wait(wait_ms)
        gateway = Gateway(target.config.replace("expert.localhost", "some.example"),
                          env=target.failing.env)
        try:
            target.failing.arm("resolve", EAI_AGAIN, count=FOR_EVER)
            target.gateway, first = gateway, target.gateway
            started = time.monotonic()
            seen = target.ask("libcurl")
            took_s = time.monotonic() - started
            target.must("plain")
            target.failing.disarm()
            target.gateway = first
        finally:
            gateway.stop()
        return seen, took_s
    finally:
        target.close()


def test_a_name_that_is_unknown_is_502():
    seen, _ = _resolving(0)
    _expect(seen.startswith("error 502"), seen)


def test_a_resolver_that_hangs_ends_at_connect_ms():
    seen, took_s = _resolving(4000)
    _expect(seen.startswith("error 50"), seen)
    _expect(took_s < 3.5, f"it took {took_s:.1f} s, connect_ms is 1.5 s")


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
        target.near.handle = lambda conn, head, body: conn.wait_gone()
        threading.Timer(0.3, lambda: target.failing.move_clock(86400 * 30)).start()
        started = time.monotonic()
        seen = target.ask("plain")
        took_s = time.monotonic() - started
        _expect(seen.startswith("error 504"), seen)
        _expect(1.2 < took_s < 1.5 + PATIENCE_S, f"first_token_ms of 1500 took {took_s:.1f} s")
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


def _answered(target, seconds, ids):
    """Asks until the gateway is gone; notes what was acknowledged to its end."""
    end = time.monotonic() + seconds
    body = json.dumps({"model": "near", "messages": [{"role": "user", "content": "hi"}]}).encode()
    while time.monotonic() < end:
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
            threads = [threading.Thread(target=_answered, args=(target, 10, ids))
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
    sweeps.needs_library()
    target = Target()
    gateway = None
    try:
        target.failing.set_resolver_wait(4000)
        first = target.gateway
        gateway = Gateway(target.config.replace("expert.localhost", "some.example"),
                          env=target.failing.env)
        target.gateway = gateway
        target.failing.arm("resolve", EAI_AGAIN, count=FOR_EVER)
        asker = threading.Thread(target=target.ask, args=("libcurl",))
        asker.start()
        slowest = 0
        while asker.is_alive():
            started = time.monotonic()
            target.must("plain")
            slowest = max(slowest, time.monotonic() - started)
        target.failing.disarm()
        target.gateway = first
        _expect(slowest < 1.5, f"another request took {slowest:.1f} s")
    finally:
        if gateway is not None:
            gateway.stop()
        target.close()
