"""Each call of a class fails in turn, for each kind of request."""
import errno
import os
import sys

from failing import LIBRARY
from gateway import BINARY
from report import Skip
from target import KINDS, Target
from wire import Failure

SAMPLES = 12      # of a sweep in the short form
SPARE_DESCRIPTORS = 8  # connections to experts that are kept

# name -> [(class, errno)]
SWEEPS = [
    ("allocations", [("memory", errno.ENOMEM)]),
    ("accept", [("accept", e) for e in (errno.EINTR, errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE,
                                        errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)]),
    ("receive", [("receive", e) for e in (errno.EINTR, errno.EAGAIN, errno.ECONNRESET,
                                          errno.ENOMEM)]),
    ("send", [("send", e) for e in (errno.EINTR, errno.EAGAIN, errno.ECONNRESET, errno.EPIPE,
                                    errno.ENOBUFS)]),
    ("read", [("read", e) for e in (errno.EINTR, errno.EAGAIN, errno.EIO)]),
    ("write", [("write", e) for e in (errno.EINTR, errno.EAGAIN, errno.ENOSPC, errno.EIO)]),
    ("connect", [("connect", e) for e in (errno.EINTR, errno.ECONNREFUSED, errno.ENETUNREACH,
                                          errno.EADDRNOTAVAIL, errno.EAGAIN)]),
    ("socket", [("socket", e) for e in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)]),
    ("epoll", [("epoll_wait", errno.EINTR), ("epoll_ctl", errno.ENOMEM),
               ("epoll_ctl", errno.ENOSPC)]),
    ("descriptors", [("open", errno.EMFILE), ("open", errno.EIO), ("eventfd", errno.EMFILE),
                     ("timerfd", errno.ENOMEM), ("thread", errno.EAGAIN)]),
    ("disk", [("sync", errno.EIO), ("sync", errno.ENOSPC), ("pwrite", errno.ENOSPC),
              ("pwrite", errno.EIO), ("pwrite", errno.EINTR)]),
]


def needs_library():
    if any(word in BINARY for word in ("asan", "tsan", "fuzz")):
        raise Skip("a sanitizer has its own malloc")
    if not os.access(LIBRARY, os.R_OK):
        raise Skip(f"there is no {LIBRARY}: build the target \"failing\", or set FAILING")


def _count(target, kind, name):
    """How many calls a request makes."""
    target.failing.arm(name, 0, first=1 << 40)
    target.must(kind)
    calls = target.failing.disarm()[0]
    if "-v" in sys.argv:
        print(f"        {kind}: {calls} calls of {name}")
    return calls


def _fail_once(target, kind, name, error, n):
    """The nth call fails; what the client saw, or None when there was no nth call."""
    where = f"{kind}: {name} {n}, {errno.errorcode[error]}"
    target.failing.arm(name, error, first=n)
    try:
        seen = target.ask(kind)
    except (Failure, OSError, ValueError) as why:
        raise Failure(f"{where}: {why}") from None
    finally:
        _, failed = target.failing.disarm()
    if not target.gateway.is_alive():
        raise Failure(f"{where}: the gateway ended with {target.gateway.process.poll()}:\n"
                      f"{target.gateway.output()[-2000:]}")
    try:
        target.must_soon(kind) if name == "accept" else target.must(kind)
    except Failure as why:
        raise Failure(f"after {where} ({seen}): {why}") from None
    return seen if failed > 0 else None


def _sweep_kind(target, kind, name, error, is_long):
    """What went wrong, one line each."""
    wrong = []
    try:
        calls = _count(target, kind, name)
    except Failure as why:
        return [f"before {kind}: {name}, {errno.errorcode[error]}: {why}"]
    for n in range(0, calls, 1 if is_long else max(1, calls // SAMPLES)):
        try:
            _fail_once(target, kind, name, error, n)
        except Failure as why:
            wrong.append(str(why))
            if not target.gateway.is_alive():
                break
    return wrong


def sweep(classes, is_long, kinds=KINDS):
    needs_library()
    wrong = []
    target = Target(kinds=kinds)
    try:
        for name, error in classes:
            for kind in kinds:
                wrong += _sweep_kind(target, kind, name, error, is_long)
                if not target.gateway.is_alive():
                    target = Target(kinds=kinds)
        more = target.lost_descriptors(SPARE_DESCRIPTORS)
        if more > SPARE_DESCRIPTORS:
            wrong.append(f"{more} descriptors more than before")
        target.verify_ledger()
    finally:
        target.close()
    if wrong:
        raise Failure(f"{len(wrong)} times:\n" + "\n".join(wrong[:12]))
