"""Feedback over HTTP: by request id and by prompt, what is refused, what is on disk afterwards."""
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import time

from expert import Expert, completion, send_reply
from gateway import BINARY, SERVE, Gateway
from wire import PATIENCE_S, exchange

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROMPT = "zebra-prompt: what dose of amoxicillin is usual for a child with otitis media?"


def _answer(conn, head, body):
    return send_reply(conn, completion("fine"))


class Place:
    """A gateway with a state file, and an expert behind it."""

    def __init__(self, state="", workers=2, extra="", command=()):
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-feedback-")
        self.path = os.path.join(self.folder.name, "sub", "expertd.db")
        self.expert = Expert(_answer)
        self.expert.__enter__()
        self.conf = (
            f"server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: {workers}}}\n"
            + (f"state: {{path: {self.path}{state}}}\n" if state is not None else "")
            + f"experts:\n  doctor: {{url: {self.expert.url}}}\n  all: {{url: {self.expert.url}}}\n"
            f"router: {{model: {ROOT}/conf/models/domains.edm, threshold: 0.5{extra}}}\n"
            "categories:\n"
            "  medical: {experts: [{expert: doctor, score: 0.9}]}\n"
            "  general: {experts: [{expert: all, score: 0.5}]}\n")
        self.gateway = Gateway(self.conf, command=command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.expert.__exit__(None, None, None)
        self.folder.cleanup()

    def post(self, path, document, port=None):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return exchange(port or self.gateway.port, "POST", path, [], body)

    def ask(self, text=PROMPT, model="auto"):
        reply = self.post("/v1/chat/completions",
                          {"model": model, "messages": [{"role": "user", "content": text}]})
        assert reply.status == 200, reply.status
        return reply.head.get("x-request-id")

    def say(self, **members):
        reply = self.post("/v1/feedback", members)
        return reply.status, json.loads(reply.body())

    def rows(self):
        with sqlite3.connect(self.path) as db:
            return db.execute("SELECT request_id, category, rating, expert, scores, routed_category,"
                              " routed_expert, length(features) / 4 FROM feedback ORDER BY created_s,"
                              " request_id").fetchall()


def test_feedback_on_an_answer_is_stored_with_its_features():
    with Place() as p:
        ids = [p.ask(f"{PROMPT} number {i}") for i in range(8)]  # over both workers
        for request_id in ids:
            status, said = p.say(request_id=request_id, category="medical", rating="good",
                                 scores={"doctor": 1, "all": 0})
            assert status == 200, said
            assert said["stored"] is True and said["request_id"] == request_id, said
            assert said["features"] > 50, said
        rows = p.rows()
        assert sorted(r[0] for r in rows) == sorted(ids), rows
        for row in rows:
            assert row[1:4] == ("medical", "good", None), row
            assert json.loads(row[4]) == {"doctor": 1, "all": 0}, row
            assert row[5:7] == ("medical", "doctor"), row


def test_a_prompt_is_looked_at_and_forgotten():
    with Place() as p:
        status, said = p.say(prompt=PROMPT, category="medical")
        assert status == 200 and said["features"] > 50, said
        assert len(p.rows()) == 1
        p.gateway.stop()
        for name in os.listdir(os.path.dirname(p.path)):
            with open(os.path.join(os.path.dirname(p.path), name), "rb") as f:
                text = f.read()
                assert b"zebra" not in text and b"amoxicillin" not in text, name


def test_the_last_word_on_a_request_counts():
    with Place() as p:
        request_id = p.ask()
        assert p.say(request_id=request_id, rating="good")[0] == 200
        assert p.say(request_id=request_id, rating="bad", expert="all")[0] == 200
        rows = p.rows()
        assert len(rows) == 1 and rows[0][2:4] == ("bad", "all"), rows


def test_feedback_that_does_not_fit_is_refused_and_not_stored():
    cases = [
        ({"request_id": "req_0000000000000000", "rating": "bad"}, 404, "request_not_found",
         "request_id"),
        ({"request_id": "x", "rating": "bad"}, 404, "request_not_found", "request_id"),
        ({"rating": "bad"}, 400, "missing_required_parameter", "request_id"),
        ({"prompt": PROMPT}, 400, "missing_required_parameter", "category"),
        ({"prompt": PROMPT, "category": "astrology"}, 400, "invalid_type", "category"),
        ({"prompt": PROMPT, "expert": "nobody"}, 400, "invalid_type", "expert"),
        ({"prompt": PROMPT, "scores": {"nobody": 1}}, 400, "invalid_type", "expert"),
        ({"prompt": PROMPT, "rating": "bad", "comment": "zebra"}, 400, "invalid_type", "comment"),
        (b"{", 400, "invalid_json", None),
    ]
    with Place() as p:
        for document, status, code, param in cases:
            reply = p.post("/v1/feedback", document)
            error = json.loads(reply.body())["error"]
            assert (reply.status, error["code"], error["param"]) == (status, code, param), \
                (document, error)
            assert "zebra" not in json.dumps(error), error
        assert p.rows() == []


def test_without_state_feedback_says_so():
    with Place(state=None) as p:
        status, said = p.say(request_id=p.ask(), rating="good")
        assert status == 503 and said["error"]["code"] == "state_off", said


def test_pinned_experts_can_be_rated_too():
    with Place() as p:
        status, said = p.say(request_id=p.ask(model="doctor"), rating="bad")
        assert status == 200 and said["features"] == 0, said


def test_a_killed_gateway_keeps_what_it_acknowledged():
    with Place() as p:
        ids = []
        for i in range(20):
            ids.append(p.ask(f"{PROMPT} {i}"))
            assert p.say(request_id=ids[-1], rating="good")[0] == 200
        p.gateway.process.kill()
        p.gateway.process.wait()
        assert sorted(r[0] for r in p.rows()) == sorted(ids)
        p.gateway = Gateway(p.conf)
        assert p.say(request_id=ids[0], rating="good")[0] == 404  # memory is gone, rows are not
        assert p.say(prompt=PROMPT, rating="good")[0] == 200
        assert len(p.rows()) == 21


def test_figures_of_the_state_file_are_on_the_page():
    with Place() as p:
        assert p.say(request_id=p.ask(), rating="good")[0] == 200
        page = exchange(p.gateway.admin, "GET", "/metrics", []).body().decode()
        assert 'expertd_state_rows_total{result="kept"} 2\n' in page, page
        assert "expertd_state_degraded 0\n" in page, page


def _run(p, *words):
    conf = os.path.join(p.folder.name, "conf.yaml")
    with open(conf, "w") as f:
        f.write(p.conf)
    return subprocess.run([BINARY, "feedback", *words, "-c", conf], capture_output=True, text=True,
                          timeout=600)


def test_commands_read_beside_the_server():
    with Place() as p:
        request_id = p.ask()
        assert p.say(request_id=request_id, rating="bad", category="general")[0] == 200
        listed = _run(p, "list")
        assert listed.returncode == 0 and listed.stdout.count("\n") == 1, listed
        assert request_id in listed.stdout and "medical -> general" in listed.stdout, listed
        exported = json.loads(_run(p, "export").stdout)
        assert exported["request_id"] == request_id and len(exported["features"]) > 50, exported
        stats = _run(p, "stats").stdout
        assert re.search(r" 1 +0 +1  medical -> general", stats), stats
        assert _run(p, "nonsense").returncode == 2


def test_a_state_file_that_cannot_be_opened_stops_the_start():
    with tempfile.TemporaryDirectory() as folder:
        conf = os.path.join(folder, "conf.yaml")
        diary = os.path.join(folder, "diary.txt")
        with open(diary, "w") as f:
            f.write("dear diary, this is no database, whatever they say about you\n" * 20)
        with open(conf, "w") as f:
            f.write("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0}\n"
                    f"state: {{path: {diary}}}\nexperts: {{a: {{url: 'http://127.0.0.1:9/v1'}}}}\n")
        done = subprocess.run([*SERVE, "-c", conf], capture_output=True, text=True,
                              timeout=600)
        assert done.returncode == 1, done
        assert "diary.txt" in done.stderr and "not a database" in done.stderr, done.stderr
        with open(diary) as f:
            assert f.read().startswith("dear diary")


def test_drift_is_on_the_page_and_in_the_log():
    with Place(workers=1) as p:
        def figures():
            page = exchange(p.gateway.admin, "GET", "/metrics", []).body().decode()
            return dict(re.findall(r"^(expertd_drift_\S+) (\S+)$", page, re.M))

        for i in range(1000):
            p.post("/v1/chat/completions", {"model": "auto", "messages": [
                {"role": "user", "content": f"{PROMPT} {'abcdefgh'[i % 8]}"}]})
        assert figures()["expertd_drift_reference"] == "1", figures()
        for _ in range(500):
            p.post("/v1/chat/completions", {"model": "auto", "messages": [
                {"role": "user", "content": "write a python function that reverses a list"}]})
        assert float(figures()['expertd_drift_psi{of="label"}']) > 0.25, figures()
        p.gateway.wait_output(r'the distribution of "label" is another than at the start')


KIND = "zebra-prompt: the pelican ledger of harbour ropes, knots and tarred hemp, sheet {}"
ONLINE = ", online: {enabled: true}"


def _category(p, text):
    reply = p.post("/v1/route", {"model": "auto", "messages": [{"role": "user", "content": text}]})
    return json.loads(reply.body())


def _teach(p, count=12):
    for i in range(count):
        status, said = p.say(request_id=p.ask(KIND.format(i)), category="medical")
        assert status == 200, said


def _rollback(p):
    return exchange(p.gateway.admin, "POST", "/admin/router/rollback",
                    [("Content-Type", "application/json")], b"{}")


def test_feedback_corrects_a_kind_of_prompt_and_a_rollback_undoes_it():
    with Place(extra=ONLINE) as p:
        others = [PROMPT, "tell me a joke", "write a python function that sorts a list"]
        before = [_category(p, text) for text in [KIND.format("x"), *others]]
        assert before[0]["category"] == "general", before[0]
        for text in others * 5:
            p.ask(text)
        _teach(p)
        after = [_category(p, text) for text in [KIND.format("x"), *others]]
        assert after[0]["category"] == "medical" and after[0]["taught"] > 0, after[0]
        for b, a in zip(before[1:], after[1:]):
            assert a["category"] == b["category"], (b, a)
        page = exchange(p.gateway.admin, "GET", "/metrics", []).body().decode()
        assert re.search(r'^expertd_online_corrections_total\{result="learned"\} [1-9]', page, re.M)
        p.gateway.stop()
        p.gateway = Gateway(p.conf)  # what was learned outlives the process
        assert _category(p, KIND.format("x"))["scores"] == after[0]["scores"]
        assert _rollback(p).status == 200
        assert [_category(p, text) for text in [KIND.format("x"), *others]] == before


def test_a_rollback_by_the_command_takes_effect_with_a_reload():
    with Place(extra=ONLINE) as p:
        _teach(p)
        assert _category(p, KIND.format("x"))["category"] == "medical"
        assert _run(p, "rollback").returncode == 0
        p.gateway.signal(signal.SIGHUP)
        p.gateway.wait_output(r"the corrections were rolled back")
        p.gateway.wait_output(r"reloaded, generation 2")
        # The workers take the corrections that are left one after the other, after the reload.
        deadline = time.monotonic() + PATIENCE_S
        while _category(p, KIND.format("x"))["category"] != "general":
            assert time.monotonic() < deadline, "it is still corrected"


def test_without_online_learning_feedback_changes_no_route():
    with Place() as p:
        before = _category(p, KIND.format("x"))
        _teach(p)
        assert _category(p, KIND.format("x")) == before
        assert _rollback(p).status == 503


def test_a_page_of_another_origin_cannot_roll_back():
    with Place(extra=ONLINE) as p:
        reply = exchange(p.gateway.admin, "POST", "/admin/router/rollback",
                         [("Content-Type", "text/plain")], b"{}")
        assert reply.status == 415, reply.status


def test_training_learns_from_feedback():
    rows = [{"text": f"{t} number {i}", "label": label, "source": f"s{i % 4}"}
            for i in range(60) for t, label in (
                ("how to treat a burn or a fever at home", "medical"),
                ("tell me a joke about a cat and a dog", "general"))]
    with Place() as p:
        for i in range(20):
            status, said = p.say(prompt=KIND.format(i), category="medical")
            assert status == 200, said
        assert p.say(prompt=KIND.format("bad"), rating="bad")[0] == 200  # says nothing of where
        data = os.path.join(p.folder.name, "rows.jsonl")
        out = os.path.join(p.folder.name, "new.edm")
        with open(data, "w") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)
        done = subprocess.run([BINARY, "train", "--from-feedback", f"{p.path}:2", "--data", data,
                               "--rows", "12", "--out", out, "--report", out + ".json"],
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done
        assert f"{p.path}: 20 rows" in done.stderr, done.stderr
        p.gateway.stop()
        p.conf = p.conf.replace(f"{ROOT}/conf/models/domains.edm", out)
        p.gateway = Gateway(p.conf)
        assert _category(p, KIND.format("x"))["label"] == "medical"
        with open(out, "rb") as f:
            assert b"pelican" not in f.read()


def test_a_full_disk_refuses_feedback_and_serves_on():
    with Place(command=("prlimit", "--fsize=150000")) as p:
        kept = 0
        for i in range(200):
            request_id = p.ask(f"{PROMPT} {i}")  # 200 whatever the disk says
            status, said = p.say(request_id=request_id, rating="good")
            if status != 200:
                break
            kept += 1
        assert status == 503 and said["error"]["code"] == "state_unavailable", said
        assert kept > 0
        page = exchange(p.gateway.admin, "GET", "/metrics", []).body().decode()
        assert "expertd_state_degraded 1\n" in page, page
        p.gateway.wait_output(r"cannot write to .*expertd\.db")
        assert len(p.rows()) == kept
