"""Budgets in USD: reserved before, settled after, exact under load, kept over restarts."""
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading

from clock import keep_clear_of_midnight
from expert import Expert, completion, send_reply
from gateway import BINARY, Gateway
from wire import exchange

TOKENS = 10  # of each answer; its prompt is free
CALL = 0.001  # USD that it costs at `paid`; a tenth of that at `cheap`


def _answer(conn, head, body):
    reply = json.loads(completion("hello"))
    reply["usage"] = {"prompt_tokens": 5, "completion_tokens": TOKENS}
    return send_reply(conn, json.dumps(reply).encode())


class Place:
    def __init__(self, *budgets, handle=_answer, extra=""):
        keep_clear_of_midnight()
        self.folder = tempfile.TemporaryDirectory(prefix="expertd-budget-")
        self.path = os.path.join(self.folder.name, "expertd.db")
        self.expert = Expert(handle)
        self.expert.__enter__()
        self.conf = self.config(*budgets) + extra
        self.gateway = Gateway(self.conf)

    def config(self, *budgets):
        url = self.expert.url
        return ("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 2}\n"
                f"state: {{path: {self.path}}}\n"
                "experts:\n"
                f"  paid: {{url: {url}, price: {{input: 0, output: 100}}}}\n"
                f"  cheap: {{url: {url}, price: {{input: 0, output: 10}}}}\n"
                f"  free: {{url: {url}, price: {{input: 0, output: 0}}}}\n"
                f"  unpriced: {{url: {url}}}\n"
                "aliases: {either: [paid, cheap]}\n"
                "categories:\n"
                "  law: {experts: [{expert: paid, score: 0.9}, {expert: cheap, score: 0.5}]}\n"
                "  general: {experts: [{expert: cheap, score: 0.5}]}\n"
                "budgets:\n" + "".join(f"  - {{{b}}}\n" for b in budgets))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.expert.__exit__(None, None, None)
        self.folder.cleanup()

    def ask(self, model="paid", headers=(), **more):
        body = {"model": model, "max_tokens": TOKENS,
                "messages": [{"role": "user", "content": "hi"}], **more}
        return exchange(self.gateway.port, "POST", "/v1/chat/completions", list(headers),
                        json.dumps(body).encode())

    def gauge(self, series, name):
        page = exchange(self.gateway.admin, "GET", "/metrics", []).body().decode()
        return float(re.search(rf'^expertd_budget_{series}_usd{{budget="{name}"}} (\S+)$', page,
                               re.M).group(1))


def _error(reply):
    return json.loads(reply.body())["error"]


def test_two_thousand_at_once_get_what_ten_can_pay():
    with Place("name: team, usd: 0.01, per: total") as p:
        statuses = []

        def client():
            for _ in range(40):
                statuses.append(p.ask().status)

        threads = [threading.Thread(target=client) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(set(statuses)) == [200, 429] and len(statuses) == 2000
        assert statuses.count(200) == 10, statuses.count(200)
        assert p.expert.requests == 10, p.expert.requests
        assert p.gauge("remaining", "team") == 0 and p.gauge("reserved", "team") == 0


def test_a_refusal_names_the_budget_and_when_it_begins_anew():
    with Place("name: team, usd: 0.0005, per: month") as p:
        reply = p.ask()
        error = _error(reply)
        assert reply.status == 429, reply.status
        assert (error["type"], error["code"]) == ("insufficient_quota",) * 2, error
        assert re.search(r'budget "team" has 0\.000500000 until \d{4}-\d\d-01T00:00:00',
                         error["message"]), error
        assert 0 < int(reply.head.get("retry-after")) <= 31 * 86400, reply.head.get("retry-after")
        assert p.expert.requests == 0


def test_what_was_not_used_is_given_back():
    with Place("name: team, usd: 0.01, per: total") as p:
        for i in range(9):  # the first ones reserve half of the budget, all cost a tenth
            assert p.ask(max_tokens=5 * TOKENS if i < 5 else TOKENS).status == 200
        assert abs(p.gauge("remaining", "team") - CALL) < 1e-12
        assert p.ask(max_tokens=2 * TOKENS).status == 429
        assert p.ask().status == 200


def test_failed_attempts_give_back_what_they_reserved():
    def fail(conn, head, body):
        return send_reply(conn, b'{"error":{"message":"no"}}', status=500)

    with Place("name: team, usd: 0.001, per: total", handle=fail,
               extra="policies: {breaker: {failures: 0}}\n") as p:
        for _ in range(5):
            assert p.ask().status == 500
        assert p.gauge("remaining", "team") == CALL and p.gauge("reserved", "team") == 0


def test_experts_that_do_not_fit_are_passed_over():
    with Place("name: team, usd: 0.0015, per: total, soft: 1") as p:
        experts = [p.ask("category/law").head.get("x-expertd-expert") for _ in range(6)]
        assert experts == ["paid"] + ["cheap"] * 5, experts
        assert p.ask("category/law").status == 429
        assert p.ask("free").status == 200


def test_past_the_soft_mark_answers_warn_and_the_cheapest_comes_first():
    with Place("name: team, usd: 0.01, per: day, soft: 0.2, on_exceed: degrade") as p:
        replies = [p.ask("category/law") for _ in range(4)]
        experts = [r.head.get("x-expertd-expert") for r in replies]
        assert experts == ["paid", "paid", "cheap", "cheap"], experts
        assert replies[0].head.get("x-expertd-budget") is None
        assert replies[1].head.get("x-expertd-budget") == "name=team; remaining-usd=0.008000000"
        assert replies[3].head.get("x-expertd-budget") == "name=team; remaining-usd=0.007800000"


def test_a_budget_counts_what_it_is_for():
    with Place("name: law, usd: 0.002, per: total, for: {category: law, expert: paid}",
               "name: all, usd: 0.005, per: total") as p:
        assert [p.ask().status for _ in range(3)] == [200] * 3  # pinned: no category
        experts = [p.ask("category/law").head.get("x-expertd-expert") for _ in range(3)]
        assert experts == ["paid", "paid", None], experts  # `all` has nothing left
        assert p.ask("free").status == 200


def test_tenants_and_keys_have_budgets_of_their_own():
    keys = {name: f"sk-{name}-0123456789abcdef0123456789abcdef"
            for name in ("laptop", "server", "bob")}
    digests = {name: "sha256:" + hashlib.sha256(key.encode()).hexdigest()
               for name, key in keys.items()}
    tenants = ("tenants:\n"
               f"  - {{name: alice, keys: [{{sha256: '{digests['laptop']}', name: laptop}}, "
               f"{{sha256: '{digests['server']}', name: server}}]}}\n"
               f"  - {{name: bob, keys: ['{digests['bob']}']}}\n")
    with Place("name: alice, usd: 0.003, per: month, for: {tenant: alice}",
               "name: laptop, usd: 0.001, per: day, for: {key: laptop}", extra=tenants) as p:
        def ask(name):
            return p.ask(headers=[("Authorization", f"Bearer {keys[name]}")]).status

        assert [ask("laptop") for _ in range(2)] == [200, 429]
        assert [ask("server") for _ in range(3)] == [200, 200, 429]
        assert [ask("bob") for _ in range(4)] == [200] * 4
        with sqlite3.connect(p.path) as db:
            rows = db.execute("SELECT tenant, key_id, count(*) FROM ledger GROUP BY 1, 2").fetchall()
        assert sorted(rows)[:2] == [("alice", "laptop", 1), ("alice", "server", 2)], rows
        assert rows[2][0] == "bob" and rows[2][2] == 4, rows


def test_a_request_may_have_a_limit_of_its_own():
    with Place("name: each, usd: 0.001, per: request") as p:
        assert [p.ask().status for _ in range(5)] == [200] * 5
        reply = p.ask(max_tokens=TOKENS + 1)
        assert reply.status == 429 and 'budget "each"' in _error(reply)["message"], reply.status
        assert reply.head.get("retry-after") is None


def test_an_expert_without_a_price_cannot_be_paid_from_a_budget():
    with Place("name: team, usd: 1, per: day") as p:
        reply = p.ask("unpriced")
        assert reply.status == 400, reply.status
        assert "has no price" in _error(reply)["message"], _error(reply)
        assert p.expert.requests == 0


def test_zero_refuses_every_paid_call():
    with Place("name: team, usd: 0, per: month") as p:
        assert p.ask().status == 429 and p.ask("free").status == 200


def test_budgets_outlive_the_process_even_when_it_is_killed():
    with Place("name: team, usd: 0.003, per: month") as p:
        assert [p.ask().status for _ in range(2)] == [200] * 2
        p.gateway.process.kill()
        p.gateway.process.wait()
        p.gateway = Gateway(p.conf)
        assert [p.ask().status for _ in range(2)] == [200, 429]


def test_a_reload_keeps_what_was_spent_and_fills_new_budgets():
    with Place("name: team, usd: 0.002, per: month") as p:
        assert [p.ask().status for _ in range(3)] == [200, 200, 429]
        p.gateway.write_config(p.config("name: team, usd: 0.003, per: month",
                                        "name: day, usd: 0.01, per: day"))
        p.gateway.signal(signal.SIGHUP)
        p.gateway.wait_output(r"reloaded, generation 2")
        assert abs(p.gauge("remaining", "day") - 0.008) < 1e-12
        assert [p.ask().status for _ in range(2)] == [200, 429]


def test_a_live_explanation_shows_what_the_budget_says():
    with Place("name: team, usd: 0.0005, per: month") as p:
        body = {"model": "category/law", "max_tokens": TOKENS,
                "messages": [{"role": "user", "content": "hi"}]}
        reply = exchange(p.gateway.port, "POST", "/v1/route", [], json.dumps(body).encode())
        verdicts = {c["expert"]: (c["verdict"], c.get("policy"))
                    for c in json.loads(reply.body())["candidates"]}
        assert verdicts == {"paid": ("drop", "budget"), "cheap": ("keep", None)}, verdicts


def test_budgets_that_cannot_hold_do_not_load():
    cases = [
        ("name: a, usd: 1, for: {expert: nobody}", 'an expert that does not exist: "nobody"'),
        ("name: a, usd: 1, for: {category: nothing}", 'a category that does not exist: "nothing"'),
        ("name: a, usd: 1, for: {tenant: nobody}", 'a tenant that does not exist: "nobody"'),
        ("name: a, usd: -1", "usd"),
        ("name: a, usd: 1.0000000001", "an amount in USD with at most 9 decimals"),
        ("name: a", "usd"),
        ("usd: 1", "name"),
        ("name: a, usd: 1, per: week", "per"),
    ]
    with Place("name: team, usd: 1") as p:
        for budget, said in cases:
            path = os.path.join(p.folder.name, "bad.yaml")
            with open(path, "w") as f:
                f.write(p.config(budget))
            done = subprocess.run([BINARY, "check", "-c", path], capture_output=True, text=True,
                                  timeout=600)
            assert done.returncode == 1 and said in done.stdout + done.stderr, (budget, done)


def _usage_of(prompt, tokens, reasoning=0):
    def answer(conn, head, body):
        reply = json.loads(completion("hello"))
        reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": tokens,
                          "completion_tokens_details": {"reasoning_tokens": reasoning}}
        return send_reply(conn, json.dumps(reply).encode())
    return answer


class With(Place):
    """A place with one more expert."""

    def __init__(self, name, price, *budgets, **more):
        self.more = (name, price)
        super().__init__(*budgets, **more)

    def config(self, *budgets):
        name, price = self.more
        line = f"  {name}: {{url: {self.expert.url}, price: {{{price}}}}}\n"
        return super().config(*budgets).replace("aliases:", line + "aliases:")


def test_each_of_several_choices_is_reserved():
    with Place("name: team, usd: 0.01, per: total", handle=_usage_of(5, 10 * TOKENS)) as p:
        assert p.ask(n=11).status == 429 and p.expert.requests == 0
        assert p.ask(headers=[("x-expertd-max-price", "0.009")], n=10).status == 400
        assert p.ask(n=10).status == 200
        assert p.gauge("remaining", "team") == 0


def test_a_prompt_is_all_that_is_billed_as_one():
    long = "x" * 40000  # 10,000 tokens: 10 USD at `dear`
    tool = {"type": "function", "function": {"name": "f", "description": long}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": long}}
    asked = [
        {"tools": [tool]},
        {"functions": [tool["function"]]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": {
            "type": "object", "description": long}}}},
        {"messages": [{"role": "user", "content": "hi"},
                      {"role": "assistant", "content": None, "tool_calls": [call]},
                      {"role": "tool", "tool_call_id": "c", "content": "1"}]},
    ]

    with With("dear", "input: 1000, output: 0", "name: team, usd: 9, per: total") as p:
        assert p.ask("dear").status == 200
        statuses = [p.ask("dear", **more).status for more in asked]
        assert statuses == [429] * len(asked), statuses


def test_reasoning_that_is_dearer_than_answers_is_reserved():
    with With("thinker", "input: 0, output: 10, reasoning: 100",
              "name: team, usd: 0.001, per: total",
              handle=_usage_of(5, TOKENS, reasoning=TOKENS)) as p:
        assert p.ask("thinker", max_tokens=TOKENS + 1).status == 429
        assert p.ask("thinker").status == 200
        assert p.gauge("remaining", "team") == 0
