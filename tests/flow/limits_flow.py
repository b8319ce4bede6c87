"""Control groups: each program that the gateway starts has one, and nothing of it outlives it. Needs a mounted
hierarchy of version 2 in which groups can be made; what needs its controllers says so where they are missing."""
import contextlib
import os
import signal
import tempfile

from gateway import BINARY, Gateway
from managed_flow import House, is_alive, wait_until
from report import Skip
from wire import Failure

TRIAL = os.path.join(os.path.dirname(BINARY), "tests", "kernels", "trial.so")


def _hierarchy():
    """The folder of this process's group, or else that of all groups."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        places = [line.split()[4] for line in f if " - cgroup2 " in line]
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        paths = [line.strip()[3:] for line in f if line.startswith("0::")]
    found = [place + path for place in places for path in (paths[0].rstrip("/"), "")] if paths else []
    return [folder for folder in found if os.access(folder, os.W_OK)]


def _remove(folder):
    """A group and those below: whoever is in them ends."""
    for name in os.listdir(folder):
        if os.path.isdir(os.path.join(folder, name)):
            _remove(os.path.join(folder, name))
    with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.kill"), "w", encoding="utf-8") as f:
        f.write("1")
    wait_until(lambda: _try_rmdir(folder))


def _try_rmdir(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _group(controllers=()):
    """A fresh group, with these controllers for those below it."""
    for base in _hierarchy():
        try:
            folder = tempfile.mkdtemp(prefix="expertd-test-", dir=base)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, "cgroup.controllers"), encoding="utf-8") as f:
                there = f.read().split()
            missing = [c for c in controllers if c not in there]
            if missing:
                raise Skip(f"SKIPPED: {folder} is given no {', '.join(missing)}")
            yield folder
        finally:
            _remove(folder)
        return
    raise Skip("SKIPPED: no control group (version 2) that this user may change")


def _members(folder):
    """Names of the groups in it -> the processes in them."""
    found = {}
    for name in os.listdir(folder):
        path = os.path.join(folder, name, "cgroup.procs")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                found[name] = [int(line) for line in f]
    return found


def _house(folder, keys="", escapes=None, name="a", arguments=()):
    more = ["--escapes", escapes] if escapes else []
    return House({name: ([*arguments, *more], keys)}, server=f"access_log: '-', cgroup: '{folder}'")


def _escaped(path):
    def read():
        try:
            with open(path, encoding="utf-8") as f:
                return int(f.read() or 0)
        except FileNotFoundError:
            return 0
    return wait_until(read)


def test_each_process_has_a_group_that_goes_with_it():
    with _group() as folder, _house(folder, name="co.der-7") as h:
        h.gateway.wait_output(f"programs get control groups in {folder}")
        pid = int(h.words("co.der-7")[1])
        assert _members(folder) == {"expertd-gateway": [h.gateway.process.pid],
                                    "expertd-1-co-der-7": [pid]}, _members(folder)
        h.admin("POST", "/admin/experts/co.der-7/unload")
        h.wait_state("co.der-7", "cold")
        assert list(_members(folder)) == ["expertd-gateway"], _members(folder)
        assert h.words("co.der-7")
        assert "expertd-2-co-der-7" in _members(folder)
        h.gateway.stop()
        assert list(_members(folder)) == ["expertd-gateway"], _members(folder)


def test_a_process_that_went_into_a_session_of_its_own_ends_with_the_expert():
    with _group() as folder, tempfile.TemporaryDirectory() as notes:
        with _house(folder, escapes=f"{notes}/pid") as h:
            h.words("a")
            escaped = _escaped(f"{notes}/pid")
            assert is_alive(escaped) and os.getsid(escaped) != os.getsid(h.process("a")["pid"])
            h.admin("POST", "/admin/experts/a/unload")
            h.wait_state("a", "cold")
            assert not is_alive(escaped)


def test_a_crash_takes_along_what_had_escaped_before_the_next_start():
    with _group() as folder, tempfile.TemporaryDirectory() as notes:
        with _house(folder, escapes=f"{notes}/pid") as h:
            pid = int(h.words("a")[1])
            escaped = _escaped(f"{notes}/pid")
            os.kill(pid, signal.SIGKILL)
            p = h.wait_state("a", "failed")
            assert "signal 9" in p["reason"] and not is_alive(escaped), p
            assert list(_members(folder)) == ["expertd-gateway"], _members(folder)


def test_one_that_ignores_sigterm_goes_with_all_it_started():
    with _group() as folder, tempfile.TemporaryDirectory() as notes:
        with _house(folder, escapes=f"{notes}/pid", arguments=["--fail", "stubborn"],
                    keys=", stop_ms: 100") as h:
            pid = int(h.words("a")[1])
            escaped = _escaped(f"{notes}/pid")
            h.gateway.stop()
            assert not is_alive(pid) and not is_alive(escaped)


def test_what_a_killed_gateway_left_behind_is_ended_by_the_next():
    with _group() as folder, tempfile.TemporaryDirectory() as notes:
        with _house(folder, escapes=f"{notes}/pid") as h:
            pid = int(h.words("a")[1])
            escaped = _escaped(f"{notes}/pid")
            h.gateway.process.kill()
            h.gateway.process.wait()
            wait_until(lambda: not is_alive(pid))
            assert is_alive(escaped), "nobody could have told it"
            os.unlink(f"{notes}/pid")
            with _house(folder) as other:
                other.gateway.wait_output("1 groups were left behind")
                assert not is_alive(escaped)
                assert other.words("a")


def test_a_gateway_leaves_the_groups_of_another_alone():
    with _group() as folder, _house(folder) as h:
        pid = int(h.words("a")[1])
        with _house(folder) as other:
            other.gateway.wait_output("another gateway uses it")
            assert other.words("a")
        assert is_alive(pid) and int(h.words("a")[1]) == pid


def test_auto_takes_the_group_that_it_was_started_in_alone():
    with _group() as folder:
        command = ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
        conf = House.config
        with House({"a": ([], "")}) as h:
            h.gateway.stop()
            h.gateway = Gateway(conf(h, {"a": ([], "")}), command=command)
            h.gateway.wait_output(f"programs get control groups in {folder}")
            pid = int(h.words("a")[1])
            assert _members(folder)["expertd-1-a"] == [pid], _members(folder)


def test_auto_leaves_a_group_alone_that_others_are_in():
    with _group() as folder:
        command = ["sh", "-c", f'echo $$ >{folder}/cgroup.procs; sleep 600 & exec "$@"', "sh"]
        with House({"a": ([], "")}) as h:
            h.gateway.stop()
            h.gateway = Gateway(h.config({"a": ([], "")}), command=command)
            h.gateway.wait_output("programs get no control groups.*other processes are in it")
            assert h.words("a")
            assert _members(folder) == {}, _members(folder)


def test_limits_that_do_not_hold_are_said_or_refused():
    keys = ", limits: {memory: 1GiB, cpus: 1.5, pids: 64"
    with _house("off", keys=keys + "}") as h:
        h.gateway.wait_output("limits of expert a that do not hold: memory, cpus, pids; server.cgroup is off")
        assert h.words("a")
    try:
        with _house("off", keys=keys + ", required: true}"):
            raise AssertionError("it started")
    except Failure as failure:
        assert "do not hold" in str(failure), failure


def test_a_kernel_in_a_child_has_a_group_too():
    with _group() as folder:
        conf = (f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, cgroup: '{folder}'}}\n"
                f"experts: {{trial: {{kernel: {{file: {TRIAL}, memory: 256MiB, instances: 2}}}}}}\n")
        gateway = Gateway(conf)
        names = sorted(_members(folder))
        assert names == ["expertd-1-trial-so", "expertd-2-trial-so", "expertd-gateway"], names
        gateway.stop()
        assert list(_members(folder)) == ["expertd-gateway"], _members(folder)


def test_a_memory_limit_ends_the_process_and_says_so():
    with _group(["memory"]) as folder, tempfile.TemporaryDirectory() as notes:
        with _house(folder, escapes=f"{notes}/pid", arguments=["--fail", "hungry"],
                    keys=", limits: {memory: 96MiB, required: true}") as h:
            h.ask("a")
            escaped = _escaped(f"{notes}/pid")
            p = h.wait_state("a", "failed")
            assert "killed: memory limit of 96 MiB" in p["reason"], p
            assert not is_alive(escaped)


def test_limits_of_processors_and_processes_are_written():
    with _group(["cpu", "pids"]) as folder:
        with _house(folder, keys=", limits: {cpus: 1.5, pids: 32, required: true}") as h:
            h.words("a")
            leaf = os.path.join(folder, "expertd-1-a")
            for name, value in (("cpu.max", "150000 100000"), ("pids.max", "32")):
                with open(os.path.join(leaf, name), encoding="utf-8") as f:
                    assert f.read().strip() == value, name
            with open(os.path.join(folder, "expertd-gateway", "cpu.weight"), encoding="utf-8") as f:
                assert f.read().strip() == "1000"
