"""An upstream whose behaviour is a Python function: for tests that are too large for a script."""
import json
import socket
import threading

from wire import Body, Conn, Failure, Head


class Expert:
    """Calls handle(conn, head, body) for each request; it writes the reply and returns True to
    keep the connection. What it raises is kept in `errors`."""

    def __init__(self, handle, tls=None, listener=None):
        """tls: an SSLContext, or None to speak plainly. listener: a socket that listens already."""
        self.handle = handle
        self.tls = tls
        self.errors = []
        self.requests = 0
        self.connections = 0
        self.bytes_seen = 0
        if listener is None:
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(1024)
        self.listener = listener
        host, self.port = listener.getsockname()
        self.url = f"http://{host}:{self.port}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        conn = Conn(sock)
        try:
            if self.tls is not None:
                conn.sock = self.tls.wrap_socket(sock, server_side=True)
            while True:
                conn.sock.settimeout(None)
                if not conn.buffer:
                    data = conn.sock.recv(65536)
                    if data == b"":
                        return
                    self.bytes_seen += len(data)
                    conn.buffer += data
                head = Head(conn.until(b"\r\n\r\n"))
                body = Body(conn, head, is_request=True).whole()
                self.requests += 1
                if not self.handle(conn, head, body):
                    return
        except (OSError, Failure):
            pass  # the gateway left; whether it should have is the test's business
        except Exception as error:  # a wrong expectation inside handle
            self.errors.append(error)
        finally:
            conn.close()


def send_reply(conn, data, status=200, content_type="application/json"):
    conn.send(b"HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
              % (status, content_type.encode(), len(data), data))
    return True


def send_stream(conn, pieces, content_type="text/event-stream"):
    """Each piece as an HTTP chunk of its own, then the end."""
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
              % content_type.encode())
    for piece in pieces:
        conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    conn.send(b"0\r\n\r\n")
    return True


def completion(text):
    """A chat completion that says this, as bytes."""
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).encode()


def token_event(text, finish=None):
    """An event of a chat completion stream, as bytes."""
    delta = {} if text is None else {"content": text}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
             "model": "scripted",
             "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
