"""A cable between two network namespaces: TCP of the kernel on both ends, and a program between them that
does what networks do. Packets are late, lost, doubled, overtaken, too many for the line; or the cable is
cut, one way or both, and mended. No netem, no firewall: two TUN devices, a heap and a seeded generator.

Only for a process that was started in namespaces of its own: see partitions.py."""
import ctypes
import fcntl
import heapq
import itertools
import os
import queue
import random
import select
import socket
import struct
import subprocess
import threading
import time

from wire import PATIENCE_S, Failure

NEAR, FAR = "10.99.0.1", "10.99.0.2"
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454ca
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_BYTES = 65536
QUEUE_BYTES = 256 * 1024  # of one direction, on its way; what comes then is lost, as in a router


class Line:
    """One direction of the cable. Its settings may change at any time."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.delay_s = 0.0
        self.jitter_s = 0.0       # more, at random: packets overtake each other
        self.loss = 0.0           # share of packets
        self.twice = 0.0          # share of packets that come two times
        self.bytes_per_s = None
        self.is_cut = False
        self.meddle = None        # packet -> (what goes on, what goes back): lists of packets
        self.dropped = 0
        self.passed = 0
        self._free_s = 0.0        # when the line has sent all that it was given
        self._changed = threading.Condition()

    def _drop(self):
        with self._changed:
            self.dropped += 1
            self._changed.notify_all()

    def wait_dropped(self, count):
        """Waits until so many more packets are lost."""
        with self._changed:
            wanted = self.dropped + count
            if not self._changed.wait_for(lambda: self.dropped >= wanted, PATIENCE_S):
                raise Failure(f"only {self.dropped - wanted + count} of {count} packets were lost")

    def times(self, packet, now):
        """When the packet arrives: not at all, once or two times."""
        late = self._free_s - now
        is_full = self.bytes_per_s is not None and late * self.bytes_per_s > QUEUE_BYTES
        if self.is_cut or is_full or self.random.random() < self.loss:
            self._drop()
            return []
        if self.bytes_per_s is not None:
            self._free_s = max(now, self._free_s) + len(packet) / self.bytes_per_s
            now = self._free_s
        count = 2 if self.random.random() < self.twice else 1
        return [now + self.delay_s + self.random.random() * self.jitter_s for _ in range(count)]

    def deliver(self, device, packet):
        if self.is_cut:  # while it was on its way
            self._drop()
            return
        self.passed += 1
        try:
            os.write(device, packet)
        except OSError:
            self._drop()  # the device is full, or it does not like the packet


class _Elsewhere(threading.Thread):
    """A thread in a network namespace of its own: sockets that are made there stay there."""

    def __init__(self):
        super().__init__(daemon=True)
        self.jobs = queue.Queue()
        self.start()
        self.call(self._leave)

    @staticmethod
    def _leave():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def run(self):
        while True:
            function, done = self.jobs.get()
            try:
                done.put((function(), None))
            except BaseException as error:  # is raised where it was asked for
                done.put((None, error))

    def call(self, function):
        done = queue.Queue()
        self.jobs.put((function, done))
        result, error = done.get()
        if error is not None:
            raise error
        return result


def _device(address, peer):
    """A TUN device in the namespace of the thread."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN | IFF_NO_PI))
    for words in (f"addr add {address} peer {peer} dev cable", "link set cable up",
                  "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return device


class Cable:
    """`there` goes from near to far, `back` the other way. Ends with the process."""

    def __init__(self, seed):
        self.there, self.back = Line(seed), Line(seed + 1)
        self.elsewhere = _Elsewhere()
        near = _device(NEAR, FAR)
        far = self.elsewhere.call(lambda: _device(FAR, NEAR))
        self.ends = {near: (self.there, far), far: (self.back, near)}
        threading.Thread(target=self._carry, daemon=True).start()

    def set(self, **settings):
        """Of both directions."""
        for line in (self.there, self.back):
            for name, value in settings.items():
                setattr(line, name, value)

    def cut(self):
        self.set(is_cut=True)

    def mend(self):
        self.set(is_cut=False)

    def listen(self):
        """A listening socket in the far namespace."""
        def make():
            listener = socket.socket()
            listener.bind((FAR, 0))
            listener.listen(1024)
            return listener
        return self.elsewhere.call(make)

    def _carry(self):
        poll = select.epoll()
        for device in self.ends:
            poll.register(device, select.EPOLLIN)
        waiting, numbers = [], itertools.count()

        def take(packet, line, to):
            for at in line.times(packet, time.monotonic()):
                heapq.heappush(waiting, (at, next(numbers), line, to, packet))

        while True:
            wait_s = max(0, waiting[0][0] - time.monotonic()) if waiting else -1
            for device, _ in poll.poll(wait_s):
                for packet in _packets(device):
                    line, to = self.ends[device]
                    onward, returned = line.meddle(packet) if line.meddle else ([packet], [])
                    for each in onward:
                        take(each, line, to)
                    for each in returned:
                        os.write(device, each)
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, line, to, packet = heapq.heappop(waiting)
                line.deliver(to, packet)


def _packets(device):
    """Those of IPv4 that wait."""
    while True:
        try:
            packet = os.read(device, PACKET_BYTES)
        except BlockingIOError:
            return
        if packet[0] >> 4 == 4:
            yield packet


# ------------------------------------------------------------------ TCP by hand

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Segment:
    """What a packet of TCP says; None of `parse`: it is none."""

    def __init__(self, packet):
        at = (packet[0] & 15) * 4
        self.source, self.target = packet[12:16], packet[16:20]
        self.source_port, self.target_port, self.number, self.expected = struct.unpack_from(
            "!HHII", packet, at)
        self.flags = packet[at + 13]
        self.size = len(packet) - at - (packet[at + 12] >> 4) * 4

    @classmethod
    def parse(cls, packet):
        return cls(packet) if packet[9] == socket.IPPROTO_TCP else None

    def reset_behind(self):
        """A RST of the same sender, for right behind this segment."""
        return _reset(self.source, self.target, self.source_port, self.target_port,
                      self.number + self.size + (1 if self.flags & SYN else 0), self.expected)

    def reset_to(self, number=None):
        """A RST of the receiver, in answer to it: what a firewall sends that refuses."""
        acknowledged = self.number + self.size + (1 if self.flags & SYN else 0)
        return _reset(self.target, self.source, self.target_port, self.source_port,
                      self.expected if number is None else number, acknowledged)


def _sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _reset(source, target, source_port, target_port, number, acknowledged):
    tcp = struct.pack("!HHIIBBHHH", source_port, target_port, number & 0xffffffff,
                      acknowledged & 0xffffffff, 5 << 4, RST | ACK, 0, 0, 0)
    whole = _sum(source + target + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + \
        source + target
    return ip[:10] + struct.pack("!H", _sum(ip)) + ip[12:] + tcp[:16] + \
        struct.pack("!H", whole) + tcp[18:]
