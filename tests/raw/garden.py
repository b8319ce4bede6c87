"""The payloads with which the HTTP Garden found bugs in real servers, read from the shared suites."""
import json
import os

from gateway import shared_dir
from report import Skip

# A refusal may say that something is not implemented; any other 5xx is a crash of some kind.
ALLOWED_5XX = (501, 505)


def payloads():
    folder = shared_dir()
    path = os.path.join(folder, "data", "suites", "http-garden", "payloads.json") if folder else ""
    if not os.path.exists(path):
        raise Skip("the shared suite http-garden is not there")
    with open(path, encoding="utf-8") as f:
        return [(row["title"], bytes.fromhex(row["payload_hex"])) for row in json.load(f)]


def check(target, payload):
    before = target.expert.requests
    answer = target.ask(payload)
    assert target.gateway.is_alive(), "the gateway is dead"
    assert not answer.junk, f"junk on the wire: {answer.junk[:300]!r}"
    bad = [s for s in answer.statuses if s >= 500 and s not in ALLOWED_5XX]
    assert not bad, f"{payload[:200]!r} is answered with {answer.statuses}"
    assert answer.closed, f"{payload[:200]!r}: still open; it said {answer.statuses}"
    assert target.expert.requests == before, f"{payload[:200]!r} reached the expert"
    return answer.is_doubled


def test_every_payload(target):
    failures, rows, doubled = [], payloads(), 0
    for title, payload in rows:
        try:
            doubled += check(target, payload)
        except AssertionError as error:
            failures.append(f"{title}\n    {error}")
    print(f"http-garden: {len(rows) - len(failures)} of {len(rows)}, {doubled} of them with the "
          "library's own page behind a doubled head", flush=True)
    assert not failures, "\n".join(failures)
    assert target.serves()
