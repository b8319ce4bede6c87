"""The log of prompts: off by default, a file for its owner alone, redacted unless said otherwise."""
import json
import os
import stat
import subprocess
import tempfile

from expert import Expert, completion, send_reply
from gateway import SERVE, Gateway
from wire import exchange

PROMPT = 'my name is Zoë Zebra,\nmail "zebra@mail.example"'


def _log_of(settings):
    """The log of prompts after one request, or None, and what the expert got."""
    bodies = []

    def answer(conn, head, body):
        bodies.append(json.loads(body))
        return send_reply(conn, completion("fine"))

    with tempfile.TemporaryDirectory(prefix="expertd-privacy-") as folder, Expert(answer) as expert:
        path = os.path.join(folder, "prompts.jsonl")
        gateway = Gateway(
            "server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1}\n"
            f"experts: {{far: {{url: {expert.url}}}}}\n"
            + settings.replace("@path@", path))
        document = {"model": "far", "messages": [{"role": "user", "content": PROMPT}]}
        body = json.dumps(document, indent=1).encode()
        reply = exchange(gateway.port, "POST", "/v1/chat/completions", [], body)
        gateway.stop()
        assert reply.status == 200, reply.status
        if not os.path.exists(path):
            return None, bodies[0]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0]), bodies[0]


def _text(document):
    return document["messages"][0]["content"]


def test_prompts_are_not_logged_by_default():
    log, sent = _log_of("")
    assert log is None
    assert _text(sent) == PROMPT


def test_logged_prompts_are_redacted():
    log, sent = _log_of("privacy: {prompt_log: {path: @path@}}\n")
    assert _text(sent) == PROMPT
    assert _text(log["request"]) == 'my name is [NAME_1],\nmail "[EMAIL_1]"', log
    assert log["expert"] == "far" and log["attempt"] == 1 and log["request_id"].startswith("req_")


def test_logged_prompts_are_whole_if_so_configured():
    log, _ = _log_of("privacy: {prompt_log: {path: @path@, redacted: false}}\n")
    assert _text(log["request"]) == PROMPT


def test_logged_prompts_are_as_they_went_out():
    log, sent = _log_of("privacy: {redact: [{kinds: [email]}], "
                        "prompt_log: {path: @path@, redacted: false}}\n")
    assert _text(sent) == 'my name is Zoë Zebra,\nmail "[EMAIL_1]"'
    assert log["request"] == sent


def test_a_log_of_prompts_that_others_can_read_is_refused():
    with tempfile.TemporaryDirectory(prefix="expertd-privacy-") as folder:
        log = os.path.join(folder, "prompts.jsonl")
        conf = os.path.join(folder, "expertd.yaml")
        with open(log, "w", encoding="utf-8"):
            os.chmod(log, 0o644)
        with open(conf, "w", encoding="utf-8") as f:
            f.write("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1}\n"
                    "experts: {far: {kernel: echo}}\n"
                    f"privacy: {{prompt_log: {{path: {log}}}}}\n")
        done = subprocess.run([*SERVE, "--config", conf], capture_output=True, text=True,
                              timeout=600, check=False)
        assert done.returncode == 1, done
        assert "others have rights to the log of prompts" in done.stderr, done.stderr
