"""The framing table: how requests may and may not be delimited (RFC 9112). Every payload is
followed by a second, whole request: where the first must be refused, the second must not be served,
because a proxy in front may have seen its bytes as part of the first."""
from probe import chat_body, hidden_request

POST = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
HOST = b"Host: x\r\n"
BODY = chat_body("first")
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def post(headers, body=BODY):
    return POST + HOST + headers + b"\r\n" + body


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
]

# Served, and the request behind it too.
SERVED = [
    ("plain", post(LENGTH)),
    ("chunked", post(CHUNKED, CHUNKS)),
    ("names in any case", post(b"CONTENT-length: %d\r\n" % len(BODY))),
    ("chunked in capitals", post(b"transfer-encoding: CHUNKED\r\n", CHUNKS)),
    ("blanks before a value", post(b"Content-Length: \t %d\r\n" % len(BODY))),
    ("chunk sizes with leading zeros", post(CHUNKED, b"000" + CHUNKS)),
    ("value with obs-text", post(LENGTH + b"X-Name: J\xf6rg\r\n")),
    ("100 headers", post(LENGTH + b"".join(b"X-%d: y\r\n" % i for i in range(100)))),
]

# Tolerated by some servers, refused by others, and lawful either way: both requests are served, or
# the second is not.
EITHER = [
    ("bare LF as line end", post(LENGTH).replace(b"\r\n", b"\n", 4)),
    ("HTTP/1.9", POST.replace(b"1.1", b"1.9") + HOST + LENGTH + b"\r\n" + BODY),
    ("two blanks in the request line", post(LENGTH).replace(b" HTTP", b"  HTTP", 1)),
    ("folded header", post(LENGTH + b"X-Long: a\r\n b\r\n")),
    ("blanks after a value", post(b"Content-Length: %d \t\r\n" % len(BODY))),
    ("empty header name behind the length", POST + HOST + LENGTH + b": v\r\n\r\n" + BODY),
    ("absolute target", post(LENGTH).replace(b" /v1", b" http://x/v1", 1)),
    ("chunk extension", post(CHUNKED, CHUNKS.replace(b"\r\n", b";a=b\r\n", 1))),
    ("trailer", post(CHUNKED, CHUNKS[:-2] + b"X-T: 1\r\n\r\n")),
    ("chunk with bare LF", post(CHUNKED, CHUNKS.replace(b"\r\n", b"\n"))),
    ("empty line before the request", b"\r\n" + post(LENGTH)),
    ("HTTP/1.0 with keep-alive", POST.replace(b"1.1", b"1.0") + HOST + b"Connection: keep-alive\r\n"
     + LENGTH + b"\r\n" + BODY),
    ("unknown expectation", post(LENGTH + b"Expect: the-unexpected\r\n")),
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


def check_served(target, name, payload):
    marker = f"pipelined behind: {name}"
    answer = target.ask(payload + hidden_request(marker))
    assert answer.statuses == [200, 200], f"it said {answer.statuses} {answer.junk[:200]!r}"
    assert target.saw(marker), "the second request did not reach the expert"


def check_either(target, name, payload):
    marker = f"pipelined behind: {name}"
    answer = target.ask(payload + hidden_request(marker))
    said = f"it said {answer.statuses}, hidden served: {target.saw(marker)}"
    assert not answer.junk, f"junk on the wire: {answer.junk[:300]!r}"
    assert answer.statuses and answer.closed, f"{said}, closed: {answer.closed}"
    if target.saw(marker):  # both understood: the second as what it is
        assert len(answer.statuses) == 2 and answer.statuses[1] == 200, said
    else:  # refused, or served alone (HTTP/1.0)
        assert answer.statuses == [200] or min(answer.statuses) >= 400, said
