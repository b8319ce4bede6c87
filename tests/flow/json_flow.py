"""The request's JSON, held against the public suite of hard cases: what is valid passes byte for
byte, what is not is 400 and reaches nobody."""
import glob
import os

from expert import Expert, completion, send_reply
from gateway import Gateway, shared_dir
from report import Skip
from wire import exchange

START = b'{"model":"main","messages":[{"role":"user","content":"hi"}],"extra":'


def _cases():
    folder = shared_dir()
    pattern = os.path.join(folder, "data", "suites", "JSONTestSuite", "test_parsing", "*.json") \
        if folder else ""
    paths = sorted(glob.glob(pattern)) if pattern else []
    if not paths:
        raise Skip("the shared suite JSONTestSuite is not there")
    for path in paths:
        with open(path, "rb") as f:
            yield os.path.basename(path), f.read()


def _run(wrap):
    """Sends each case; returns what went wrong, and how many cases there were."""
    seen = []

    def handle(conn, head, body):
        seen.append(body)
        return send_reply(conn, completion("ok"))

    failures, count = [], 0
    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for name, text in _cases():
                body = wrap(text)
                del seen[:]
                count += 1
                reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body)
                passed = reply.status == 200 and seen == [body]
                refused = reply.status == 400 and not seen
                if not (passed and name[0] in "yi" or refused and name[0] in "ni"):
                    failures.append(f"{name}: {reply.status}, {seen} {reply.body()[:200]!r}")
        finally:
            gateway.stop()
    return failures, count


def test_json_suite_inside_a_request():
    failures, count = _run(lambda text: START + text + b"}")
    # alone these are invalid; inside our object they may close it or go on
    tolerated = {"n_structure_no_data.json", "n_single_space.json"}
    failures = [text for text in failures if text.split(":")[0] not in tolerated]
    assert count > 300 and not failures, f"{len(failures)} of {count}:\n" + "\n".join(failures[:20])


def test_json_suite_as_the_whole_body():
    """Nothing in the suite is a chat request: all of it is 400 and reaches nobody."""
    seen = []
    with Expert(lambda conn, head, body: seen.append(body) or send_reply(conn, b"{}")) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            for name, text in _cases():
                reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], text)
                assert reply.status == 400, f"{name}: {reply.status} {reply.body()[:200]!r}"
        finally:
            gateway.stop()
    assert not seen


# name: (body, status)
BODIES = {
    "escaped key is the same key": (
        b'{"mod\\u0065l":"main","messages":[{"role":"user","content":"x"}]}', "200|400"),
    "escaped value is the same name": (
        b'{"model":"m\\u0061in","messages":[{"role":"user","content":"x"}]}', "200"),
    "model twice, once escaped": (
        b'{"model":"main","mod\\u0065l":"other","messages":[{"role":"user","content":"x"}]}', "400"),
    "messages twice": (
        b'{"model":"main","messages":[],"messages":[{"role":"user","content":"x"}]}', "400"),
    "model inside messages is no model": (
        b'{"messages":[{"role":"user","content":"x","model":"other"}],"model":"main"}', "200"),
    "model inside metadata is no model": (
        b'{"metadata":{"model":"other"},"model":"main","messages":[{"role":"user","content":"x"}]}',
        "200"),
    "something behind the object": (
        b'{"model":"main","messages":[{"role":"user","content":"x"}]}{}', "400"),
    "NUL behind the object": (
        b'{"model":"main","messages":[{"role":"user","content":"x"}]}\x00', "400"),
    "byte order mark": (
        b'\xef\xbb\xbf{"model":"main","messages":[{"role":"user","content":"x"}]}', "400"),
    "UTF-16": ('{"model":"main","messages":[]}'.encode("utf-16"), "400"),
    "invalid UTF-8": (
        b'{"model":"main","messages":[{"role":"user","content":"\xff\xfe"}]}', "400"),
    "NUL in a string": (
        b'{"model":"main","messages":[{"role":"user","content":"a\x00b"}]}', "400"),
    "100,000 brackets": (b'{"model":"main","messages":' + b"[" * 100000, "400"),
    "100,000 closed brackets": (
        b'{"model":"main","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 100000
        + b"]" * 100000 + b"}", "400"),
    "messages that are no list": (b'{"model":"main","messages":"hi"}', "400"),
    "stream that is no boolean": (
        b'{"model":"main","stream":"yes","messages":[{"role":"user","content":"x"}]}', "400"),
    "model that is empty": (b'{"model":"","messages":[{"role":"user","content":"x"}]}', "400|404"),
}


def test_odd_bodies():
    seen = []

    def handle(conn, head, body):
        seen.append(body)
        return send_reply(conn, completion("ok"))

    failures = []
    with Expert(handle) as expert, Expert(handle) as other:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n  other: {{url: {other.url}}}\n")
        try:
            for name, (body, statuses) in BODIES.items():
                del seen[:]
                reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body)
                if str(reply.status) not in statuses.split("|"):
                    failures.append(f"{name}: {reply.status} {reply.body()[:200]!r}")
                if (reply.status == 200) != (len(seen) == 1):
                    failures.append(f"{name}: {reply.status}, the expert saw {seen}")
        finally:
            gateway.stop()
        assert other.requests == 0, "a body reached the wrong expert"
    assert not failures, "\n".join(failures)
