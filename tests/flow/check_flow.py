"""expertd check: what a configuration says, and what of it is dead."""
import os
import subprocess
import tempfile

from gateway import BINARY, ROOT
from wire import Failure

KEY = "sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"
EXPLAINED = """
experts:
  paid: {url: "http://127.0.0.1:9/v1", price: {input: 1.5, output: 6}, context: 32768,
         capabilities: [tools, json], locality: local}
  calc: {kernel: {calc: {}}}
  far: {url: "http://127.0.0.1:9/v3"}
categories:
  general: {experts: [{expert: paid, score: 0.4}, {expert: far, score: 0.7}]}
  law: {experts: [{expert: paid, score: 0.9}]}
rules:
  - {name: sums, when: {text: "^[0-9+]+$"}, expert: calc}
  - {when: {header: {x-team: legal}, model: gpt-4o}, category: law}
aliases: {best: [paid, calc]}
guarantees:
  - {name: house, when: {category: [law]}, only: {experts: [paid, far, calc]}}
"""
PAID = "paid local 1.50/6.00 USD 32768 tools,json".split()
CALC = "calc local 0.00/0.00 USD ? everything".split()
FAR = "far remote ? ? everything".split()
DEAD = f"""state: {{path: /nowhere/x.db}}
tenants:
  - {{name: alice, keys: ["{KEY}"]}}
  - {{name: bob}}
experts:
  a: {{url: "http://127.0.0.1:9/v1", model: m, price: {{input: 1, output: 1}}}}
  twin: {{url: "http://127.0.0.1:9/v1", model: m, price: {{input: 1, output: 1}}}}
  idle: {{url: "http://127.0.0.1:9/v2"}}
categories:
  general: {{experts: [{{expert: a, score: 1}},
                       {{expert: twin, score: 1}}]}}
  lost: {{experts: [{{expert: a}}]}}
budgets:
  - {{name: all, usd: 1}}
  - {{name: bobs, usd: 1, for: {{tenant: bob}}}}
"""
RULES = """rules:
  - {when: {text: x}, expert: a}
  - {when: {text: x, header: {x-a: "1"}}, expert: twin}
"""


def _check(text, *options):
    with tempfile.TemporaryDirectory(prefix="expertd-check-") as folder:
        path = os.path.join(folder, "c.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run([BINARY, "check", "-c", path, *options], capture_output=True,
                              text=True, cwd=ROOT, check=False)
        return done, [line.replace(path, "c.yaml") for line in done.stderr.splitlines()]


def _parts(text):
    """Headings -> the words of the lines below them."""
    parts = {}
    for block in text.split("\n\n")[1:]:
        first, *rest = block.strip().splitlines()
        parts[first] = [line.split() for line in rest]
    return parts


def test_explain_lists_who_is_asked_in_which_order_and_what_holds():
    done, _ = _check(EXPLAINED, "--explain")
    if done.returncode != 0:
        raise Failure(done.stderr)
    parts = _parts(done.stdout)
    expected = {
        'rule 1 "sums": model auto, text ~ ^[0-9+]+$': [["1.", *CALC]],
        'category "law"': [["1.", "paid", "0.90", *PAID[1:]]],
        'category "general", for prompts that the classifier is not sure about':
            [["1.", "far", "0.70", *FAR[1:]], ["2.", "paid", "0.40", *PAID[1:]]],
        'alias "best"': [["1.", *PAID], ["2.", *CALC]],
    }
    for heading, lines in expected.items():
        got = [line for line in parts.get(heading, []) if line[0] != "guarantee"]
        if got != lines:
            raise Failure(f"{heading}: {got} in\n{done.stdout}")
    rule = 'rule 2: model gpt-4o, x-team: legal -> category law'
    for heading in (rule, 'category "law"'):
        held = [line for line in parts.get(heading, []) if line[0] == "guarantee"]
        if len(held) != 1 or held[0][1] != '"house":':
            raise Failure(f"{heading}: {held} in\n{done.stdout}")


def test_what_is_dead_is_told_with_its_line():
    done, said = _check(DEAD)
    expected = [
        ("c.yaml:11:", 'falls back from expert "a" to "twin", which is the same model'),
        ("c.yaml:8:", 'expert "idle" is in no category, alias or rule'),
        ("c.yaml:12:", 'nothing leads to category "lost"'),
        ("c.yaml:15:", 'budget "bobs" is bound to nothing: tenant "bob" has no keys'),
    ]
    if done.returncode != 0 or len(said) != len(expected):
        raise Failure("\n".join(said))
    for place, words in expected:
        if not any(line.startswith(place) and "warning: " in line and words in line
                   for line in said):
            raise Failure(f"{place} {words}\n" + "\n".join(said))


def test_a_rule_behind_a_wider_one_blocks_the_load():
    done, said = _check(DEAD + RULES)
    mistakes = [line for line in said if "warning: " not in line]
    if done.returncode != 1 or mistakes != [
            "c.yaml:18:5: this rule never fires: the one at line 17 fires first whenever it would"]:
        raise Failure("\n".join(said))
