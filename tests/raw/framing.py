"""The framing table: how requests may and may not be delimited (RFC 9112), and what the library in front
tolerates (docs/http-front.md names these rows). Every payload is followed by a second, whole request:
where the first must be refused, the second must not be served, because a proxy in front may have seen
its bytes as part of the first."""
from probe import chat_body, hidden_request

POST = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
HOST = b"Host: x\r\n"
BODY = chat_body("first")
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def post(headers, body=BODY):
    return POST + HOST + headers + b"\r\n" + body


def get(target=b"/healthz", headers=b"", method=b"GET"):
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


def chunked(chunk_line, data=BODY, end=b"\r\n"):
    """One chunk under the line given, and the last one."""
    return post(CHUNKED, chunk_line + data + end + b"0" + end + end)


SIZE = b"%x" % len(BODY)

# Refused with one of these (none: without a word), once, and the connection closed.
REFUSED = [
    ("content-length and transfer-encoding", post(LENGTH + CHUNKED, CHUNKS), "400"),
    ("transfer-encoding and content-length", post(CHUNKED + LENGTH, CHUNKS), "400"),
    ("two lengths that differ", post(LENGTH + b"Content-Length: 3\r\n"), "400"),
    ("two lengths that agree", post(LENGTH + LENGTH), "400"),
    ("length with a plus", post(b"Content-Length: +%d\r\n" % len(BODY)), "400"),
    ("length as a list", post(b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY))), "400"),
    ("negative length", post(b"Content-Length: -1\r\n"), "400"),
    ("hexadecimal length", post(b"Content-Length: 0x%x\r\n" % len(BODY)), "400"),
    ("length with an underscore", post(b"Content-Length: 6_1\r\n"), "400"),
    ("length with letters", post(b"Content-Length: %dZ\r\n" % len(BODY)), "400"),
    ("empty length", post(b"Content-Length: \r\n"), "400"),
    ("length of 2^64 + n", post(b"Content-Length: %d\r\n" % (2**64 + len(BODY))), "400|413"),
    ("length of 10^18", post(b"Content-Length: 1000000000000000000\r\n"), "413"),
    ("unknown transfer-encoding", post(b"Transfer-Encoding: xchunked\r\n", CHUNKS), "400|501"),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS), "400|501"),
    (",chunked", post(b"Transfer-Encoding: ,chunked\r\n", CHUNKS), "400|501"),
    ("identity and length", post(b"Transfer-Encoding: identity\r\n" + LENGTH), "400|501"),
    ("chunked twice", post(CHUNKED + CHUNKED, CHUNKS), "400"),
    ("chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS), "400|501"),
    ("vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS), "400|501"),
    ("blank before the colon of te", post(b"Transfer-Encoding : chunked\r\n" + LENGTH, CHUNKS),
     "400"),
    ("blank before the colon of cl", post(b"Content-Length : %d\r\n" % len(BODY)), "400|411"),
    ("tab before the colon of te", post(b"Transfer-Encoding\t: chunked\r\n" + LENGTH, CHUNKS),
     "400"),
    ("folded transfer-encoding", post(b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH, CHUNKS),
     "400"),
    ("blank before the first header", POST + b" " + HOST + LENGTH + b"\r\n" + BODY, "400"),
    ("neither length nor chunked", post(b""), "411"),
    ("chunk size 0x10", post(CHUNKED, b"0x10\r\n0123456789abcdef\r\n0\r\n\r\n"), "400"),
    ("chunk size -1", post(CHUNKED, b"-1\r\nx\r\n0\r\n\r\n"), "400"),
    ("chunk size of 2^64 + 1", post(CHUNKED, b"10000000000000001\r\nx\r\n0\r\n\r\n"), "400|413"),
    ("chunk size with an underscore", post(CHUNKED, b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), "400"),
    ("empty chunk size", post(CHUNKED, b"\r\n\r\n"), "400"),
    ("chunk without its line end", post(CHUNKED, b"2\r\n{}0\r\n\r\n"), "400"),
    ("chunk size that is no number", post(CHUNKED, b"hello\r\n"), "400"),
    ("bare CR in a header", post(LENGTH + b"X-A: b\rX-B: c\r\n"), "400"),
    ("NUL in a header's value", post(LENGTH + b"X-A: b\x00c\r\n"), "400"),
    ("NUL in the model header", post(b"X-A\x00B: c\r\n" + LENGTH), "400"),
    ("no host", POST + LENGTH + b"\r\n" + BODY, "400"),
    ("two hosts", post(b"Host: y\r\n" + LENGTH), "400"),
    ("header without a colon", post(LENGTH + b"hello\r\n"), "400"),
    ("header with an empty name", POST + HOST + b": v\r\n" + LENGTH + b"\r\n" + BODY, "400|411"),
    ("parenthesis in a name", post(LENGTH + b"X(y): z\r\n"), "400"),
    ("control byte in a name", post(LENGTH + b"X\x01: z\r\n"), "400"),
    ("obs-text in a name", post(LENGTH + b"X\xff: z\r\n"), "400"),
    ("blank in a name", post(LENGTH + b"X y: z\r\n"), "400"),
    ("HTTP/1.0 with chunked", POST.replace(b"1.1", b"1.0") + HOST + CHUNKED + b"\r\n" + CHUNKS,
     "400"),
    ("HTTP/2.0 in the request line", POST.replace(b"1.1", b"2.0") + HOST + LENGTH + b"\r\n" + BODY,
     "400|505"),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400|505"),
    ("HTTP/0.9", b"GET /healthz\r\n", "400|505"),
    ("http in lower case", POST.replace(b"HTTP", b"http") + HOST + LENGTH + b"\r\n" + BODY,
     "400|505"),
    ("no version number", b"GET /healthz HTTP/\r\nHost: x\r\n\r\n", "400|505"),
    ("method that is no token", b"G(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400|405|501"),
    ("binary noise", bytes(range(256)) + b"\r\n\r\n", "400|405|501|505|none"),
    ("TLS hello on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64
     + b"\r\n\r\n", "400|405|501|505|none"),
    ("header of 40 kB", post(LENGTH + b"X-Big: " + b"a" * 40000 + b"\r\n"), "431|413"),
    ("2,000 headers", post(LENGTH + b"".join(b"X-%d: y\r\n" % i for i in range(2000))), "431|413"),
    ("target of 40 kB", b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "414|431"),
    ("bare LF as line end", post(LENGTH).replace(b"\r\n", b"\n", 4), "400"),
    ("bare LF behind a header", post(LENGTH.replace(b"\r\n", b"\n")), "400"),
    ("bare LF behind the head", POST + HOST + LENGTH + b"\n" + BODY, "400"),
    ("bare LF behind the request line", post(LENGTH).replace(b"\r\n", b"\n", 1), "400"),
    ("folded header", post(LENGTH + b"X-Long: a\r\n b\r\n"), "400"),
    ("header folded by a tab", post(LENGTH + b"X-Long: a\r\n\tb\r\n"), "400"),
    ("transfer-encoding folded in its name", post(b"Transfer-Encod: chunked\r\n ing\r\nX: y\r\n",
                                                 CHUNKS), "400"),
    ("content-length folded in its name", post(b"Content-Len: %d\r\n gth\r\nX: y\r\n" % len(BODY)),
     "400"),
    ("blank line with a blank in it", POST + HOST + LENGTH + b" \r\n\r\n" + BODY, "400"),
    ("line of two NULs in the head", POST + HOST + LENGTH + b"\0\0\r\n" + BODY, "400"),
    ("line that begins with a NUL", get(headers=b"\0X: y\r\n"), "400"),
    ("line that begins with two NULs", get(headers=b"\0\0X: y\r\n"), "400"),
    ("two NULs in a value", post(LENGTH + b"X-A: b\0\0c\r\n"), "400"),
    ("two NULs at the end of a value", post(LENGTH + b"X-A: b\0\0\r\n"), "400"),
    ("NUL in the target", get(b"/healthz\0abc"), "400"),
    ("NUL in the query", get(b"/healthz?\0abc"), "400"),
    ("NUL in the method", get(method=b"GET\0abc"), "400"),
    ("NUL behind the version", b"GET /healthz HTTP/1.1\0\r\nHost: x\r\n\r\n", "400"),
    ("blank in the target", get(b"/healthz b"), "400"),
    ("blank in the query", get(b"/healthz?a b"), "400"),
    ("tab in the target", get(b"/healthz?\tb"), "400"),
    ("CR in the target", get(b"/healthz?\rb"), "400"),
    ("control byte in the target", get(b"/healthz?\x7f"), "400"),
    ("obs-text in the target", get(b"/healthz?\xff"), "400"),
    ("fragment in the target", get(b"/healthz#x"), "400"),
    ("two blanks before the target", get(b" /healthz"), "400"),
    ("two blanks before the version", get(b"/healthz "), "400"),
    ("blank behind the version", b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
    ("tabs in the request line", b"GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n", "none"),
    ("blank before the method", b" " + get(), "none"),
    ("no method", b"/healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ("HTTP/1.9", POST.replace(b"1.1", b"1.9") + HOST + LENGTH + b"\r\n" + BODY, "400"),
    ("HTTP/0.9 with a version", b"GET /healthz HTTP/0.9\r\n\r\n", "505"),
    ("HTTP/1.10", POST.replace(b"1.1", b"1.10") + HOST + LENGTH + b"\r\n" + BODY, "400"),
    ("blanks after a length", post(b"Content-Length: %d \t\r\n" % len(BODY)), "400"),
    ("blank after chunked", post(b"Transfer-Encoding: chunked \r\n", CHUNKS), "400"),
    ("empty header name behind the length", POST + HOST + LENGTH + b": v\r\n\r\n" + BODY, "400"),
    ("empty transfer-encoding", post(b"Transfer-Encoding:\r\n" + LENGTH), "400"),
    ("blank in the host", get().replace(b"Host: x", b"Host: a b"), "400"),
    ("user and path in the host", get().replace(b"Host: x", b"Host: u@a/b"), "400"),
    ("list in two hosts", get(headers=b"Host: x\r\n"), "400"),
    ("blank behind a chunk size", chunked(SIZE + b" \r\n"), "400"),
    ("blank before a chunk size", chunked(b" " + SIZE + b"\r\n"), "400"),
    ("plus before a chunk size", chunked(b"+" + SIZE + b"\r\n"), "400"),
    ("NUL in a chunk size", chunked(SIZE + b"\0\r\n"), "400"),
    ("chunk size that ends in CR", chunked(SIZE + b"\r", end=b"\r"), "400"),
    ("chunk extension of 100 kB", chunked(SIZE + b";" + b"a" * 100000 + b"\r\n"), "408|413|431"),
    ("chunk size of 100,000 digits", chunked(b"0" * 100000 + SIZE + b"\r\n"), "408|413|431"),
    ("trailer of 100 kB", post(CHUNKED, CHUNKS[:-2] + b"X: " + b"a" * 100000 + b"\r\n\r\n"), "431"),
    ("trailer without a colon", post(CHUNKED, CHUNKS[:-2] + b"garbage\r\n\r\n"), "400"),
    ("201 headers", post(LENGTH + b"X: y\r\n" * 199), "400"),
]

# Served alone: the connection ends behind it, whoever reads it how.
ALONE = [
    ("chunked", post(CHUNKED, CHUNKS), 200),
    ("chunked in capitals", post(b"transfer-encoding: CHUNKED\r\n", CHUNKS), 200),
    ("chunk sizes with leading zeros", post(CHUNKED, b"000" + CHUNKS), 200),
    ("chunk size in capitals", chunked(SIZE.upper() + b"\r\n"), 200),
    ("chunk extension", chunked(SIZE + b";a=b\r\n"), 200),
    ("chunk extension with a bare CR", chunked(SIZE + b";a\rb\r\n"), 200),
    ("chunk extension with a NUL", chunked(SIZE + b";\0\r\n"), 200),
    ("chunk extension that ends in LF", chunked(SIZE + b";a\n"), 200),
    ("chunk with bare LF", post(CHUNKED, CHUNKS.replace(b"\r\n", b"\n")), 200),
    ("chunk size that ends in LF", chunked(SIZE + b"\n"), 200),
    ("trailer", post(CHUNKED, CHUNKS[:-2] + b"X-T: 1\r\n\r\n"), 200),
    ("trailer with framing", post(CHUNKED, CHUNKS[:-2] + b"Content-Length: 5\r\n"
                                  b"Transfer-Encoding: x\r\n\r\n"), 200),
    ("trailers that end with a NUL", post(CHUNKED, CHUNKS[:-2] + b"\0\r\n"), 200),
    ("chunked behind GET", get(headers=CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n", 200),
    ("Connection: close", post(LENGTH + b"Connection: close\r\n"), 200),
    ("close in a list", post(LENGTH + b"Connection: keep-alive, Close\r\n"), 200),
    ("close in the second of two", post(LENGTH + b"Connection: x\r\nConnection: close\r\n"), 200),
    ("HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    ("HTTP/1.0 with a length", POST.replace(b"1.1", b"1.0") + LENGTH + b"\r\n" + BODY, 200),
    ("HTTP/1.0 with an expectation", POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\n"
     + LENGTH + b"\r\n" + BODY, 200),
]

# Served with this status, and the request behind it too.
SERVED = [
    ("plain", post(LENGTH), 200),
    ("names in any case", post(b"CONTENT-length: %d\r\n" % len(BODY)), 200),
    ("blanks before a value", post(b"Content-Length: \t %d\r\n" % len(BODY)), 200),
    ("no blank before a value", post(b"Content-Length:%d\r\n" % len(BODY)), 200),
    ("length with leading zeros", post(b"Content-Length: 000%d\r\n" % len(BODY)), 200),
    ("value with obs-text", post(LENGTH + b"X-Name: J\xf6rg\r\n"), 200),
    ("value with a tab", post(LENGTH + b"X-Name: a\tb\r\n"), 200),
    ("empty value", post(LENGTH + b"X-None:\r\n"), 200),
    ("100 headers", post(LENGTH + b"".join(b"X-%d: y\r\n" % i for i in range(100))), 200),
    ("cookies", post(LENGTH + b'Cookie: a=b; c="d; e, f=;=\r\nCookie:\r\n'), 200),
    ("underscore for a dash", post(LENGTH + b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n"), 200),
    ("header names of other layers", post(LENGTH + b"X-Original-URL: /metrics\r\nX-HTTP-Method-Override: "
                                          b"GET\r\nTE: trailers\r\nTrailer: Host\r\n"), 200),
    ("hop-by-hop names in Connection", post(LENGTH + b"Connection: Content-Length, Host\r\n"), 200),
    ("length behind GET", get(headers=b"Content-Length: 5\r\n") + b"hello", 200),
    ("100-continue that nobody waits for", post(LENGTH + b"Expect: 100-continue\r\n"), 200),
    ("unknown expectation", post(LENGTH + b"Expect: the-unexpected\r\n"), 200),
    ("upgrade to h2c", get(headers=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                           b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"), 200),
    ("upgrade to a web socket", get(headers=b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"), 200),
    ("empty line before the request", b"\r\n" + post(LENGTH), 200),
    ("bare LFs before the request", b"\n\n\n" + post(LENGTH), 200),
    ("line behind a NUL before the request", b"\0GET /x HTTP/1.1\r\n" + post(LENGTH), 200),
    ("NUL and LF as line end", post(LENGTH + b"X-A: b\0\nX-B: c\r\n"), 200),
    ("colon and LF as the empty line", post(LENGTH)[:-len(BODY) - 2] + b":\n" + BODY, 200),
    ("NUL CR LF LF as the end of the head", post(LENGTH + b"X-A: b\0\r\n\n")[:-len(BODY) - 2] + BODY,
     200),
    ("blank behind the host", get().replace(b"Host: x", b"Host: x \t"), 200),
    ("HTTP/1.0 with keep-alive", POST.replace(b"1.1", b"1.0") + HOST + b"Connection: keep-alive\r\n"
     + LENGTH + b"\r\n" + BODY, 200),
    ("absolute target", post(LENGTH).replace(b" /v1", b" http://x/v1", 1), 200),
    ("absolute target and another host", get(b"http://a/healthz"), 200),
    ("absolute target without a path", get(b"http://a"), 404),
    ("query", get(b"/healthz?a=b&c=%00&%zz"), 200),
    ("escaped path", get(b"/%68ealthz"), 404),
    ("dots in a path", get(b"/x/../healthz"), 404),
    ("two slashes", get(b"//healthz"), 404),
    ("target without a slash", get(b"healthz"), 404),
    ("asterisk of OPTIONS", get(b"*", method=b"OPTIONS"), 404),
    ("asterisk of GET", get(b"*"), 404),
    ("CONNECT", get(b"x:443", method=b"CONNECT"), 404),
    ("TRACE", get(method=b"TRACE"), 405),
    ("method in lower case", get(method=b"get"), 405),
    ("empty host", get().replace(b"Host: x", b"Host:"), 200),
]


def check_refused(target, name, payload, statuses):
    marker = f"hidden behind: {name}"
    answer = target.ask(payload + hidden_request(marker))
    said = f"it said {answer.statuses}{' and closed' if answer.closed else ''}"
    assert not answer.junk, f"junk on the wire: {answer.junk[:300]!r}"
    assert not target.saw(marker), f"the hidden request was served; {said}"
    assert len(answer.statuses) <= 1, f"more than one answer: {said}"
    first = str(answer.statuses[0]) if answer.statuses else "none"
    assert first in statuses.split("|"), f"wanted {statuses}: {said}"
    assert answer.closed, f"the connection stayed open: {said}"


def check_served(target, name, payload, status):
    marker = f"pipelined behind: {name}"
    answer = target.ask(payload + hidden_request(marker))
    assert answer.statuses == [status, 200], f"it said {answer.statuses} {answer.junk[:200]!r}"
    assert target.saw(marker), "the second request did not reach the expert"


def check_alone(target, name, payload, status):
    marker = f"behind the last: {name}"
    answer = target.ask(payload + hidden_request(marker))
    assert answer.statuses == [status], f"it said {answer.statuses} {answer.junk[:200]!r}"
    assert not answer.junk, f"junk on the wire: {answer.junk[:300]!r}"
    assert not target.saw(marker), "the second request was served"
    assert answer.closed, "the connection stayed open"
