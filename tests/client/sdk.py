"""The official OpenAI client for Python, unmodified, against a gateway: sdk.py BASE_URL [OPENAPI].
Prints "ok NAME" or "FAILED NAME: why" per test, for ./run. With OPENAPI (the path of OpenAI's own
API description) it also holds the gateway's own answers against the schemas in there."""
import json
import os
import sys
import urllib.error
import urllib.request

import openai

BASE_URL = sys.argv[1]
PATIENCE_S = 120  # a hang is for ever
OPENAPI = sys.argv[2] if len(sys.argv) > 2 else None
CLIENT = openai.OpenAI(base_url=BASE_URL, api_key="sk-of-the-client", max_retries=0, timeout=PATIENCE_S)

TOOLS = [{"type": "function", "function": {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]


def user(text):
    return [{"role": "user", "content": text}]


def ask(model, text, **more):
    return CLIENT.chat.completions.create(model=model, messages=user(text), **more)


def raises(kind, function):
    try:
        function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def test_chat():
    reply = ask("remote", "hi")
    assert reply.choices[0].message.content == "you said: hi", reply
    assert reply.usage.total_tokens == 5, reply


def test_chat_with_a_kernel():
    reply = ask("parrot", "say \u00e9\u6f22\U0001f600")
    assert reply.choices[0].message.content == "say \u00e9\u6f22\U0001f600", reply
    assert reply.usage.total_tokens > 0, reply


def test_decision_headers():
    raw = CLIENT.chat.completions.with_raw_response.create(
        model="category/general", messages=user("hi"))
    assert raw.headers["x-expertd-expert"] == "parrot", raw.headers
    assert raw.request_id, raw.headers


def test_stream():
    chunks = list(ask("remote", "a b c", stream=True))
    assert all(len(chunk.choices) == 1 for chunk in chunks), chunks
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "you said: a b c", chunks
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]


def test_stream_with_usage():
    chunks = list(ask("remote", "a b c", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens == 5 and chunks[-1].choices == [], chunks[-1]


def test_stream_of_a_kernel():
    chunks = list(ask("parrot", "one two three", stream=True,
                      stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three", chunks
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]


def test_stream_that_breaks_is_an_error():
    raises(openai.APIError, lambda: list(ask("remote", "break after one token", stream=True)))


def test_leaving_a_stream():
    with ask("remote", "go on for ever", stream=True) as stream:
        next(iter(stream))
    assert ask("remote", "hi").choices[0].message.content == "you said: hi"


def test_tool_calls():
    first = ask("remote", "weather in Wien", tools=TOOLS).choices[0].message
    call = first.tool_calls[0]
    assert call.function.name == "get_weather", call
    assert json.loads(call.function.arguments) == {"city": "Wien"}, call
    reply = CLIENT.chat.completions.create(
        model="remote", tools=TOOLS,
        messages=user("weather in Wien") + [
            first, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}])
    assert reply.choices[0].message.content == "you said: sunny", reply


def test_embeddings():
    reply = CLIENT.embeddings.create(model="vectors", input=["a", "bcd"])  # asks for base64
    assert [item.embedding for item in reply.data] == [[1.0, 0.5], [3.0, 0.5]], reply
    assert [item.index for item in reply.data] == [0, 1] and reply.usage.total_tokens == 3, reply


def test_embeddings_as_numbers_and_shorter():
    reply = CLIENT.embeddings.create(model="vectors", input="ab", encoding_format="float",
                                     dimensions=1)
    assert reply.data[0].embedding == [2.0], reply


def test_embeddings_of_a_kernel():
    def embed(**more):
        return CLIENT.embeddings.create(model="words", input=["a dog", "puppies"], **more)
    reply, numbers = embed(), embed(encoding_format="float")
    assert [len(item.embedding) for item in reply.data] == [62, 62], reply
    for one, other in zip(reply.data, numbers.data):
        assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding))
    assert reply.usage.prompt_tokens > 0, reply
    error = raises(openai.BadRequestError, lambda: embed(dimensions=8))
    assert error.param == "dimensions", error


def test_embeddings_of_an_expert_without_any_are_a_bad_request():
    error = raises(openai.BadRequestError, lambda: CLIENT.embeddings.create(
        model="remote", input="a"))
    assert error.code == "no_suitable_expert" and error.param == "model", error


def test_embeddings_are_not_routed():
    error = raises(openai.NotFoundError, lambda: CLIENT.embeddings.create(model="auto", input="a"))
    assert error.code == "model_not_found", error


def test_models():
    ids = {model.id for model in CLIENT.models.list()}
    assert {"auto", "remote", "parrot", "away", "category/general"} <= ids, ids


def test_unknown_model_is_not_found():
    error = raises(openai.NotFoundError, lambda: ask("nobody", "hi"))
    assert error.code == "model_not_found", error


def test_missing_messages_is_bad_request():
    error = raises(openai.BadRequestError, lambda: CLIENT.chat.completions.create(
        model="remote", messages=openai.omit))
    assert error.param == "messages", error


def test_rate_limit_of_the_expert():
    error = raises(openai.RateLimitError, lambda: ask("remote", "429"))
    assert error.response.headers["retry-after"] == "7", error.response.headers


def test_expert_that_is_away_is_a_server_error():
    error = raises(openai.InternalServerError, lambda: ask("away", "hi"))
    assert error.status_code == 502, error


def fetch(path, body=None):
    request = urllib.request.Request(BASE_URL + path, data=body,
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        return error.read()


def chat_json(model, **more):
    return fetch("/chat/completions",
                 json.dumps({"model": model, "messages": user("hello"), **more}).encode())


def allow_nulls(node):
    """The description still says `nullable: true` in places, which OpenAPI 3.1 no longer knows."""
    if isinstance(node, dict):
        if node.pop("nullable", False):
            return {"anyOf": [allow_nulls(node), {"type": "null"}]}
        return {key: allow_nulls(value) for key, value in node.items()}
    return [allow_nulls(item) for item in node] if isinstance(node, list) else node


def locked(key):
    """A client of the gateway that has tenants."""
    return openai.OpenAI(base_url=os.environ["LOCKED_URL"], api_key=key, max_retries=0, timeout=PATIENCE_S)


def test_a_key_opens():
    reply = locked("sk-good").chat.completions.create(model="parrot", messages=user("hi"))
    assert reply.choices[0].message.content == "hi", reply
    assert [model.id for model in locked("sk-good").models.list()] == ["parrot"]


def test_a_wrong_key_is_an_authentication_error():
    error = raises(openai.AuthenticationError, lambda: locked("sk-bad").models.list())
    assert error.code == "invalid_api_key", error


def test_a_model_that_is_not_allowed_is_not_found():
    error = raises(openai.NotFoundError, lambda: locked("sk-good").chat.completions.create(
        model="owl", messages=user("hi")))
    assert error.code == "model_not_found" and error.param == "model", error


def test_a_header_that_is_not_allowed_is_a_permission_error():
    raises(openai.PermissionDeniedError, lambda: locked("sk-good").chat.completions.create(
        model="parrot", messages=user("hi"), extra_headers={"x-expertd-ban": "owl"}))


def test_a_limit_is_a_rate_limit_error():
    def chat():
        return locked("sk-slow").chat.completions.create(model="owl", messages=user("hi"))
    chat()
    error = raises(openai.RateLimitError, chat)
    assert error.code == "rate_limit_exceeded" and error.type == "requests", error
    assert 1 <= int(error.response.headers["retry-after"]) <= 60, error.response.headers


def schema_tests():
    """Only answers that the gateway itself writes: a relayed one is as the expert made it."""
    import jsonschema
    with open(OPENAPI, encoding="utf-8") as f:
        document = allow_nulls(json.load(f))

    def validate(name, raw):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(json.loads(raw))

    def stream_events():
        raw = chat_json("parrot", stream=True, stream_options={"include_usage": True})
        lines = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: ")]
        assert lines[-1] == b"[DONE]" and len(lines) > 2, raw
        for line in lines[:-1]:
            validate("CreateChatCompletionStreamResponse", line)

    yield "schema_of_a_completion", lambda: validate(
        "CreateChatCompletionResponse", chat_json("parrot"))
    yield "schema_of_stream_events", stream_events
    yield "schema_of_embeddings", lambda: validate("CreateEmbeddingResponse", fetch(
        "/embeddings", json.dumps({"model": "words", "input": ["a dog", "a cat"]}).encode()))
    yield "schema_of_models", lambda: validate("ListModelsResponse", fetch("/models"))
    for name, raw in [("an_unknown_model", lambda: chat_json("nobody")),
                      ("an_expert_that_is_away", lambda: chat_json("away")),
                      ("bad_json", lambda: fetch("/chat/completions", b"{")),
                      ("an_unknown_path", lambda: fetch("/nothing"))]:
        yield f"schema_of_the_error_for_{name}", lambda raw=raw: validate("ErrorResponse", raw())


def main():
    tests = [(name[5:], function) for name, function in globals().items()
             if name.startswith("test_")]
    if OPENAPI:
        tests += list(schema_tests())
    for name, function in tests:
        try:
            function()
            print(f"ok {name}")
        except Exception as error:  # the verdict is what this program is for
            text = f"{type(error).__name__}: {error}".replace("\n", " ")[:500]
            print(f"FAILED {name}: {text}")


if __name__ == "__main__":
    main()
