#!/usr/bin/env python3
"""A fake model server: answers /health with 503 until its load time is over and chat completions with
its name and pid. No model: what it does and fails to do is said by its arguments.

    fake_model.py (--port P | --socket PATH) [--name N] [--load-ms N] [--service-ms N] [--memory-mb N]
                  [--starts FILE] [--fail crash|never|deaf|flood|stubborn|hungry|slow] [--flag FILE] [--child]
                  [--escapes FILE]

crash: ends with status 3 while it loads; never: is never healthy; deaf: goes silent once it is asked;
flood: writes without end; stubborn: ignores SIGTERM; hungry: takes memory without end once it is asked;
slow: does not answer as long as it fails. With --flag the failure holds only while that file
is there. --child: leaves the serving to a child in the same group.
--escapes: also starts a process in a session of its own, without environment, whose parent has ended,
and writes its number to the file: nobody finds that by its group or by what it carries."""
import argparse
import json
import os
import signal
import socket
import sys
import threading
import time


def read_request(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += sock.recv(65536)
    return head.split(b" ")[1].decode(), body


def reply(sock, status, document):
    data = json.dumps(document).encode()
    sock.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                 % (status, len(data), data))


class Model:
    def __init__(self, args):
        self.args = args
        self.ready_at = time.monotonic() + args.load_ms / 1000
        self.is_deaf = False
        self.meals = []

    def fails(self, how):
        is_on = self.args.flag is None or os.path.exists(self.args.flag)
        return self.args.fail == how and is_on

    def answer(self, sock, path, body):
        if path == "/health":
            is_well = time.monotonic() >= self.ready_at and not self.fails("never")
            reply(sock, 200 if is_well else 503, {"status": "ok" if is_well else "loading"})
            return
        if self.fails("deaf"):
            self.is_deaf = True
        while self.fails("hungry"):
            self.meals.append(bytearray(b"x") * (16 << 20))
        while self.is_deaf:
            time.sleep(1)
        while self.fails("slow"):
            time.sleep(0.01)
        time.sleep(self.args.service_ms / 1000)
        asked = json.loads(body)
        text = f"{self.args.name} {os.getpid()}"
        if asked.get("stream"):
            event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake",
                     "choices": [{"index": 0, "delta": {"content": text},
                                  "finish_reason": "stop"}]}
            data = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
            sock.sendall(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
            return
        reply(sock, 200, {
            "id": "c", "object": "chat.completion", "created": 1, "model": "fake",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})

    def serve(self, sock):
        try:
            while True:
                request = read_request(sock)
                if request is None:
                    return
                while self.is_deaf:
                    time.sleep(1)
                self.answer(sock, *request)
        except OSError:
            pass
        finally:
            sock.close()


def listen(args):
    if args.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(args.socket)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", args.port))
    listener.listen(128)
    return listener


def flood():
    line = "flood " * 100
    while True:
        print(line, flush=True)


def escape(path):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(path, "w", encoding="utf-8") as f:
                f.write(str(os.getpid()))
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], {})
        os._exit(0)
    os.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--socket")
    parser.add_argument("--name", default="fake")
    parser.add_argument("--load-ms", type=int, default=0)
    parser.add_argument("--service-ms", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=0)
    parser.add_argument("--starts")
    parser.add_argument("--fail")
    parser.add_argument("--flag")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--escapes")
    args = parser.parse_args()
    if args.child and os.fork() > 0:
        os.wait()
        return
    if args.starts:
        with open(args.starts, "a", encoding="utf-8") as f:
            f.write(f"{args.name} {os.getpid()}\n")
    if args.escapes:
        escape(args.escapes)
    model = Model(args)
    print(f"fake model {args.name}: loading", flush=True)
    ballast = bytearray(os.urandom(1)) * (args.memory_mb << 20)
    if model.fails("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if model.fails("crash"):
        time.sleep(args.load_ms / 1000)
        print("fake model: out of imaginary memory", flush=True)
        sys.exit(3)
    listener = listen(args)
    if model.fails("flood"):
        threading.Thread(target=flood, daemon=True).start()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=model.serve, args=(sock,), daemon=True).start()
        assert len(ballast) >= 0


if __name__ == "__main__":
    main()
