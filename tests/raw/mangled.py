"""A lawful head with one thing inserted, replaced or taken out, at each of its bytes. A grammar of RFC 9112
says what is lawful then; everything else must be refused, and what stands behind it must not be served.
What the library in front tolerates nevertheless is in is_tolerated, and in docs/http-front.md."""
import concurrent.futures
import re

from probe import hidden_request

HEAD = b"GET /healthz?a=b HTTP/1.1\r\nHost: x:1\r\nX-A:\t b c\r\n\r\n"

PIECES = (b"\0", b"\1", b"\t", b"\n", b"\v", b"\r", b" ", b"#", b":", b'"', b"(", b"a", b"\x7f", b"\x80",
          b"\xff", b"\r\n", b"\n\n", b"\0\0", b"\0\r\n", b"\r\0", b"\r\r\n", b" \r\n", b"\r\n ", b"\r\n\t",
          b"\0\0\r\n", b"\r\n\0\0", b"\r\n\0\0a: b", b"\r\n: b", b":\n", b"\r\na: b\r\n ")

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
LINES = (TOKEN + rb" [!\"$-~]+ HTTP/1\.1\r\n(?:" + TOKEN + rb":[\t -~\x80-\xff]*\r\n)*\r\n")
LAWFUL = re.compile(rb"(?:\r\n)*" + LINES + rb"(?:\r\n)*")
HOST = re.compile(rb"\r\nHost:[ \t]*([-._~%!$&'()*+,;=:\[\]0-9A-Za-z]*)[ \t]*\r\n", re.I)
ANY_HOST = re.compile(rb"\r\nHost:", re.I)

# NUL LF counts as CR LF, a colon with an LF as the empty line, NUL CR LF LF as the end of the head; lines
# that are empty or begin with a NUL are skipped before a request line.
SKIPPED = rb"(?:(?:\0[^\n]*)?\r?\n)*"
TOLERATED = re.compile(SKIPPED + LINES + SKIPPED)


def has_host(head):
    return len(ANY_HOST.findall(head)) == 1 and HOST.search(head) is not None


def is_lawful(head):
    return LAWFUL.fullmatch(head) is not None and has_host(head)


def is_tolerated(head):
    for bytes_, meant in ((b"\0\r\n\n", b"\r\n\r\n"), (b"\0\n", b"\r\n"), (b"\n:\n", b"\n\r\n")):
        head = head.replace(bytes_, meant)
    return TOLERATED.fullmatch(head) is not None and has_host(head)


def heads():
    for at in range(len(HEAD) + 1):
        before, here, after = HEAD[:at], HEAD[at:at + 1], HEAD[at + 1:]
        yield before + after
        for piece in PIECES:
            yield before + piece + here + after
            yield before + piece + after


def check(target, index, head):
    """What was wrong, or None."""
    marker = f"behind head {index}"
    answer = target.ask(head + hidden_request(marker))
    is_served = target.saw(marker)
    said = f"{head!r}: {answer.statuses}, hidden served: {is_served}, {answer.junk[:100]!r}"
    if not answer.closed or answer.junk:
        return f"open, or junk on the wire: {said}"
    if is_lawful(head):
        return None if is_served and len(answer.statuses) == 2 else f"lawful, refused: {said}"
    return f"SERVED {said}" if is_served and not is_tolerated(head) else None


def test_every_head(target):
    rows = sorted(set(heads()))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        wrong = [text for text in pool.map(lambda row: check(target, *row), enumerate(rows)) if text]
    lawful = sum(is_lawful(head) for head in rows)
    tolerated = sum(is_tolerated(head) for head in rows) - lawful
    print(f"mangled: {len(rows)} heads, {lawful} lawful, {tolerated} tolerated, {len(wrong)} wrong",
          flush=True)
    assert not wrong, "\n".join(wrong[:20])
    assert target.serves()
