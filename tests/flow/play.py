"""Plays a scenario: starts its experts and a gateway, runs the clients' scripts, and collects what
went wrong anywhere. README.md in this folder describes the verbs."""
import json
import os
import re
import signal
import socket
import threading

from gateway import BINARY, ROOT, Gateway
from report import Skip
from wire import PATIENCE_S, Body, Conn, Cut, Failure, Head, Reply, request_bytes

from scenario import BadScenario

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable"}

# In no scenario may these reach a log or, the first, a client.
KEY_MARK = "sk-secret"        # part of every key in a scenario
PROMPT_MARK = "zebra-prompt"  # part of prompts whose privacy matters


# The gateway serves experts at a numeric address with a client of its own, names through libcurl.
EXPERT_HOST = os.environ.get("EXPERT_HOST", "127.0.0.1")


def kernel_keeps():
    """The most bytes that the kernel keeps of one connection: of its sender, and for its reader."""
    most = 0
    for name in ("tcp_wmem", "tcp_rmem"):
        with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as f:
            most += int(f.read().split()[2])
    return most


def expect(claim, message):
    if not claim:
        raise Failure(message)


def json_at(document, path):
    """The value at a.b.0.c, or raises KeyError."""
    value = document
    for part in path.split("."):
        if isinstance(value, list):
            if not part.isdigit() or int(part) >= len(value):
                raise KeyError(path)
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value[part]
        else:
            raise KeyError(path)
    return value


def check_json(raw, args):
    """PATH = JSON | PATH ~ REGEX | PATH absent, on the bytes of a document."""
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise Failure(f"not JSON ({error}): {raw[:500]!r}") from None
    match = re.fullmatch(r"(\S+) (?:(=|~) (.*)|absent)", args)
    if match is None:
        raise BadScenario(f"cannot read: json {args}")
    path, operator, wanted = match.groups()
    try:
        value = json_at(document, path)
    except KeyError:
        expect(operator is None, f"no {path} in {raw[:1000]!r}")
        return
    expect(operator is not None, f"{path} is there: {value!r}")
    if operator == "=":
        expect(value == json.loads(wanted) and isinstance(value, type(json.loads(wanted))),
               f"{path} is {json.dumps(value)}, not {wanted}")
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        expect(re.search(wanted, text), f"{path} is {text!r}, does not match /{wanted}/")


def check_header(head, args, is_there=True):
    """NAME: VALUE | NAME ~ REGEX | NAME, on a head."""
    match = re.fullmatch(r"([\w-]+)(?:(: ?| ~ )(.*))?", args)
    if match is None:
        raise BadScenario(f"cannot read: header {args}")
    name, operator, wanted = match.groups()
    values = head.all(name)
    if not is_there:
        expect(not values, f"header {name} is there: {values}")
    elif operator is None:
        expect(values, f"no header {name} in {head.raw!r}")
    elif operator == " ~ ":
        expect(any(re.search(wanted, value) for value in values),
               f"header {name} is {values}, does not match /{wanted}/")
    else:
        expect(values == [wanted], f"header {name} is {values}, not [{wanted!r}]")


def check_bytes(got, wanted, what):
    if got == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b),
              min(len(got), len(wanted)))
    raise Failure(f"{what} differs at byte {at} (of {len(got)}, wanted {len(wanted)}): "
                  f"{got[max(0, at - 60):at + 60]!r} and not "
                  f"{wanted[max(0, at - 60):at + 60]!r}")


def with_model(body, model):
    """The bytes of a request with the value of the first "model" exchanged."""
    changed, count = re.subn(rb'("model"\s*:\s*)"(?:[^"\\]|\\.)*"',
                             lambda m: m.group(1) + json.dumps(model).encode(), body, count=1)
    expect(count == 1, "the client's body has no model to exchange")
    return changed


def is_insertion(longer, shorter):
    """Whether `longer` is `shorter` with one run of bytes put in somewhere."""
    extra = len(longer) - len(shorter)
    if extra <= 0:
        return False
    at = 0
    while at < len(shorter) and longer[at] == shorter[at]:
        at += 1
    # bytes at the edge of the insertion may repeat: it may start earlier than where they differ
    return any(longer[:i] + longer[i + extra:] == shorter for i in range(at, -1, -1))


class Stage:
    """What the threads of one scenario share."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.lock = threading.Lock()
        self.signals = {}
        self.failures = []
        self.sent_bodies = []   # of clients, in order
        self.reply_bodies = {}  # expert -> number of its request that came last, the body it sent for that
        self.received = []      # connections of clients
        self.over = threading.Event()
        self.gateway = None
        self.experts = {}

    def event(self, name):
        with self.lock:
            return self.signals.setdefault(name, threading.Event())

    def wait(self, name):
        expect(self.event(name).wait(PATIENCE_S), f"nobody signalled {name}")

    def fail(self, who, step, error):
        where = f"{who}, line {step.line}: {step.verb} {step.args}" if step else who
        with self.lock:
            self.failures.append(f"{where}: {error}")

    def fill_in(self, text):
        """@NAME@ is the base URL of an expert, @root@ the project's folder."""
        for name, expert in self.experts.items():
            text = text.replace(f"@{name}@", f"http://{EXPERT_HOST}:{expert.port}")
        return text.replace("@root@", ROOT)


class Expert:
    """A scripted upstream: for its n-th request it plays its n-th script, the last one for all
    further ones."""

    def __init__(self, stage, name, options, scripts):
        self.stage, self.name, self.scripts = stage, name, scripts
        self.requests = 0
        self.played = set()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.is_closing = False
        if "refuses" not in options:  # bound and not listening: the port stays ours, and refuses
            self.socket.listen(512)
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(Conn(sock),), daemon=True).start()

    def _serve(self, conn):
        step = None
        try:
            while not self.is_closing:
                if not conn.buffer and not self._more(conn):
                    return
                turn = ExpertTurn(self, conn)
                for step in turn.script:
                    turn.play(step)
                step = None
                if turn.is_over:
                    return
        except (Failure, BadScenario, AssertionError) as error:
            self.stage.fail(f"expert {self.name}", step, error)
        except OSError as error:
            if not self.is_closing:
                self.stage.fail(f"expert {self.name}", step, error)
        finally:
            conn.close()

    def _more(self, conn):
        """Waits for the next request on a kept connection, until the scenario is over."""
        conn.sock.settimeout(None)
        try:
            data = conn.sock.recv(65536)
        except OSError:
            return False
        conn.buffer += data
        return data != b""

    def close(self):
        self.is_closing = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def unplayed(self):
        return [i for i, script in enumerate(self.scripts)
                if i not in self.played and all(step.verb != "never" for step in script)]


class ExpertTurn:
    """One request at an expert, and the verbs that answer it."""

    def __init__(self, expert, conn):
        self.expert, self.stage, self.conn = expert, expert.stage, conn
        self.head = Head(conn.until(b"\r\n\r\n"))
        self.body = Body(conn, self.head, is_request=True).whole()
        with self.stage.lock:
            self.number = expert.requests
            self.turn = min(self.number, len(expert.scripts) - 1)
            expert.requests += 1
            expert.played.add(self.turn)
        self.script = expert.scripts[self.turn]
        self.extra_headers = []
        self.is_chunked = False
        self.is_over = False
        self.was_filled = False  # by a verb that the gateway may cut short
        self.sent = b""

    def play(self, step):
        method = getattr(self, "do_" + step.verb.replace("-", "_"), None)
        if method is None:
            raise BadScenario(f"experts know no verb {step.verb}")
        method(step)

    def do_never(self, step):
        raise Failure("this expert must not be asked")

    def do_wait(self, step):
        self.stage.wait(step.args)

    def do_signal(self, step):
        self.stage.event(step.args).set()

    def do_header(self, step):
        self.extra_headers.append(step.args)

    def do_expect(self, step):
        what, _, args = step.args.partition(" ")
        if what == "header":
            check_header(self.head, args)
        elif step.args.startswith("no header "):
            check_header(self.head, args[len("header "):], is_there=False)
        elif what == "path":
            expect(self.head.first.split(" ")[1] == args, f"asked for {self.head.first!r}")
        elif what == "json":
            check_json(self.body, args)
        elif what == "body" and step.text is not None:
            check_bytes(self.body, step.text.encode(), "the body")
        elif what == "body":
            self._expect_client_body(args)
        elif what == "gone":
            self.conn.wait_gone()
            self.is_over = True
        else:
            raise BadScenario(f"experts cannot expect {step.args}")

    def _expect_client_body(self, args):
        """as the client's [with model NAME] [and an insertion]"""
        match = re.fullmatch(r"as the client's(?: with model (\S+))?( and an insertion)?", args)
        if match is None:
            raise BadScenario(f"cannot read: body {args}")
        with self.stage.lock:
            wanted = self.stage.sent_bodies[-1]
        if match.group(1):
            wanted = with_model(wanted, match.group(1))
        if match.group(2):
            expect(is_insertion(self.body, wanted),
                   f"{self.body!r} is not the client's body with one insertion ({wanted!r})")
        else:
            check_bytes(self.body, wanted, "the body")

    def _head(self, status, content_type, framing):
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Odd')}"]
        if content_type:
            lines.append(f"Content-Type: {content_type}")
        lines += self.extra_headers + framing
        self.conn.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def _keep(self, data):
        self.sent += data
        with self.stage.lock:
            last, _ = self.stage.reply_bodies.get(self.expert.name, (0, b""))
            if self.number >= last:  # a reply that nobody waits for may end late
                self.stage.reply_bodies[self.expert.name] = (self.number, self.sent)

    def do_reply(self, step):
        """STATUS [CONTENT-TYPE], text below: a whole reply with Content-Length"""
        status, _, content_type = step.args.partition(" ")
        data = (step.text or "").encode()
        self._head(int(status), content_type or "application/json",
                   [f"Content-Length: {len(data)}"])
        self._keep(data)
        self.conn.send(data)

    def do_head(self, step):
        """STATUS CONTENT-TYPE chunked | length N | close: a head, the body follows by `bytes`"""
        match = re.fullmatch(r"(\d+) (.+) (chunked|close|length \d+)", step.args)
        if match is None:
            raise BadScenario(f"cannot read: head {step.args}")
        framing = {"chunked": ["Transfer-Encoding: chunked"], "close": ["Connection: close"]}.get(
            match.group(3), [f"Content-Length: {match.group(3)[7:]}"])
        self.is_chunked = match.group(3) == "chunked"
        self._head(int(match.group(1)), match.group(2), framing)

    def do_sse(self, step):
        self.is_chunked = True
        self._head(200, "text/event-stream", ["Transfer-Encoding: chunked"])

    def _put(self, data):
        self._keep(data)
        if self.is_chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.conn.send(data)

    def do_bytes(self, step):
        """"QUOTED" or text below: bytes of the body, in one chunk"""
        self._put(step.text.encode() if step.text is not None else step.quoted())

    def do_fill(self, step):
        """N: so many bytes of the body; the gateway may leave meanwhile"""
        self.was_filled = True
        try:
            self._put(b"x" * int(step.args))
        except OSError:
            self.is_over = True

    def do_event(self, step):
        self._put(b"data: " + step.args.encode() + b"\n\n")

    def do_token(self, step):
        """A chat completion chunk with this content, as OpenAI spells it"""
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                 "model": "scripted", "choices": [{"index": 0, "delta": {"content": step.args},
                                                   "finish_reason": None}]}
        self._put(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")

    def do_stop(self, step):
        """The chunk that says finish_reason stop"""
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
                 "model": "scripted", "choices": [{"index": 0, "delta": {},
                                                   "finish_reason": "stop"}]}
        self._put(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")

    def do_answer(self, step):
        """A whole chat completion that says this"""
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
                 "model": "scripted", "choices": [
                     {"index": 0, "message": {"role": "assistant", "content": step.args},
                      "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
        data = json.dumps(reply).encode()
        self._head(200, "application/json", [f"Content-Length: {len(data)}"])
        self._keep(data)
        self.conn.send(data)

    def do_done(self, step):
        self._put(b"data: [DONE]\n\n")
        self.do_end(step)

    def do_end(self, step):
        """The gateway may have left after a `fill`, and the kernel may tell us only now"""
        try:
            if self.is_chunked and not self.is_over:
                self.conn.send(b"0\r\n\r\n")
                return
        except OSError:
            if not self.was_filled:
                raise
        self.is_over = True

    def do_wire(self, step):
        self.conn.send(step.quoted())

    def do_flood(self, step):
        """N: events of 1 kB without end, up to N bytes and what the kernel may keep on the way, until
        the reader no longer takes them for a while; then the signal `flooded` and how many in the
        stage"""
        event = b"data: " + b"f" * 1016 + b"\n\n"
        chunk = b"400\r\n" + event + b"\r\n"
        self.conn.sock.settimeout(2)
        total = 0
        try:
            while total < int(step.args) + kernel_keeps():
                self.conn.sock.sendall(chunk)
                total += len(event)
        except OSError:  # no progress, or cut off
            pass
        self.is_over = True
        self.stage.flooded = total
        self.stage.event("flooded").set()

    def do_cut(self, step):
        self.is_over = True
        self.conn.close()

    def do_reset(self, step):
        self.is_over = True
        self.conn.reset()

    def do_silence(self, step):
        """Says nothing until the peer leaves or the scenario is over"""
        self.is_over = True
        self.conn.sock.settimeout(0.05)
        while not self.stage.over.is_set():
            try:
                if self.conn.sock.recv(65536) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return


class Client:
    """The verbs of a client's script."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.port = stage.gateway.port
        self.conn = None
        self.method = "POST"
        self.headers = []
        self.reply = None
        self.event = None

    def run(self, script):
        step = None
        try:
            for step in script:
                self._play(step)
        except (Failure, BadScenario, OSError, ValueError) as error:
            self.stage.fail(self.name, step, f"{type(error).__name__}: {error}"
                            if not isinstance(error, Failure) else error)
        finally:
            if self.conn is not None:
                self.conn.close()

    def _play(self, step):
        method = getattr(self, "do_" + step.verb.replace("-", "_"), None)
        if method is None:
            raise BadScenario(f"clients know no verb {step.verb}")
        method(step)

    def _connect(self, rcvbuf=None):
        if self.conn is not None:
            self.conn.close()
        self.conn, self.reply = Conn.open(self.port, rcvbuf), None
        with self.stage.lock:
            self.stage.received.append(self.conn)

    def do_connect(self, step):
        """[receive-buffer N]: a new connection"""
        self._connect(int(step.args.split()[1]) if step.args else None)

    def do_use(self, step):
        """admin | main: which port the next connection goes to"""
        gateway = self.stage.gateway
        self.port = {"admin": gateway.admin, "main": gateway.port}[step.args]
        if self.conn is not None:
            self.conn.close()
        self.conn = self.reply = None

    def do_header(self, step):
        name, _, value = step.args.partition(":")
        self.headers.append((name, value.strip()))

    def _finish_reply(self):
        """Reads what is left of the reply before, so that the connection can be used again."""
        if self.conn is None:
            self._connect()
        elif self.reply is not None:
            self.reply.body()

    def _request(self, method, path, body):
        self._finish_reply()
        if body is not None:
            with self.stage.lock:
                self.stage.sent_bodies.append(body)
        self.method, self.reply = method, None
        headers, self.headers = self.headers, []
        self.conn.send(request_bytes(method, path, headers, body, self.port))

    def do_request(self, step):
        method, _, path = step.args.partition(" ")
        self._request(method, path, step.text.encode() if step.text is not None else None)

    def do_get(self, step):
        self._request("GET", step.args, None)

    def do_post(self, step):
        self._request("POST", step.args, (step.text or "").encode())

    def do_chat(self, step):
        """MODEL [stream] TEXT: a chat request with one message"""
        match = re.fullmatch(r"(\S+)( stream)?(?: (.*))?", step.args)
        stream = ',"stream":true' if match.group(2) else ""
        body = (f'{{"model":{json.dumps(match.group(1))},"messages":[{{"role":"user","content":'
                f'{json.dumps(match.group(3) or "hello")}}}]{stream}}}')
        self._request("POST", "/v1/chat/completions", body.encode())

    def do_wire(self, step):
        self._finish_reply()
        self.reply = None
        self.conn.send(step.quoted())

    def do_repeat(self, step):
        """N TEXT: the text N times on the wire"""
        count, _, text = step.args.partition(" ")
        self.conn.send(text.encode() * int(count))

    def do_wait(self, step):
        self.stage.wait(step.args)

    def do_signal(self, step):
        self.stage.event(step.args).set()

    def do_close(self, step):
        self.conn.close()
        self.conn = self.reply = None

    def do_reset(self, step):
        self.conn.reset()
        self.conn = self.reply = None

    def do_next(self, step):
        """The next reply on this connection (pipelining)"""
        self._reply().body()
        self.reply = None

    def do_gateway(self, step):
        """hangup | terminate: a signal to the gateway"""
        number = {"hangup": signal.SIGHUP, "terminate": signal.SIGTERM}[step.args]
        self.stage.gateway.signal(number)

    def do_config(self, step):
        self.stage.gateway.write_config(self.stage.fill_in(step.text + "\n"))

    def _reply(self):
        if self.reply is None:
            self.reply = Reply(self.conn, self.method)
        return self.reply

    def do_expect(self, step):
        what, _, args = step.args.partition(" ")
        if step.args == "body" and step.text is not None:
            check_bytes(self._reply().body(), step.text.encode(), "the body")
            return
        method = getattr(self, "expect_" + what, None)
        if method is None:
            raise BadScenario(f"clients cannot expect {step.args}")
        method(args)

    def expect_status(self, args):
        """REGEX: 200, 502|504"""
        reply = self._reply()
        if not re.fullmatch(args, str(reply.status)):
            body = b"" if reply.status == 200 else reply.body()
            raise Failure(f"status {reply.status}: {body[:500]!r}")

    def expect_continue(self, args):
        """100 Continue comes before the body is sent"""
        head = Head(self.conn.until(b"\r\n\r\n"))
        expect(head.first.startswith("HTTP/1.1 100 "), f"it says {head.first!r}")

    def expect_header(self, args):
        check_header(self._reply().head, args)

    def expect_no(self, args):
        what, _, rest = args.partition(" ")
        if what == "header":
            check_header(self._reply().head, rest, is_there=False)
        elif what == "output":
            match = re.search(rest, self.stage.gateway.output())
            expect(match is None, f"the gateway said {match and match.group(0)!r}")
        elif args == "more events":
            event = self._reply().event()
            expect(event is None, f"there is one more event: {event!r}")
        elif what == "body":
            expect(self._reply().body() == b"", f"there is a body: {self.reply.body()[:200]!r}")
        else:
            raise BadScenario(f"clients cannot expect no {args}")

    def expect_body(self, args):
        """as EXPERT sent | ~ REGEX"""
        match = re.fullmatch(r"as (\S+) sent", args)
        if match:
            body = self._reply().body()
            check_bytes(body, self.stage.reply_bodies[match.group(1)][1], "the body")
        elif args.startswith("~ "):
            text = self._reply().body().decode("utf-8", "replace")
            expect(re.search(args[2:], text), f"the body does not match: {text[:2000]!r}")
        else:
            raise BadScenario(f"cannot read: body {args}")

    def expect_json(self, args):
        check_json(self._reply().body(), args)

    def expect_error(self, args):
        """STATUS CODE: an error in OpenAI's shape"""
        status, _, code = args.partition(" ")
        self.expect_status(status)
        check_header(self._reply().head, "content-type ~ ^application/json")
        error = json.loads(self.reply.body()).get("error")
        expect(isinstance(error, dict) and set(error) == {"message", "type", "param", "code"},
               f"not OpenAI's shape: {self.reply.body()!r}")
        expect(isinstance(error["message"], str) and error["message"]
               and isinstance(error["type"], str), f"no message or type: {error}")
        expect(code == "" or error["code"] == code, f"code is {error['code']!r}")

    def expect_event(self, args):
        """TEXT | ~ REGEX | json PATH ...: the next event's data"""
        event = self._reply().event()
        expect(event is not None, "the stream ended")
        if args.startswith("~ "):
            expect(re.search(args[2:], event.decode()), f"the event is {event!r}")
        elif args.startswith("json "):
            data = b"\n".join(line[5:].lstrip() for line in event.split(b"\n")
                              if line.startswith(b"data:"))
            check_json(data, args[5:])
        else:
            check_bytes(event, b"data: " + args.encode(), "the event")

    def expect_token(self, args):
        self.expect_event("json choices.0.delta.content = " + json.dumps(args))

    def _read_to_any_end(self):
        try:
            while self._reply().piece() != b"":
                pass
        except Cut:
            pass
        return self.reply.unread()

    def expect_nothing(self, args):
        """more: what came so far is all, whether the end is a proper one or not"""
        rest = self._read_to_any_end()
        expect(rest == b"", f"there is more: {rest!r}")

    def expect_rest(self, args):
        """~ REGEX: on what follows the last event, up to the end, proper or not"""
        rest = self._read_to_any_end().decode("utf-8", "replace")
        expect(re.search(args[2:], rest), f"the rest does not match: {rest!r}")

    def expect_cut(self, args):
        """The reply does not come to its proper end"""
        try:
            while self._reply().piece() != b"":
                pass
        except Cut:
            return
        raise Failure("the reply came to its proper end")

    def expect_closed(self, args):
        """The gateway closes the connection, having said no more than was read"""
        if self.reply is not None:
            self.reply.body()
        rest = self.conn.rest()
        expect(rest == b"", f"before it closed it said {rest[:500]!r}")

    def expect_open(self, args):
        """The connection is kept: it answers once more"""
        self._reply().body()
        self.reply = None
        self.conn.send(request_bytes("GET", "/healthz", [], None, self.port))
        reply = Reply(self.conn, "GET")
        expect(reply.status == 200, f"/healthz says {reply.status}")
        reply.body()

    def expect_output(self, args):
        self.stage.gateway.wait_output(args)

    def expect_exit(self, args):
        code = self.stage.gateway.wait_exit()
        expect(code == int(args), f"it ended with {code}")

    def expect_requests(self, args):
        """EXPERT N: how many requests an expert has seen"""
        name, count = args.split()
        seen = self.stage.experts[name].requests
        expect(seen == int(count), f"expert {name} saw {seen}")

    def expect_flooded(self, args):
        """at most N: bytes the expert got rid of while nobody read them, besides what the kernel keeps"""
        self.stage.wait("flooded")
        limit = int(args.split()[-1]) + kernel_keeps()
        expect(self.stage.flooded <= limit, f"it took {self.stage.flooded} bytes of {limit}")

    def expect_memory(self, args):
        """at most N: resident kB of the gateway, without those of its files"""
        with open(f"/proc/{self.stage.gateway.process.pid}/status", encoding="ascii") as f:
            used = int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        limit = int(args.split()[-1])
        # sanitizers keep freed memory and shadows of it: the figure says nothing there
        expect(used <= limit or "asan" in BINARY or "tsan" in BINARY, f"it has {used} kB")


def _check_secrets(stage):
    output = stage.gateway.output()
    for conn in stage.received:
        if KEY_MARK.encode() in conn.received:
            stage.fail("secrets", None, f"a key reached a client: {conn.received[:2000]!r}")
    for mark in (KEY_MARK, PROMPT_MARK):
        if mark in output:
            at = output.index(mark)
            stage.fail("secrets", None, f"{mark} in the log: {output[max(0, at - 300):at + 50]!r}")


def _run_clients(stage):
    clients = [Client(stage, name) for name in stage.scenario.clients]
    threads = [threading.Thread(target=client.run, args=(script,)) for client, script
               in zip(clients, stage.scenario.clients.values())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def play(scenario):
    """Runs one scenario; raises Failure with everything that went wrong."""
    for path in scenario.needs:
        if not os.path.exists(os.path.join(ROOT, path)):
            raise Skip(f"{path} is not there")
    stage = Stage(scenario)
    stage.experts = {name: Expert(stage, name, options, scripts)
                     for name, (options, scripts) in scenario.experts.items()}
    try:
        stage.gateway = Gateway(stage.fill_in(scenario.config))
        try:
            _run_clients(stage)
        finally:
            stage.over.set()
            try:
                stage.gateway.stop()
            except Failure as failure:
                stage.fail("the end", None, failure)
        _check_secrets(stage)
        for name, expert in stage.experts.items():
            for index in expert.unplayed():
                stage.fail(f"expert {name}", None, f"request {index + 1} never came")
    finally:
        stage.over.set()
        for expert in stage.experts.values():
            expert.close()
    if stage.failures:
        raise Failure("\n".join(stage.failures))
