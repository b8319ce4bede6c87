"""Real recorded answers of OpenAI's API pass byte for byte, and their requests too."""
import glob
import json
import os

from expert import Expert, send_reply, send_stream
from gateway import Gateway, shared_dir
from play import check_bytes, is_insertion, with_model
from report import Skip
from wire import exchange


def _suite(*parts):
    folder = shared_dir()
    path = os.path.join(folder, "data", "suites", *parts) if folder else None
    if path is None or not os.path.exists(path):
        raise Skip("the shared suites are not there")
    return path


def _chat(gateway, body):
    return exchange(gateway.port, "POST", "/v1/chat/completions", [], body)


def _check_request(name, got, wanted):
    asked = json.loads(wanted)
    if asked.get("stream") and not asked.get("stream_options", {}).get("include_usage"):
        assert is_insertion(got, wanted), f"{name}: not one insertion: {got!r}"
        assert json.loads(got)["stream_options"]["include_usage"] is True, f"{name}: {got!r}"
    else:
        check_bytes(got, wanted, f"{name}: the request")


def _relay_recordings(recordings):
    """Sends each (name, request, reply, content type, status) through a gateway."""
    current = {}

    def handle(conn, head, body):
        current["request"] = body
        send = send_stream if "event-stream" in current["type"] else send_reply
        if send is send_stream:
            return send_stream(conn, [current["reply"]], current["type"])
        return send_reply(conn, current["reply"], current["status"], current["type"])

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  main: {{url: {expert.url}, model: real, "
                          "reply_bytes: 100000000}\n")
        try:
            for name, request, reply, content_type, status in recordings:
                current.update(reply=reply, type=content_type, status=status)
                got = _chat(gateway, with_model(request, "main"))
                assert got.status == status, f"{name}: status {got.status} {got.body()[:300]!r}"
                check_bytes(got.body(), reply, f"{name}: the reply")
                assert got.head.get("content-type") == content_type, f"{name}: {got.head.raw!r}"
                _check_request(name, current["request"], with_model(request, "real"))
        finally:
            gateway.stop()
        assert not expert.errors, expert.errors


def test_recordings_of_openai_python():
    request = b'{"model":"x","stream":true,"stream_options":{"include_usage":true},"messages":[' \
              b'{"role":"user","content":"hi"}]}'
    paths = sorted(glob.glob(_suite("openai-streams", "openai-python") + "/*.bin"))
    assert len(paths) == 12, f"{len(paths)} recordings"
    recordings = []
    for path in paths:
        with open(path, "rb") as f:
            data = f.read()
        is_stream = data.lstrip().startswith(b"data:")
        recordings.append((os.path.basename(path), request, data,
                           "text/event-stream; charset=utf-8" if is_stream else "application/json",
                           200))
    _relay_recordings(recordings)


def test_exchanges_of_envoy_ai_gateway():
    with open(_suite("openai-streams", "envoy-ai-gateway", "interactions.json"),
              encoding="utf-8") as f:
        exchanges = [x for x in json.load(f) if x["url"].endswith("/v1/chat/completions")
                     and b'"model"' in x["request_body"].encode()]
    assert len(exchanges) >= 18, f"{len(exchanges)} exchanges"
    recordings = []
    for x in exchanges:
        if x["name"] == "chat-no-messages":
            continue  # the gateway itself refuses a request without messages
        recordings.append((x["name"], x["request_body"].encode(), x["response_body"].encode(),
                           x["response_headers"]["Content-Type"][0], x["status"]))
    _relay_recordings(recordings)


def test_fixtures_of_tensorzero():
    folder = _suite("openai-streams", "tensorzero")
    recordings = []
    for path in sorted(glob.glob(folder + "/*.json") + glob.glob(folder + "/*.jsonl")):
        with open(path, "rb") as f:
            data = f.read()
        request = b'{"model":"x","messages":[{"role":"user","content":"hi"}]}'
        if path.endswith(".jsonl"):
            lines = [line for line in data.splitlines() if line.strip()]
            data = b"".join(b"data: " + line + b"\n\n" for line in lines) + b"data: [DONE]\n\n"
            request = request[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
        recordings.append((os.path.basename(path), request, data,
                           "text/event-stream" if path.endswith("l") else "application/json", 200))
    assert len(recordings) == 6
    _relay_recordings(recordings)


def test_naughty_strings_come_back_unchanged():
    """515 strings, to a remote expert and to the echo kernel and back."""
    with open(_suite("blns", "blns.json"), encoding="utf-8") as f:
        strings = json.load(f)

    def handle(conn, head, body):
        prompt = json.loads(body)["messages"][0]["content"]
        return send_reply(conn, json.dumps(
            {"choices": [{"index": 0, "finish_reason": "stop",
                          "message": {"role": "assistant", "content": prompt}}]}).encode())

    with Expert(handle) as expert:
        gateway = Gateway(f"experts:\n  remote: {{url: {expert.url}}}\n"
                          "  parrot: {kernel: {echo: {}}}\n")
        try:
            for model in ("remote", "parrot"):
                for text in strings:
                    body = json.dumps({"model": model,
                                       "messages": [{"role": "user", "content": text}]},
                                      ensure_ascii=len(text) % 2 == 0)
                    reply = _chat(gateway, body.encode("utf-8", "surrogatepass"))
                    assert reply.status == 200, f"{text!r}: {reply.status} {reply.body()[:200]!r}"
                    got = json.loads(reply.body())["choices"][0]["message"]["content"]
                    assert got == text, f"{model}: {text!r} came back as {got!r}"
        finally:
            gateway.stop()
        assert not expert.errors, expert.errors
