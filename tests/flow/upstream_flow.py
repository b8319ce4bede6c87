"""The matrix of what an expert can do wrong: each kind of fault, alone and with another expert behind
it, for plain answers and for streams, through both HTTP clients. The table says what the client sees;
besides, whatever it says: no more than three calls for a request, errors in OpenAI's shape, and no
stream that ends like a whole one and is not."""
import concurrent.futures
import gzip
import itertools
import json
import socket
import threading

from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from gateway import Gateway
from wire import Conn, Cut, Reply, request_bytes

GOOD = completion("fine")
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
STOP = token_event(None, "stop")
WHOLE = [ROLE, token_event("fine"), STOP, DONE]
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def _sized(head, body):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunks(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def _status(status, body, more=b"", kind=b"application/json"):
    return _sized(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\n%s" % (status, kind, more), body)


def _error(status, code, more=b""):
    body = {"error": {"message": "it is so", "type": "x", "param": None, "code": code}}
    return _status(status, json.dumps(body).encode(), more)


def _stream(*pieces, end=b"0\r\n\r\n"):
    return SSE + CHUNKED + _chunks(*pieces) + end


HTML = b"<html><body>Bad gateway</body></html>"
FAILED = b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":503}}\n\n'
TOKEN = token_event("one")
SHUT, KEEP, RESET, SILENT = "shut", "keep", "reset", "silent"


def _both(raw, then, alone, behind="spare"):
    """The same bytes for plain answers and streams, the same outcome."""
    return {"plain": (raw, then, alone, behind), "stream": (raw, then, alone, behind)}


def _each(plain, stream):
    return {"plain": plain, "stream": stream}


# kind: by mode (bytes on the wire, what then, what the client sees with this expert alone, and with
# another one behind it). A number is the status of an error, "whole" the answer, "spare" the other
# expert's answer, "broken" a stream that ends in an error event, "theirs" in the expert's own.
KINDS = {
    "a proper answer": _each((_sized(JSON, GOOD), KEEP, "whole", "whole"),
                             (_stream(*WHOLE), KEEP, "whole", "whole")),
    "nobody listens": _both(None, None, 502),
    "closed without a byte": _both(b"", SHUT, 502),
    "reset without a byte": _both(b"", RESET, 502),
    "no response": _both(b"", SILENT, 504),
    "half a head": _both(b"HTTP/1.1 200 OK\r\nContent-", SHUT, 502),
    "half a head, then silence": _both(b"HTTP/1.1 200 OK\r\nContent-", SILENT, 504),
    "HTTP/0.9": _both(b'{"choices":[{"message":{"content":"hi"}}]}\n', SHUT, 502),
    "an SSH banner": _both(b"SSH-2.0-OpenSSH_9.2\r\n", SHUT, 502),
    "NULs": _both(b"\0" * 500, SHUT, 502),
    "a status that is no number": _both(b"HTTP/1.1 2x0 OK\r\n\r\n", SHUT, 502),
    "a header of 100 kB": _both(JSON + b"X: " + b"a" * 100000 + b"\r\n\r\n", SHUT, 502),
    "headers without end": _both(JSON + b"X: y\r\n" * 30000, SHUT, 502),
    "100 for ever": _both(b"HTTP/1.1 100 Continue\r\n\r\n" * 30000, SHUT, 502),
    "101": _both(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", SHUT, 502),
    "103 before the answer": _each(
        (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + _sized(JSON, GOOD), KEEP, "whole",
         "whole"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + _stream(*WHOLE), KEEP, "whole",
         "whole")),
    "a redirect": _both(_status(307, b"", b"Location: http://127.0.0.1:9/v1\r\n"), KEEP, 502),
    "204": _both(b"HTTP/1.1 204 No Content\r\n\r\n", KEEP, 502),
    "400": _both(_error(400, "invalid_value"), KEEP, 400, 400),
    "401": _both(_error(401, "invalid_api_key"), KEEP, 502, 502),
    "404": _both(_error(404, "model_not_found"), KEEP, 404, 404),
    "408": _both(_error(408, "timeout"), KEEP, 408),
    "413": _both(_error(413, "too_large"), KEEP, 413, 413),
    "422": _both(_error(422, "unprocessable"), KEEP, 422, 422),
    "a prompt that is too long": _both(_error(400, "context_length_exceeded"), KEEP, 400),
    "a content filter": _both(_error(400, "content_filter"), KEEP, 400, 400),
    "429": _both(_error(429, "rate_limit_exceeded"), KEEP, 429),
    "429 for an hour": _both(_error(429, "rate_limit_exceeded", b"Retry-After: 3601\r\n"), KEEP,
                             429),
    "429 without money": _both(_error(429, "insufficient_quota"), KEEP, 429),
    "500": _both(_error(500, "server_error"), KEEP, 500),
    "503 in HTML": _both(_status(503, HTML, b"", b"text/html"), KEEP, 502),
    "529": _both(_error(529, "overloaded"), KEEP, 529),
    "200 in HTML": _both(_status(200, HTML, b"", b"text/html"), KEEP, 502),
    "200 with nothing": _both(_status(200, b""), KEEP, 502),
    "200 with an error": _both(_error(200, "server_error"), KEEP, 502),
    "200 with an error 429": _both(_error(200, 429), KEEP, 429),
    "200 with a content filter's error": _both(_error(200, "content_filter"), KEEP, 502, 502),
    "200 without choices": _both(_status(200, b'{"id":"x"}'), KEEP, 502),
    "200 with empty choices": _both(_status(200, b'{"choices":[]}'), KEEP, 502),
    "200 with an array": _both(_status(200, b'[{"choices":[{}]}]'), KEEP, 502),
    "compressed though not asked": _each(
        (_sized(JSON + b"Content-Encoding: gzip\r\n", gzip.compress(GOOD)), KEEP, 502, "spare"),
        (_sized(SSE + b"Content-Encoding: gzip\r\n", gzip.compress(b"".join(WHOLE))), KEEP, 502,
         "spare")),
    "two lengths": _each(
        (JSON + b"Content-Length: 5\r\n" + _sized(b"", GOOD), SHUT, 502, "spare"),
        (SSE + b"Content-Length: 5\r\n" + _sized(b"", b"".join(WHOLE)), SHUT, 502, "spare")),
    "a negative length": _both(JSON + b"Content-Length: -5\r\n\r\n" + GOOD, SHUT, 502),
    "an unknown coding": _both(JSON + b"Transfer-Encoding: gzip\r\n\r\n" + GOOD, SHUT, 502),
    "a length that is too short": _each(
        (JSON + b"Content-Length: 40\r\n\r\n" + GOOD, SHUT, 502, "spare"),
        (SSE + b"Content-Length: %d\r\n\r\n" % (len(TOKEN) + 40) + TOKEN + TOKEN + STOP + DONE,
         SHUT, "broken", "broken")),
    "a length that is too long": _each(
        (JSON + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + 9) + GOOD, SHUT, 502, "spare"),
        (SSE + b"Content-Length: 999\r\n\r\n" + TOKEN, SHUT, "broken", "broken")),
    "a chunk cut in the middle": _each(
        (JSON + CHUNKED + _chunks(GOOD)[:60], SHUT, 502, "spare"),
        (_stream(TOKEN, end=b"fff\r\ndata: {"), SHUT, "broken", "broken")),
    "no last chunk": _each(
        (JSON + CHUNKED + _chunks(GOOD), SHUT, 502, "spare"),
        (_stream(TOKEN, STOP, end=b""), SHUT, "broken", "broken")),
    "a chunk size that is no number": _each(
        (JSON + CHUNKED + b"xyz\r\n" + GOOD, SHUT, 502, "spare"),
        (_stream(TOKEN, end=b"xyz\r\n"), SHUT, "broken", "broken")),
    "a chunk of 2^64": _each(
        (JSON + CHUNKED + b"10000000000000000\r\n" + GOOD, SHUT, 502, "spare"),
        (_stream(TOKEN, end=b"10000000000000000\r\nx"), SHUT, "broken", "broken")),
    "a reset inside": _each(
        (JSON + b"Content-Length: 999\r\n\r\n" + GOOD[:20], RESET, 502, "spare"),
        (_stream(TOKEN, end=b""), RESET, "broken", "broken")),
    "a stall inside": _each(
        (JSON + b"Content-Length: 999\r\n\r\n" + GOOD[:20], SILENT, 504, "spare"),
        (_stream(TOKEN, end=b""), SILENT, "broken", "broken")),
    "more than may be": _each(
        (_sized(JSON, b'{"x":"' + b"y" * 200000 + b'","choices":[{}]}'), KEEP, 502, "spare"),
        (_stream(TOKEN, *[token_event("y" * 1000)] * 200), SHUT, "broken", "broken")),
    "bytes that are no UTF-8": _each(
        (_sized(JSON, GOOD.replace(b"fine", b"f\xff\xfee")), KEEP, 502, "spare"),
        (_stream(TOKEN, TOKEN.replace(b"one", b"\xff\xfe"), STOP, DONE), KEEP, "broken", "broken")),
    "JSON that is broken": _each(
        (_sized(JSON, GOOD[:-1]), KEEP, 502, "spare"),
        (_stream(TOKEN, b'data: {"choices":[{"delta":{"content":"a}}]}\n\n', STOP, DONE), KEEP,
         "broken", "broken")),
    "an end without [DONE]": _each(
        (JSON + b"\r\n" + GOOD[:-9], SHUT, 502, "spare"),
        (_stream(TOKEN), KEEP, "broken", "broken")),
    "[DONE] without a reason": _each(
        (_sized(JSON, b"data: [DONE]"), KEEP, 502, "spare"),
        (_stream(TOKEN, DONE), KEEP, "broken", "broken")),
    "an error inside": _each(
        (_sized(JSON, GOOD[:-1] + b'"error":1}'), KEEP, 502, "spare"),
        (_stream(TOKEN, FAILED), KEEP, "theirs", "theirs")),
    # Faults of streams before their first content; plain answers have the like of them above.
    "a stream without events": {"stream": (_stream(), KEEP, 502, "spare")},
    "a stream of nothing but [DONE]": {"stream": (_stream(DONE), KEEP, 502, "spare")},
    "comments, then silence": {"stream": (_stream(b": hi\n\n", end=b""), SILENT, 504, "spare")},
    "a role, then silence": {"stream": (_stream(ROLE, end=b""), SILENT, 504, "spare")},
    "a role, then a cut": {"stream": (_stream(ROLE, end=b""), SHUT, 502, "spare")},
    "a role, then the end": {"stream": (_stream(ROLE), KEEP, 502, "spare")},
    "an error as the first event": {"stream": (_stream(ROLE, FAILED), KEEP, 503, "spare")},
    "broken JSON as the first event": {"stream": (_stream(b"data: {\n\n"), KEEP, 502, "spare")},
    "half an event": {"stream": (_stream(b'data: {"choi'), KEEP, 502, "spare")},
}


class Matrix:
    """One gateway; an expert that does what the prompt says, and a spare one that is well."""

    def __init__(self, host):
        self.calls = {}  # request -> calls of any expert
        self.lock = threading.Lock()
        self.faulty = Expert(self._fail)
        self.spare = Expert(self._answer)
        self.closed = socket.socket()  # bound and not listening: the port stays ours, and refuses
        self.closed.bind(("127.0.0.1", 0))
        closed = self.closed.getsockname()[1]

        def url(port):
            return f"http://{host}:{port}/v1"

        self.gateway = Gateway(
            "experts:\n"
            f"  main: {{url: '{url(self.faulty.port)}', reply_bytes: 65536, context: 8192}}\n"
            f"  slow: {{url: '{url(self.faulty.port)}', deadlines: {{first_token_ms: 6000, "
            "idle_ms: 3000}}\n"
            f"  nobody: {{url: '{url(closed)}'}}\n"
            f"  spare: {{url: '{url(self.spare.port)}', context: 32768}}\n"
            "aliases:\n"
            "  main-team: [main, spare]\n  slow-team: [slow, spare]\n  nobody-team: [nobody, spare]\n"
            "policies: {backoff_ms: 10, retry_budget: 10, breaker: {failures: 0, cool_down: false}}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.faulty.close()
        self.spare.close()
        self.closed.close()

    def _count(self, body):
        request = json.loads(body)
        text = request["messages"][0]["content"]
        with self.lock:
            self.calls[text] = self.calls.get(text, 0) + 1
        return text.partition("#")[0], "stream" if request.get("stream") else "plain"

    def _fail(self, conn, head, body):
        kind, mode = self._count(body)
        raw, then, _, _ = KINDS[kind][mode]
        conn.send(raw)
        if then == RESET:
            conn.reset()
        elif then == SILENT:
            conn.wait_gone()
        return then == KEEP

    def _answer(self, conn, head, body):
        _, mode = self._count(body)
        if mode == "stream":
            return send_stream(conn, WHOLE)
        return send_reply(conn, GOOD)

    def run(self, kind, mode, is_alone, number):
        """What went wrong with one request, or None."""
        _, then, alone, behind = KINDS[kind][mode]
        model = {None: "nobody", SILENT: "slow"}.get(then, "main") + ("" if is_alone else "-team")
        text = f"{kind}#{number}"
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}],
                           "stream": mode == "stream"}).encode()
        conn = Conn.open(self.gateway.port)
        try:
            conn.send(request_bytes("POST", "/v1/chat/completions", [], body))
            seen = _see(Reply(conn), mode)
        finally:
            conn.close()
        wanted = alone if is_alone else behind
        calls = self.calls.get(text, 0)
        if seen != wanted or calls > 3:
            where = "alone" if is_alone else "with a spare one"
            return f"{kind}, {mode}, {where}: {seen}, not {wanted}; {calls} calls"
        return None


def _see(reply, mode):
    """What came, in the words of the table; what may never come, in others."""
    try:
        while reply.piece() != b"":
            pass
        is_cut = False
    except Cut:
        is_cut = True
    body = reply.taken
    who = "spare" if reply.head.get("x-expertd-expert") == "spare" else "whole"
    if reply.status != 200:
        return _see_error(reply, body)
    if mode == "plain":
        return who if body == GOOD and not is_cut else f"200 {body[:200]!r}"
    if body == b"".join(WHOLE) and not is_cut:
        return who
    events = [event for event in body.split(b"\n\n") if event]
    is_error = b'"error"' in events[-1] and "error" in json.loads(events[-1].partition(b" ")[2])
    if is_error and b"[DONE]" not in body:
        return "theirs" if events[-1] + b"\n\n" == FAILED and not is_cut else \
            "broken" if is_cut else f"an error and a proper end: {body!r}"
    return f"200 and no proper end: {body[-200:]!r}"


def _see_error(reply, body):
    error = json.loads(body).get("error")
    if not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"}:
        return f"{reply.status}, not in OpenAI's shape: {body[:200]!r}"
    return reply.status


def _run(host):
    cells = [(kind, mode, is_alone) for kind, modes in KINDS.items() for mode in modes
             for is_alone in (True, False)]
    numbers = itertools.count()
    cells.sort(key=lambda cell: KINDS[cell[0]][cell[1]][1] != SILENT)  # they wait, all together
    with Matrix(host) as matrix, concurrent.futures.ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda cell: matrix.run(*cell, next(numbers)), cells))
    wrong = [what for what in found if what is not None]
    assert not wrong, f"{len(wrong)} of {len(cells)}:\n" + "\n".join(wrong)


def test_every_fault_through_the_own_client():
    _run("127.0.0.1")


def test_every_fault_through_libcurl():
    _run("expert.localhost")
