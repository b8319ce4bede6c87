"""Receipts: a chained record of every decision, from which it can be derived again; a changed
configuration is tried on what came lately."""
import json
import os
import re
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from clock import keep_clear_of_midnight
from expert import Expert, completion, send_reply
from gateway import BINARY, ROOT, Gateway
from wire import PATIENCE_S, exchange

MEDICAL = "What is the right dose of amoxicillin for a child with an ear infection?"
ALICE = "Bearer sk-secret-alice"
MODEL = os.path.join(ROOT, "conf", "models", "domains.edm")
DIGEST = "sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"


def _handle(conn, head, body):
    reply = json.loads(completion("fine"))
    reply["usage"] = {"prompt_tokens": 7, "completion_tokens": 3}
    return send_reply(conn, json.dumps(reply).encode())


class Place:
    def __init__(self, receipts="replayable", more=""):
        keep_clear_of_midnight()
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-receipts-")
        self.path = os.path.join(self.folder.name, "expertd.db")
        self.expert = Expert(_handle)
        self.expert.__enter__()
        self.conf = f"""
server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2}}
state: {{path: {self.path}, receipts: {receipts}}}
tenants: [{{name: alice, keys: ["{DIGEST}"]}}]
experts:
  med: {{url: {self.expert.url}, price: {{input: 10, output: 10}}}}
  small: {{url: {self.expert.url}, price: {{input: 1, output: 1}}, context: 9000}}
  eyes: {{url: {self.expert.url}, price: {{input: 5, output: 5}}, capabilities: [vision]}}
router: {{model: {MODEL}, threshold: 0.5}}
categories:
  medical: {{experts: [{{expert: med, score: 0.9}}, {{expert: small, score: 0.5}}]}}
  general: {{experts: [{{expert: small, score: 0.6}}]}}
rules: [{{name: poems, when: {{text: "(?i)poem"}}, category: general}}]
budgets: [{{name: much, usd: 100, per: day, for: {{category: medical}}}}]
guarantees:
  - {{name: no-eyes, when: {{category: [medical]}}, only: {{experts: [med, small]}}}}
{more}"""
        self.gateway = Gateway(self.conf)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.expert.__exit__(None, None, None)
        self.folder.cleanup()

    def ask(self, text, model="auto", headers=(), **more):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        reply = exchange(self.gateway.port, "POST", "/v1/chat/completions",
                         [("Authorization", ALICE), *headers], json.dumps(body).encode())
        reply.body()
        return reply

    def rows(self):
        with sqlite3.connect(self.path) as db:
            db.row_factory = sqlite3.Row
            return db.execute("SELECT * FROM receipts ORDER BY id").fetchall()

    def change(self, sql):
        with sqlite3.connect(self.path) as db:
            db.execute(sql)

    def run(self, command, *words, conf=None):
        path = os.path.join(self.folder.name, "conf.yaml")
        with open(path, "w") as f:
            f.write(self.conf if conf is None else conf)
        return subprocess.run([BINARY, *command.split(), "-c", path, *words], capture_output=True,
                              text=True, timeout=600)


def test_every_decision_has_a_receipt_before_its_answer():
    with Place() as p:
        told = [p.ask(MEDICAL), p.ask("write a poem"), p.ask("hi", model="small"),
                p.ask("look", model="med", messages=[{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}])]
        rows = p.rows()
        assert [r["request_id"] for r in rows] == [r.head.get("x-request-id") for r in told]
        decisions = [json.loads(r["decision"]) for r in rows]
        assert [d["category"] for d in decisions] == ["medical", "general", "", ""], decisions
        assert [d["rule"] for d in decisions] == ["", "poems", "", ""], decisions
        assert [r["expert"] for r in rows[:3]] == ["med", "small", "small"], [*map(tuple, rows)]
        assert rows[0]["cost_nano_usd"] == 10 * 10_000 and rows[0]["attempts"] == 1, tuple(rows[0])
        assert {c["expert"] for c in decisions[0]["candidates"]} == {"med", "small"}, decisions[0]
        with open(p.path, "rb") as f:
            assert b"amoxicillin" not in f.read()


def test_a_decision_is_derived_again_from_its_receipt():
    with Place() as p:
        for text, model in ((MEDICAL, "auto"), ("write a poem", "auto"), ("hello", "auto"),
                            ("hi", "small"), ("qqqqq zzzz", "auto"), ("x", "category/medical")):
            request = p.ask(text, model).head.get("x-request-id")
            done = p.run("route", "--replay", request)
            assert done.returncode == 0, (text, done)
            assert "the decision is the same\n" in done.stdout, (text, done.stdout)
            assert "configuration  the same" in done.stdout, done.stdout


def test_latencies_and_shut_experts_are_held_again():
    policies = "policies: {latency_weight: 2, breaker: {failures: 1, open_ms: 60000}}\n"
    with Place(more=policies) as p:
        p.expert.handle = lambda conn, head, body: send_reply(conn, b"{}", status=500)
        assert p.ask("hello").status >= 500
        p.expert.handle = _handle
        refused = p.ask("hello")
        assert refused.status == 503, refused.status
        for text in (MEDICAL, "hello", "write a poem"):
            request = p.ask(text).head.get("x-request-id")
            done = p.run("route", "--replay", request)
            assert done.returncode == 0 and "the decision is the same\n" in done.stdout, done.stdout


def _same_again(p, reply):
    done = p.run("route", "--replay", reply.head.get("x-request-id"))
    assert done.returncode == 0 and "the decision is the same\n" in done.stdout, done.stdout
    return done.stdout


class Gate:
    """Of the experts `med` fails, answers, or lets its callers wait."""

    def __init__(self):
        self.mood = "fails"
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def handle(self, conn, head, body):
        if json.loads(body)["model"] != "med" or self.mood == "answers":
            return _handle(conn, head, body)
        if self.mood == "fails":
            return send_reply(conn, b"{}", status=500)
        self.is_asked.set()
        self.may_answer.wait(PATIENCE_S)
        return _handle(conn, head, body)


def _all_again(p):
    """The decision of each receipt comes out again."""
    rows = p.rows()
    for row in rows:
        done = p.run("route", "--replay", row["request_id"])
        assert done.returncode == 0 and "the decision is the same\n" in done.stdout, done.stdout
        assert "not known" not in done.stdout, done.stdout
    return [json.loads(row["decision"]) for row in rows]


def _dropped(decision):
    return [c["expert"] for c in decision["candidates"] if c.get("policy") == "health"]


def test_a_probe_and_who_came_while_it_was_out_are_decided_again():
    policies = "policies: {retries: 0, breaker: {failures: 1, open_ms: 20, open_max_ms: 20}}\n"
    with Place(more=policies) as p:
        gate = Gate()
        p.expert.handle = gate.handle
        assert p.ask(MEDICAL).head.get("x-expertd-attempt-log") == "med 500; small 200"
        gate.mood = "waits"
        deadline = time.monotonic() + PATIENCE_S
        probes = []
        while not gate.is_asked.is_set():  # until the breaker lets a probe through
            assert time.monotonic() < deadline, "no probe"
            asking = threading.Thread(target=lambda: probes.append(p.ask(MEDICAL)))
            asking.start()
            while asking.is_alive() and not gate.is_asked.wait(0.01):
                pass
        beside = p.ask(MEDICAL)
        gate.may_answer.set()
        asking.join()
        assert probes[-1].head.get("x-expertd-expert") == "med"
        assert beside.head.get("x-expertd-expert") == "small"
        decisions = dict(zip([row["request_id"] for row in p.rows()], _all_again(p)))
        assert _dropped(decisions[probes[-1].head.get("x-request-id")]) == []
        assert _dropped(decisions[beside.head.get("x-request-id")]) == ["med"]
        assert _preview(p, p.conf)[1]["guesses"] == 0


def test_an_expert_that_fails_its_health_checks_is_left_out_again():
    health = ", health: {path: /health, interval_ms: 10}"
    with Place(more="policies: {retries: 0, breaker: {failures: 0}}\n") as p:
        p.gateway.stop()
        with socket.socket() as sock:  # nobody listens there
            sock.bind(("127.0.0.1", 0))
            p.conf = p.conf.replace(f"med: {{url: {p.expert.url}, price: {{input: 10, output: 10}}",
                                    f"med: {{url: 'http://127.0.0.1:{sock.getsockname()[1]}/v1', "
                                    "price: {input: 10, output: 10}" + health)
            p.gateway = Gateway(p.conf)
            deadline = time.monotonic() + PATIENCE_S
            while p.ask(MEDICAL).head.get("x-expertd-attempts") != "1":
                assert time.monotonic() < deadline, "its health checks go well"
        decisions = _all_again(p)
        assert _dropped(decisions[-1]) == ["med"], decisions[-1]


def test_priorities_change_turns_and_no_decision():
    with Place(more="policies: {latency_weight: 0.5}\n") as p:
        p.gateway.stop()
        p.conf = (p.conf.replace("name: alice,", "name: alice, priority: normal, "
                                 "allow_headers: [priority],")
                  .replace("med: {", "med: {concurrency: 1, queue: 1, queue_ms: 20, "))
        p.gateway = Gateway(p.conf)
        gate = Gate()
        gate.mood = "waits"
        p.expert.handle = gate.handle
        first = threading.Thread(target=lambda: p.ask(MEDICAL))
        first.start()
        assert gate.is_asked.wait(PATIENCE_S)
        for priority in ("low", "normal", "high"):  # wait for a place, in vain
            reply = p.ask(MEDICAL, headers=[("x-expertd-priority", priority)])
            assert reply.status == 200, reply.status
        gate.may_answer.set()
        first.join()
        decisions = _all_again(p)
        busy = [d for d in decisions if d["plan"]]
        assert len(busy) == 4 and all(d["category"] == "medical" for d in busy), busy
        assert len({tuple(d["plan"]) for d in decisions[:3]}) == 1, decisions


def test_many_candidates_and_bans_are_held_again():
    names = [f"e{i}" for i in range(24)]
    more = "policies: {latency_weight: 0.3}\n"
    with Place() as p:
        experts = "".join(f"  {n}: {{url: {p.expert.url}, price: {{input: 1, output: 1}}}}\n"
                          for n in names)
        p.conf = (p.conf.replace("router:", experts + "router:")
                  .replace("{expert: small, score: 0.6}",
                           ", ".join(f"{{expert: {n}}}" for n in names))
                  .replace("small]}}", "small]}, strict: false}")
                  .replace("name: alice,", "name: alice, allow_headers: [ban],") + more)
        p.gateway.stop()
        p.gateway = Gateway(p.conf)
        for i in range(3):
            assert p.ask(f"hello {i}").status == 200
        banned = ",".join(names[:9])
        said = _same_again(p, p.ask("hello", headers=[("x-expertd-ban", banned)]))
        assert said.count('"policy":"ban"') == 9, said
        assert len(p.rows()[-1]["signals"]) < 1500, len(p.rows()[-1]["signals"])


def test_a_detour_of_a_guarantee_is_taken_again():
    with Place() as p:
        p.conf = (p.conf.replace("medical: {experts: [{expert: med, score: 0.9}",
                                 "medical: {threshold: 1.0, experts: [{expert: med, score: 0.9}")
                  .replace("general: {experts: [{expert: small, score: 0.6}]}",
                           "general: {experts: [{expert: eyes, score: 0.6}]}")
                  .replace("only: {experts: [med, small]}}",
                           "only: {experts: [med, small]}, strict: false}"))
        p.gateway.stop()
        p.gateway = Gateway(p.conf)
        said = _same_again(p, p.ask(MEDICAL))
        assert '"source":"guarantee"' in said and '"left":{"category":"general"' in said, said


def test_a_replay_says_which_fact_is_missing():
    with Place() as p:
        request = p.ask(MEDICAL).head.get("x-request-id")
        other = p.conf.replace('"(?i)poem"', '"(?i)verse"') + "policies: {latency_weight: 1}\n"
        done = p.run("route", "--replay", request, conf=other)
        assert "a guess" in done.stdout, done.stdout
        gaps = re.findall(r"^not known +(.*)$", done.stdout, re.M)
        assert gaps == ["whether it had the text and the headers of a rule: poems",
                        "how long an expert would have taken to begin: med",
                        "how long an expert would have taken to begin: small"], gaps


def test_another_configuration_shows_what_it_would_change():
    with Place() as p:
        request = p.ask(MEDICAL).head.get("x-request-id")
        other = p.conf.replace("expert: med, score: 0.9", "expert: med, score: 0.3")
        done = p.run("route", "--replay", request, conf=other)
        assert done.returncode == 0 and "configuration  another one" in done.stdout, done
        assert "the decision is another one" in done.stdout, done.stdout
        assert re.search(r'^\+ .*"plan":\["small","med"\]', done.stdout, re.M), done.stdout


def test_without_signals_nothing_can_be_derived():
    with Place("decision") as p:
        request = p.ask(MEDICAL).head.get("x-request-id")
        assert len(p.rows()[0]["signals"]) == 0 and len(p.rows()[0]["features"]) == 32
        done = p.run("route", "--replay", request)
        assert done.returncode == 1 and "state.receipts: decision" in done.stderr, done
        assert p.run("route", "--replay", "req_none").returncode == 1


def test_off_means_that_nothing_is_written():
    with Place("off") as p:
        p.ask(MEDICAL)
        assert p.rows() == []


def test_whoever_changes_a_receipt_is_found_out():
    for sql in ("UPDATE receipts SET expert = 'small' WHERE id = 2",
                "UPDATE receipts SET signals = x'00' WHERE id = 1",
                "UPDATE receipts SET decision = '{}' WHERE id = 3",
                "UPDATE receipts SET cost_nano_usd = 0 WHERE id = 2",
                "DELETE FROM receipts WHERE id = 2", "DELETE FROM receipts WHERE id = 1"):
        with Place() as p:
            for _ in range(3):
                p.ask(MEDICAL)
            good = p.run("ledger", "--verify")
            assert good.returncode == 0 and "receipts: 3 rows: whole" in good.stdout, good
            p.change(sql)
            done = p.run("ledger", "--verify")
            assert done.returncode == 1 and "receipts: changed: receipt " in done.stdout, (sql, done)


def test_an_anchor_misses_rows_that_were_cut_off_at_the_end():
    with Place() as p:
        for _ in range(3):
            p.ask(MEDICAL)
        printed = p.run("ledger verify").stdout
        anchors = re.findall(r"anchor (\S+)", printed)
        assert [a.split(":")[:2] for a in anchors] == [["ledger", "3"], ["receipts", "3"]], printed
        words = [w for a in anchors for w in ("--anchor", a)]
        p.ask(MEDICAL)
        assert p.run("ledger", "--verify", *words).returncode == 0
        p.change("DELETE FROM receipts WHERE id >= 3")
        assert p.run("ledger", "--verify").returncode == 0, "nothing else can tell"
        done = p.run("ledger", "--verify", *words)
        assert done.returncode == 1 and "removed at the end" in done.stdout, done
        assert p.run("ledger", "--verify", "--anchor", "nonsense").returncode == 2


def test_a_client_that_left_and_a_refusal_have_their_receipts():
    with Place() as p:
        refused = p.ask("hi", max_tokens=9000, model="small")
        assert refused.status == 400, refused.status
        row, = p.rows()
        assert (row["expert"], row["outcome"]) == ("", "context_length_exceeded"), tuple(row)


def _preview(p, conf, kind="application/yaml"):
    reply = exchange(p.gateway.admin, "POST", "/admin/preview", [("Content-Type", kind)],
                     conf.encode())
    return reply.status, json.loads(reply.body())


def test_a_preview_counts_what_a_change_would_do():
    with Place("off") as p:
        for _ in range(4):
            p.ask(MEDICAL)
        p.ask("write a poem")
        p.ask("hello", "small")
        cheaper = p.conf.replace("expert: med, score: 0.9", "expert: med, score: 0.3")
        status, got = _preview(p, cheaper)
        assert status == 200 and got["requests"] == 6 and got["guesses"] == 0, got
        assert got["changed"] == {"category": 0, "expert": 4}, got
        experts = {e["name"]: e for e in got["experts"]}
        assert (experts["med"]["before"], experts["med"]["after"]) == (4, 0), got
        assert (experts["small"]["before"], experts["small"]["after"]) == (2, 6), got
        assert got["no_longer_chosen"] == ["med"], got
        assert got["cost_usd"]["after"] < got["cost_usd"]["before"], got
        status, same = _preview(p, p.conf)
        assert same["changed"] == {"category": 0, "expert": 0} and same["before"] == same["after"]


def test_a_preview_tells_moves_refusals_and_rules_that_cannot_be_tried():
    with Place("off") as p:
        for text in (MEDICAL, MEDICAL, "write a poem"):
            p.ask(text)
        changed = (p.conf.replace("threshold: 0.5", "threshold: 1.0")
                   .replace('"(?i)poem"', '"(?i)verse"').replace("context: 9000", "context: 9"))
        status, got = _preview(p, changed)
        assert status == 200, got
        assert got["moves"] == [{"from": "medical", "to": "general", "requests": 2}], got
        assert got["untried_rules"] == ["poems"], got
        assert got["refused"] == {"before": 0, "after": 3}, got


def test_a_preview_plays_budgets():
    with Place("off") as p:
        for _ in range(4):
            p.ask(MEDICAL, max_tokens=82)
        poor = p.conf.replace("usd: 100, per: day", "usd: 0.003, per: day")
        status, got = _preview(p, poor)
        assert status == 200 and got["guesses"] == 0 and got["missing"] == {}, got
        much, = got["budgets"]
        each = 10 * (19 + 82) / 1e6  # med: a quarter of 74 bytes, and what it may answer
        assert much["name"] == "much", got
        assert much["before"]["hits"] == 0, much
        assert abs(much["before"]["cost_usd"] - 4 * each) < 1e-8, (much, each)
        assert much["after"]["limit_usd"] == 0.003, much
        assert much["after"]["hits"] == 2 and much["after"]["refused"] == 0, much
        experts = {e["name"]: e for e in got["experts"]}
        assert (experts["med"]["after"], experts["small"]["after"]) == (2, 2), experts
        alone = poor.replace(", {expert: small, score: 0.5}]", "]")
        status, got = _preview(p, alone)
        assert got["budgets"][0]["after"]["refused"] == 2, got
        assert got["refused"] == {"before": 0, "after": 2}, got


def test_a_preview_of_a_broken_configuration_says_where_it_is_broken():
    with Place("off") as p:
        status, got = _preview(p, "experts: {x: {uri: 1}}\n")
        assert status == 400 and got["error"]["code"] == "invalid_configuration", got
        assert "preview:1:" in got["error"]["message"], got
        assert _preview(p, p.conf, "text/plain")[0] == 415
        assert exchange(p.gateway.port, "POST", "/admin/preview", [("Authorization", ALICE)],
                        p.conf.encode()).status == 404
        assert "sk-secret" not in json.dumps(_preview(p, p.conf))


def test_a_preview_reads_only_what_the_configuration_in_use_allows():
    with Place("off") as p, tempfile.TemporaryDirectory(prefix="expertd-other-") as other:
        secret = os.path.join(other, "secret.txt")
        with open(secret, "w") as f:
            f.write("what-nobody-shall-read\n")
        status, got = _preview(p, p.conf.replace(MODEL, secret))
        said = got["error"]["message"]
        assert status == 400 and "secret.txt" in said and "not read for a trial" in said, got
        assert "nobody-shall" not in said, got
        missing = _preview(p, p.conf.replace(MODEL, secret + ".not"))[1]["error"]["message"]
        assert missing.replace(".not", "") == said, (missing, said)


def test_a_preview_loads_no_kernel_and_starts_no_process():
    with Place("off") as p, tempfile.TemporaryDirectory(prefix="expertd-other-") as other:
        marks = [os.path.join(other, name) for name in ("mark", "log", "state")]
        changed = p.conf.replace("router:", f"""  so: {{kernel: {{file: {other}/not-there.so}}}}
  run: {{process: {{argv: [/bin/touch, {marks[0]}, "$${{PORT}}"], log: {marks[1]}}}}}
router:""").replace(p.path, marks[2])
        status, got = _preview(p, changed)
        assert status == 200, got
        assert not any(os.path.exists(mark) for mark in marks), os.listdir(other)


def test_the_command_compares_with_receipts():
    with Place() as p:
        for _ in range(3):
            p.ask(MEDICAL)
        old = os.path.join(p.folder.name, "old.yaml")
        with open(old, "w") as f:
            f.write(p.conf)
        new = p.conf.replace("expert: med, score: 0.9", "expert: med, score: 0.3")
        done = p.run("check", "--against", old, conf=new)
        assert done.returncode == 0, done
        assert "3 requests: 0 get another category, 3 another first expert" in done.stdout, done
        assert re.search(r"^med +3 +0 .*no longer chosen$", done.stdout, re.M), done.stdout
        got = json.loads(p.run("check", "--against", old, "--json", conf=new).stdout)
        assert got["changed"]["expert"] == 3, got


def test_without_receipts_there_is_nothing_to_compare():
    with Place("decision") as p:
        p.ask(MEDICAL)
        old = os.path.join(p.folder.name, "old.yaml")
        with open(old, "w") as f:
            f.write(p.conf)
        done = p.run("check", "--against", old)
        assert done.returncode == 1 and "state.receipts: replayable" in done.stderr, done
