"""HTTP/1.1 by hand, for tests: bytes go out exactly as written and come back exactly as they were
on the wire. Both sides use it: the client of a test and the scripted expert. Each wait has a
deadline, so that a test that cannot pass fails and never hangs."""
import os
import socket
import struct
import time

# Generous: a run under a sanitizer or on a busy machine is slow, a hang is for ever.
PATIENCE_S = float(os.environ.get("TEST_PATIENCE_S", "60"))


class Failure(Exception):
    """What was expected did not happen."""


class Crashed(Failure):
    """A gateway ended or complained by itself: no load of the machine explains that."""


class Cut(Failure):
    """The connection ended inside a message."""


class Conn:
    """One connection and all the bytes it ever received."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""      # received and not yet taken
        self.received = b""    # everything
        self.ended = False     # the peer closed its side (or reset)

    @classmethod
    def open(cls, port, rcvbuf=None, host="127.0.0.1"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(PATIENCE_S)
        sock.connect((host, port))
        return cls(sock)

    def send(self, data):
        self.sock.settimeout(PATIENCE_S)
        self.sock.sendall(data)

    def fill(self, deadline=None):
        """Waits for more bytes. False at the end of the connection; Failure when nothing comes."""
        if self.ended:
            return False
        left = PATIENCE_S if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise Failure("nothing came in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise Failure("nothing came in time") from None
        except ConnectionError:
            data = b""
        self.ended = data == b""
        self.buffer += data
        self.received += data
        return not self.ended

    def until(self, mark):
        """Takes everything up to and including the mark."""
        while mark not in self.buffer:
            if not self.fill():
                raise Cut(f"the connection ended before {mark!r}, after {self.buffer[-200:]!r}")
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Cut(f"the connection ended {count - len(self.buffer)} bytes too early")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def some(self):
        """What is there, or what comes next; b"" at the end."""
        if not self.buffer:
            self.fill()
        taken, self.buffer = self.buffer, b""
        return taken

    def rest(self, seconds=None):
        """Everything until the peer closes."""
        deadline = time.monotonic() + (PATIENCE_S if seconds is None else seconds)
        while self.fill(deadline):
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def wait_gone(self):
        """Returns when the peer has closed; Failure when it stays."""
        try:
            while self.fill():
                pass
        except Failure:
            raise Failure("the connection stayed open") from None

    def reset(self):
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Head:
    """The head of a message: its first line and its headers in order."""

    def __init__(self, raw):
        lines = raw.split(b"\r\n")
        self.raw = raw
        self.first = lines[0].decode("latin-1")
        self.headers = []
        for line in lines[1:]:
            if line:
                name, _, value = line.decode("latin-1").partition(":")
                self.headers.append((name, value.strip()))

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class Body:
    """A body as it arrives. `pieces` gives it bit by bit, `whole` to its proper end."""

    def __init__(self, conn, head, is_request=False, has_none=False):
        self.conn = conn
        self.ended = False
        self.chunked = head.get("transfer-encoding", "").lower() == "chunked"
        length = head.get("content-length")
        self.left = int(length) if length is not None else None
        if has_none or (is_request and not self.chunked and self.left is None):
            self.left, self.chunked = 0, False

    def _chunk(self):
        line = self.conn.until(b"\r\n").strip()
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while self.conn.until(b"\r\n") != b"\r\n":
                pass
            return b""
        data = self.conn.exactly(size)
        if self.conn.exactly(2) != b"\r\n":
            raise Failure("a chunk does not end with CRLF")
        return data

    def piece(self):
        """The next bytes, b"" at the proper end. Cut when it ends before that."""
        if self.ended:
            return b""
        if self.chunked:
            data = self._chunk()
        elif self.left is None:
            data = self.conn.some()
        else:
            data = b""
            if self.left > 0:
                data = self.conn.exactly(min(self.left, max(1, len(self.conn.buffer))))
                self.left -= len(data)
        self.ended = data == b""
        return data

    def whole(self):
        data = b""
        while True:
            piece = self.piece()
            if piece == b"":
                return data
            data += piece


class Reply:
    """A reply whose head has been read."""

    def __init__(self, conn, method="POST"):
        self.conn = conn
        self.head = Head(conn.until(b"\r\n\r\n"))
        while self.head.first.startswith("HTTP/1.1 100"):
            self.head = Head(conn.until(b"\r\n\r\n"))
        parts = self.head.first.split(" ")
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise Failure(f"not a status line: {self.head.first!r}")
        self.status = int(parts[1])
        has_none = method == "HEAD" or self.status in (204, 304)
        self.stream = Body(conn, self.head, has_none=has_none)
        self._body = None
        self.taken = b""    # of the body so far
        self._events_end = 0  # of the events that were read

    def body(self):
        if self._body is None:
            self._body = self.taken + self.stream.whole()
        return self._body

    def piece(self):
        data = self.stream.piece()
        self.taken += data
        return data

    def unread(self):
        """What has come of the body behind the last event."""
        return self.taken[self._events_end:]

    def event(self):
        """The bytes of the next server-sent event without its blank line; None at the end."""
        while b"\n\n" not in self.unread():
            if self.piece() == b"":
                if self.unread():
                    raise Failure(f"the stream ends inside an event: {self.unread()!r}")
                return None
        event = self.unread().partition(b"\n\n")[0]
        self._events_end += len(event) + 2
        return event


def request_bytes(method, path, headers=(), body=None, port=0):
    """A request with Host, and Content-Length where there is a body, unless headers say else."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: 127.0.0.1:{port}")
    if body is not None and "content-type" not in names:
        lines.append("Content-Type: application/json")
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def exchange(port, method, path, headers=(), body=None):
    """One request on a connection of its own; the reply with its body read."""
    conn = Conn.open(port)
    try:
        conn.send(request_bytes(method, path, headers, body, port))
        reply = Reply(conn, method)
        reply.body()
        return reply
    finally:
        conn.close()
