"""Orders for failing.c: which call of the C library fails in a gateway, when, and with what errno."""
import mmap
import os
import struct

from gateway import ROOT

LIBRARY = os.environ.get("FAILING", os.path.join(ROOT, "build", "dev", "tests", "torture",
                                                 "failing.so"))

CLASSES = ("none memory accept receive send read write connect socket epoll_wait epoll_ctl open sync "
           "pwrite eventfd timerfd thread resolve").split()  # as in failing.c

FORM = "=IiQQQQqq"  # struct control
COUNTERS = struct.calcsize("=IiQQ")
CLOCK = struct.calcsize("=IiQQQQ")


class Failing:
    """The page that a gateway and its test share. `env` goes to the gateway."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "control")
        with open(self.path, "wb") as f:
            f.write(bytes(mmap.PAGESIZE))
        with open(self.path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 0)
        self.env = {"LD_PRELOAD": LIBRARY, "FAILING_CONTROL": self.path}

    def arm(self, name, error, first=0, count=1):
        """From now on the calls first ... first + count - 1 of a class fail."""
        self.disarm()
        struct.pack_into("=iQQQQ", self.page, 4, error, first, count, 0, 0)
        struct.pack_into("=I", self.page, 0, CLASSES.index(name))

    def disarm(self):
        """Nothing fails any more; (calls seen, calls failed) since it was armed."""
        struct.pack_into("=I", self.page, 0, 0)
        return struct.unpack_from("=QQ", self.page, COUNTERS)

    def move_clock(self, seconds):
        """The wall clock is so many seconds ahead of the machine's."""
        struct.pack_into("=q", self.page, CLOCK, int(seconds * 1e9))

    def calls(self):
        """How many were seen since it was armed."""
        return struct.unpack_from("=Q", self.page, COUNTERS)[0]

    def hold_resolver(self, holds):
        """Whether a name takes for ever before it fails."""
        struct.pack_into("=q", self.page, CLOCK + 8, int(holds))
