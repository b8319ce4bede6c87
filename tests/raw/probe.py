"""One raw payload against a gateway: what came back, and what got through to the expert."""
import json
import re
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True

from expert import Expert, completion, send_reply  # noqa: E402
from gateway import Gateway  # noqa: E402
from wire import PATIENCE_S, Conn, Failure, Reply  # noqa: E402

# The gateway's deadlines here: for heads, for bodies, for idle connections. Far more than lies between a
# connect and the bytes that follow it, on a machine that has other things to do.
CLOSE_MS = 5000


def chat_body(text):
    return json.dumps({"model": "main", "messages": [{"role": "user", "content": text}]}).encode()


def hidden_request(marker, fields=b"Connection: close\r\n"):
    """A whole request that reaches the expert, and names itself there, if it is ever served. It asks for the
    end of the connection, which nobody has to wait for then."""
    body = chat_body(marker)
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"%sContent-Length: %d\r\n\r\n%s" % (fields, len(body), body))


# libmicrohttpd 0.9.75 refuses a malformed Content-Length by itself, before any callback, and writes the
# head of that reply twice before its page; then it closes. Nothing can be smuggled by it, and nobody but
# the sender of the malformed request sees it: tolerated, and counted.
OWN_PAGE = re.compile(rb"</title></head><body>Your HTTP request has (?:wrong|too large) value for "
                      rb"<b>Content-Length</b> header\.</body></html>$")


class Answer:
    """What a gateway said to one payload until it closed or fell silent."""

    def __init__(self):
        self.statuses = []
        self.closed = False
        self.junk = b""  # bytes that are no HTTP reply
        self.is_doubled = False  # see OWN_PAGE


class Target:
    """A gateway with short deadlines and an expert that remembers the prompts it saw."""

    def __init__(self, limits="", workers=1):
        self.prompts = set()
        self._lock = threading.Lock()
        self.expert = Expert(self._handle)
        self.gateway = Gateway(
            f"server:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  workers: {workers}\n"
            f"  limits: {{head_ms: {CLOSE_MS}, body_ms: {CLOSE_MS}, idle_ms: {CLOSE_MS}{limits}}}\n"
            f"experts:\n  main: {{url: {self.expert.url}}}\n")

    def _handle(self, conn, head, body):
        with self._lock:
            self.prompts.add(json.loads(body)["messages"][-1]["content"])
        return send_reply(conn, completion("ok"))

    def saw(self, marker):
        with self._lock:
            return marker in self.prompts

    def ask(self, payload, patience_s=PATIENCE_S):
        """Sends the payload on a connection of its own and reads all replies."""
        answer = Answer()
        conn = Conn.open(self.gateway.port)
        try:
            try:
                conn.send(payload)
            except OSError:
                pass  # refused before all was sent: the answer counts
            try:
                conn.buffer = conn.rest(patience_s)
                answer.closed = True
            except Failure:
                pass
            conn.ended = True  # what follows only reads the buffer
            while conn.buffer:
                start = conn.buffer
                try:
                    reply = Reply(conn)
                    answer.statuses.append(reply.status)
                    reply.body()
                except (Failure, ValueError):
                    answer.is_doubled = OWN_PAGE.search(start) is not None
                    answer.junk = b"" if answer.is_doubled else start
                    break
        finally:
            conn.close()
        return answer

    def serves(self):
        """Whether it still answers a lawful request."""
        return self.ask(hidden_request("still there?")).statuses == [200]

    def stop(self):
        try:
            self.gateway.stop()
        finally:
            self.expert.close()
