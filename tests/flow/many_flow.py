"""Tests of quantity: many streams, bytes one by one, all metrics."""
import json
import re
import threading

from expert import DONE, Expert, completion, send_reply, send_stream, token_event
from gateway import Gateway
from play import check_bytes
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

STREAMS = 200


def _chat_body(model, text, stream=False):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def test_200_streams_at_once_each_get_their_own_bytes():
    all_here = threading.Barrier(STREAMS, timeout=PATIENCE_S)

    def events_of(name):
        return [token_event(f"{name} says {i}") for i in range(20)] + \
            [token_event(None, "stop"), DONE]

    def handle(conn, head, body):
        name = json.loads(body)["messages"][0]["content"]
        all_here.wait()  # no stream starts before all are open
        return send_stream(conn, events_of(name))

    failures = []

    def client(gateway, name):
        try:
            reply = exchange(gateway.port, "POST", "/v1/chat/completions", [],
                             _chat_body("main", name, stream=True))
            check_bytes(reply.body(), b"".join(events_of(name)), name)
        except Exception as error:  # reported below, from the main thread
            failures.append(f"{name}: {error}")

    with Expert(handle) as expert:
        gateway = Gateway("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2}\n"
                          f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            threads = [threading.Thread(target=client, args=(gateway, f"client {i}"))
                       for i in range(STREAMS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            gateway.stop()
    assert not failures, f"{len(failures)} of {STREAMS}: {failures[:3]}"
    assert expert.requests == STREAMS


def test_stream_in_single_bytes_is_relayed_unchanged():
    whole = b"".join([b": \xc3\xa9\r\n\r\n", token_event("a\u00e9\u6f22"), token_event(None, "stop"),
                      b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,'
                      b'"total_tokens":2}}\n\n', DONE])

    def handle(conn, head, body):
        return send_stream(conn, [whole[i:i + 1] for i in range(len(whole))])

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            body = json.dumps({"model": "main", "stream": True, "messages": [
                {"role": "user", "content": "hi"}], "stream_options": {"include_usage": True}})
            reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body.encode())
            check_bytes(reply.body(), whole, "the stream")
            body = _chat_body("main", "hi", stream=True)
            reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body)
            start = whole.index(b'data: {"choices":[],"usage"')
            check_bytes(reply.body(), whole[:start] + DONE, "the stream without usage")
        finally:
            gateway.stop()


def test_request_in_single_bytes_is_served():
    with Expert(lambda conn, head, body: send_reply(conn, completion("ok"))) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            conn = Conn.open(gateway.port)
            for byte in request_bytes("POST", "/v1/chat/completions", [], _chat_body("main", "hi")):
                conn.send(bytes([byte]))
            assert Reply(conn).status == 200
            conn.close()
        finally:
            gateway.stop()


def test_large_bodies_pass_both_ways():
    """2 MB up and 2 MB down, unchanged."""
    text = "0123456789abcdef \\u00e9 " * 80000
    answer = completion(text)
    seen = []

    def handle(conn, head, body):
        seen.append(body)
        return send_reply(conn, answer)

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            body = _chat_body("main", text)
            reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body)
            assert reply.status == 200, reply.body()[:300]
            check_bytes(reply.body(), answer, "the reply")
            check_bytes(seen[0], body, "the request")
        finally:
            gateway.stop()


SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def _samples(text):
    """(name, {label: value}, number) of a Prometheus text; fails on a line that is none."""
    typed, samples = set(), []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        if line.startswith("#") or not line:
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in typed or family in typed, f"{name} has no TYPE"
        samples.append((name, dict(LABEL.findall(labels or "")), float(value)))
    return samples


def test_metrics_have_closed_label_sets_and_count_right():
    with Expert(lambda conn, head, body: send_reply(conn, completion("ok"))) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}}}\n")
        try:
            before = exchange(gateway.admin, "GET", "/metrics")
            assert before.status == 200
            assert before.head.get("content-type", "").startswith("text/plain"), before.head.raw
            for i in range(20):
                exchange(gateway.port, "POST", "/v1/chat/completions", [],
                         _chat_body(f"odd-model-{i}", "hi"))
                exchange(gateway.port, "GET", f"/odd-path-{i}")
                exchange(gateway.port, f"ODD{i}", "/v1/models")
                exchange(gateway.port, "POST", "/v1/chat/completions",
                         [("X-Odd", f"odd-header-{i}")], _chat_body("main", "hi"))
            after = exchange(gateway.admin, "GET", "/metrics")
            text = after.body().decode()
            assert not re.search(r"odd", text, re.I), "a metric repeats what a client sent"
            first, last = _samples(before.body().decode()), _samples(text)
            assert len(last) < 400, f"{len(last)} series"
            total = sum(value for name, labels, value in last
                        if name.endswith("requests_total") and labels.get("expert") == "main") - \
                sum(value for name, labels, value in first
                    if name.endswith("requests_total") and labels.get("expert") == "main")
            assert total == 20, f"20 requests to main count as {total}"
        finally:
            gateway.stop()
