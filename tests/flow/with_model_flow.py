"""The configuration of `tools/run --with-model`, with the smallest model of the tests in place of the one that it downloads."""
import json
import os
import re

from gateway import DEFAULT_SERVER, ROOT, Gateway
from wire import exchange

TINY = os.path.join(ROOT, "tests", "unit", "backends", "data", "tinylm", "stories260K.gguf")


def _config():
    with open(os.path.join(ROOT, "conf", "with-model.yaml"), encoding="utf-8") as file:
        text = file.read()
    text, servers = re.subn(r"server:\n(  .*\n)+", DEFAULT_SERVER, text)
    text, models = re.subn(r"tinylm: \{model: \S+,", f"tinylm: {{model: {TINY}, template: plain,", text)
    assert (servers, models) == (1, 1), text
    return text.replace("conf/", f"{ROOT}/conf/")


def _ask(gateway, prompt):
    body = {"model": "auto", "stream": True, "max_tokens": 5, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": prompt}]}
    reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], json.dumps(body).encode())
    assert reply.status == 200, reply.body()
    return reply


def test_general_prompts_go_to_the_model_and_the_others_stay():
    gateway = Gateway(_config())
    try:
        general = _ask(gateway, "What is the capital of France?")
        assert general.head.get("x-expertd-expert") == "small-model"
        assert b'"completion_tokens":5' in general.body() and b"data: [DONE]" in general.body(), general.body()
        assert _ask(gateway, "What is 17% of 3480?").head.get("x-expertd-expert") == "calculator"
    finally:
        gateway.stop()
