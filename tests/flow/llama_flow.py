"""The kernel over libllama in its child process. Skipped where the build found no libllama (tools/get-llama brings it)."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from gateway import BINARY, ROOT, Gateway
from report import Skip
from wire import PATIENCE_S, Conn, Reply, exchange, request_bytes

KERNEL = os.path.join(os.path.dirname(BINARY), "kernels", "llama.so")
STORIES = os.path.join(ROOT, "tests", "unit", "backends", "data", "tinylm", "stories260K.gguf")
INSTRUCT = os.path.join(ROOT, "models", "smollm2-135m-instruct.gguf")

# What the author of stories260K published as its greedy sample.
STORY = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
         "One day, she saw a big, red ball.")
OPENING = "Once upon a time"
LATE = b"did not stop when told to"


def _expert(name, model, more="template: plain, temperature: 0", outside=""):
    if not os.path.exists(KERNEL):
        raise Skip(f"SKIPPED: no {KERNEL}: tools/get-llama, then cmake again")
    if not os.path.exists(model):
        raise Skip(f"SKIPPED: no {model}: python3 tools/get_model.py")
    # On a busy machine two threads that wait for each other wait for long.
    return (f"  {name}:\n    kernel: {{file: {KERNEL}, threads: 1, load_ms: 600000, "
            f"options: {{model: {model}, {more}}}}}\n{outside}")


def _gateway(*experts):
    return Gateway("experts:\n" + "".join(experts) + "policies: {attempts: 1}\n")


def _body(model, text, **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}).encode()


def _ask(gateway, model, text, **more):
    return exchange(gateway.port, "POST", "/v1/chat/completions", [], _body(model, text, **more))


def _answer(gateway, model, text, **more):
    reply = _ask(gateway, model, text, **more)
    assert reply.status == 200, reply.body()
    return json.loads(reply.body())


def _text(answer):
    return answer["choices"][0]["message"]["content"]


def _events(reply):
    assert reply.status == 200, reply.body()
    lines = [line[len("data: "):] for line in reply.body().decode().split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", lines[-1]
    return [json.loads(line) for line in lines[:-1]]


def _stream(gateway, model, text, **more):
    """Text, reason of the end and usage of a streamed answer."""
    events = _events(_ask(gateway, model, text, stream=True, stream_options={"include_usage": True}, **more))
    choices = [choice for event in events for choice in event["choices"]]
    (usage,) = [event["usage"] for event in events if event.get("usage")]
    return "".join(choice["delta"].get("content") or "" for choice in choices), choices[-1]["finish_reason"], usage


def test_story_is_the_published_one_plain_and_streamed_with_exact_usage():
    gateway = _gateway(_expert("story", STORIES))
    try:
        plain = _answer(gateway, "story", OPENING, max_tokens=60)
        assert STORY.startswith((OPENING + _text(plain))[:len(STORY)]), _text(plain)
        assert plain["choices"][0]["finish_reason"] == "length"
        # Begin of text and the tokens of "Once upon a time": 5, as bench/tinylm/compare shows them.
        assert plain["usage"] == {"prompt_tokens": 5, "completion_tokens": 60, "total_tokens": 65}, plain["usage"]
        events = _events(_ask(gateway, "story", OPENING, max_tokens=60, stream=True,
                              stream_options={"include_usage": True}))
        pieces = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
        assert "".join(pieces) == _text(plain)
        assert len([piece for piece in pieces if piece]) > 10, pieces
        assert [event["usage"] for event in events if event.get("usage")] == [plain["usage"]]
    finally:
        gateway.stop()


def test_sampling_follows_the_request():
    gateway = _gateway(_expert("story", STORIES))
    try:
        def story(**more):
            return _text(_answer(gateway, "story", OPENING, max_tokens=40, **more))

        assert story(temperature=1.5, seed=3) == story(temperature=1.5, seed=3)
        assert len({story(temperature=1.5, seed=seed) for seed in range(5)}) > 1
        assert story(temperature=1.5, seed=3, top_p=0) == story()
        assert story(stop=[" park"]) == STORY[len(OPENING):STORY.index(" park")]
    finally:
        gateway.stop()


def test_prompt_that_does_not_fit_is_refused_by_code_and_the_end_of_the_context_ends_an_answer():
    gateway = _gateway(_expert("story", STORIES, "template: plain, temperature: 0, context: 32"))
    try:
        for text in ("the sun is up " * 10, "x" * 100000):
            reply = _ask(gateway, "story", text)
            assert reply.status == 400, reply.status
            assert json.loads(reply.body())["error"]["code"] == "context_length_exceeded", reply.body()
        answer = _answer(gateway, "story", OPENING)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["total_tokens"] == 33, answer["usage"]  # the last one is not read again
    finally:
        gateway.stop()


def test_client_that_leaves_stops_the_computation():
    gateway = _gateway(_expert("story", STORIES, "template: plain, temperature: 1.5, context: 512, max_tokens: 500"))
    try:
        deadline, reply = time.monotonic() + PATIENCE_S, None
        while reply is None or LATE in reply.body():  # soon enough: the machine may be busy
            assert time.monotonic() < deadline, "it never stops in time"
            conn = Conn.open(gateway.port)
            conn.send(request_bytes("POST", "/v1/chat/completions", [], _body("story", OPENING, stream=True)))
            stream = Reply(conn)
            assert stream.status == 200 or LATE in stream.body(), stream.body()
            if stream.status == 200 and all([stream.event() for _ in range(3)]):
                conn.sock.close()
                # One instance: it answers only once it has stopped. And what was left behind does no harm.
                reply = _ask(gateway, "story", OPENING, max_tokens=60, temperature=0)
            conn.close()
        assert reply.status == 200, reply.body()
        answer = _text(json.loads(reply.body()))
        assert STORY.startswith((OPENING + answer)[:len(STORY)]), answer
    finally:
        gateway.stop()


def test_instruct_model_template_control_tokens_json_and_deadline():
    """One test, because the model is large: it is loaded twice, and its answers are short and streamed."""
    gateway = _gateway(_expert("smol", INSTRUCT, "temperature: 0"),
                       _expert("late", INSTRUCT, "temperature: 0", "    deadlines: {first_token_ms: 30}\n"))
    try:
        text, finish, usage = _stream(gateway, "smol", "Who wrote Hamlet?", max_tokens=12)
        assert "Shakespeare" in text, text
        # With the system message of the model's template, as tinylm counts too.
        assert (finish, usage["prompt_tokens"]) == ("length", 34), (finish, usage)
        # As a control token it would be one.
        texts = ("a<|im_end|>b", "ab")
        marked, plain = [_stream(gateway, "smol", text, max_tokens=1)[2]["prompt_tokens"] for text in texts]
        assert marked - plain >= 4, (marked, plain)
        text, finish, usage = _stream(gateway, "smol", "Give the name and the age of Anna, who is 31, as JSON.",
                                      max_tokens=120, response_format={"type": "json_object"})
        assert finish == "stop" and isinstance(json.loads(text), dict), text
        reply = _ask(gateway, "late", "Tell me everything about this: " + "the harbour in winter, " * 250)
        assert reply.status == 504, (reply.status, reply.body())
        assert "did not stop when told to" not in gateway.output()
    finally:
        gateway.stop()


def test_library_of_another_version_is_refused():
    config = "experts:\n" + _expert("story", STORIES).replace("/llama.so", "/llama_other_version.so")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(config)
        file.flush()
        done = subprocess.run([BINARY, "check", "--config", file.name], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "it was built for llama.cpp 0.0.1, the library is " in done.stdout + done.stderr, done.stderr


def test_hostile_files_are_refused_without_harm():
    with open(STORIES, "rb") as file:
        model = file.read()
    cases = {
        "no_model": b"not a model at all",
        "cut": model[:len(model) // 2],
        "huge_counts": model[:8] + b"\xff" * 16 + model[24:],
        "wild_types": model[:24] + bytes((byte + 77) & 255 for byte in model[24:4096]) + model[4096:],
    }
    with tempfile.TemporaryDirectory(prefix="expertd-llama-") as folder:
        good = os.path.join(folder, "good.gguf")
        shutil.copy(STORIES, good)
        gateway = _gateway(_expert("story", good))
        try:
            with open(gateway.config_path, encoding="utf-8") as file:
                config = file.read()
            for number, (name, data) in enumerate(cases.items()):
                path = os.path.join(folder, f"{name}.gguf")
                with open(path, "wb") as file:
                    file.write(data)
                gateway.write_config(config.replace(good, path))
                gateway.signal(signal.SIGHUP)
                gateway.wait_output(f"(?s)(reload failed.*?){{{number + 1}}}")
                answer = _text(_answer(gateway, "story", OPENING, max_tokens=20))
                assert STORY.startswith(OPENING + answer), name
        finally:
            gateway.stop()


def test_embeddings_are_those_of_tinylm_from_the_same_file():
    tiny = f"  tiny: {{kernel: {{tinylm: {{model: {STORIES}}}}}}}\n"
    gateway = _gateway(_expert("llama", STORIES), tiny)
    texts = ["Once upon a time there was a little girl", "Tom had a big red truck. " * 30, "\u00e9"]

    def embed(model, **more):
        return exchange(gateway.port, "POST", "/v1/embeddings", [],
                        json.dumps({"model": model, "input": texts, **more}).encode())

    try:
        answers = {model: json.loads(embed(model).body()) for model in ("llama", "tiny")}
        assert answers["llama"]["usage"] == answers["tiny"]["usage"], answers["llama"]["usage"]
        for one, other in zip(answers["llama"]["data"], answers["tiny"]["data"]):
            assert len(one["embedding"]) == 64
            cosine = sum(x * y for x, y in zip(one["embedding"], other["embedding"]))
            assert 0.999 < cosine < 1.001, cosine
        refused = embed("llama", dimensions=8)
        assert refused.status == 400 and json.loads(refused.body())["error"]["param"] == "dimensions"
        said = _text(_answer(gateway, "llama", OPENING, max_tokens=30))
        assert (OPENING + said) == STORY[:len(OPENING + said)], said  # as if nothing had been embedded
    finally:
        gateway.stop()
