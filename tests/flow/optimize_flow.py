"""expertd optimize: from evaluation results to a `categories:` block that the gateway takes."""
import json
import os
import subprocess
import tempfile

from expert import Expert, completion, send_reply
from gateway import BINARY, ROOT, Gateway
from report import Skip
from wire import Failure, exchange

SCORES = os.path.join(ROOT, "docs", "examples", "scores.tsv")

CONFIG = """
experts:
  small-8b: {kernel: {echo: {}}, price: {input: 0.1, output: 0.2}, params_b: {total: 8}}
  math-7b: {kernel: {echo: {}}, price: {input: 0.1, output: 0.2}, params_b: {total: 7}}
  code-32b: {kernel: {echo: {}}, price: {input: 0.4, output: 0.8}, params_b: {total: 32}}
  big-70b: {kernel: {echo: {}}, price: {input: 1.0, output: 3.0}, params_b: {total: 70}}
"""
OTHERS = """
categories:
  general: {experts: [{expert: small-8b, score: 0.6}], title: "all: the rest"}
  poems: {experts: [{expert: small-8b, score: 0.25}], threshold: 0.5}
"""


def _run(*arguments, env=None):
    environment = {**os.environ, **(env or {})}
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=ROOT,
                          env=environment, check=False)


def _needs_solver():
    if "coinor-libcbc3" in _run("optimize", "--table", SCORES).stderr:
        raise Skip("there is no solver: apt-get install coinor-libcbc3")


def _expect(condition, done):
    if not condition:
        raise Failure(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def test_the_written_block_passes_check_and_keeps_what_the_table_lacks():
    _needs_solver()
    with tempfile.TemporaryDirectory() as folder:
        config = _write(folder, "old.yaml", CONFIG + OTHERS)
        block, svg = os.path.join(folder, "block.yaml"), os.path.join(folder, "frontier.svg")
        done = _run("optimize", "-t", SCORES, "-c", config, "--budget-params", "60",
                    "--write", block, "--svg", svg)
        _expect(done.returncode == 0 and "categories:" not in done.stdout, done)

        with open(block, encoding="utf-8") as f:
            written = f.read()
        with open(svg, encoding="utf-8") as f:
            _expect(f.read().rstrip().endswith("</svg>"), done)
        for part in ('# chosen: "code-32b" 0.575 (raw 0.500, n 20)', 'title: "all: the rest"',
                     '"poems":', "threshold: 0.5", '{expert: "small-8b", score: 0.25}'):
            if part not in written:
                raise Failure(f"{part} is missing in\n{written}")
        checked = _run("check", "-c", _write(folder, "new.yaml", CONFIG + written))
        _expect(checked.returncode == 0 and "4 experts, 5 categories" in checked.stdout, checked)


def test_names_that_yaml_takes_for_something_else_survive():
    _needs_solver()
    names = ("general", "no", "null", "1e3", "0x10", "a/b.c-d")
    with tempfile.TemporaryDirectory() as folder:
        table = _write(folder, "t.jsonl", "".join(
            f'{{"category": "{name}", "expert": "small-8b", "right": 1}}\n' for name in names))
        done = _run("optimize", "-t", table)
        _expect(done.returncode == 0, done)
        block = done.stdout[done.stdout.index("# made by"):]
        checked = _run("check", "-c", _write(folder, "new.yaml", CONFIG + block))
        _expect(checked.returncode == 0 and f"{len(names)} categories" in checked.stdout, checked)


def test_prices_come_from_the_configuration_where_the_table_has_none():
    _needs_solver()
    with tempfile.TemporaryDirectory() as folder:
        config = _write(folder, "c.yaml", CONFIG + OTHERS)
        table = _write(folder, "t.tsv", "category\texpert\tright\tcount\n"
                       "general\tsmall-8b\t50\t100\ngeneral\tbig-70b\t90\t100\ngeneral\tlost\t1\t1\n")
        done = _run("optimize", "-t", table, "-c", config, "--tokens", "1000,1000")
        _expect(done.returncode == 0 and '{expert: "big-70b"' in done.stdout, done)
        _expect('no expert "lost"' in done.stderr and "requests of 1000" in done.stdout, done)
        # 1,000 requests of 1,000 + 1,000 tokens: 4 USD at the large one, 0.30 USD at the small one
        done = _run("optimize", "-t", table, "-c", config, "--tokens", "1000,1000",
                    "--max-price", "3.9")
        _expect(done.returncode == 0 and '{expert: "big-70b"' not in done.stdout, done)


def test_weights_decide_what_is_worth_hosting():
    _needs_solver()
    with tempfile.TemporaryDirectory() as folder:
        lines = {"math": 1, "coding": 0, "law": 0, "general": 0}
        weights = _write(folder, "w.tsv", "".join(f"{c}\t{w}\n" for c, w in lines.items()))
        done = _run("optimize", "-t", SCORES, "--weights", weights, "--max-experts", "1")
        _expect(done.returncode == 0 and '{expert: "math-7b", score: 0.765}' in done.stdout, done)


def _answer(conn, head, body):
    reply = json.loads(completion("fine"))
    reply["usage"] = {"prompt_tokens": 1000, "completion_tokens": 1000}
    return send_reply(conn, json.dumps(reply).encode())


def test_the_ledger_says_what_is_asked_and_what_it_costs():
    _needs_solver()
    with tempfile.TemporaryDirectory() as folder, Expert(_answer) as expert:
        conf = f"""
server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: 1}}
state: {{path: {folder}/expertd.db}}
experts:
  small: {{url: {expert.url}, price: {{input: 1, output: 1}}}}
  large: {{url: {expert.url}, price: {{input: 10, output: 10}}}}
categories:
  general: {{experts: [{{expert: small}}]}}
  law: {{experts: [{{expert: large}}]}}
rules: [{{when: {{text: law}}, category: law}}]
"""
        gateway = Gateway(conf)
        for text in ["law"] * 10 + ["x"] * 30:
            body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
            exchange(gateway.port, "POST", "/v1/chat/completions", [],
                     json.dumps(body).encode()).body()
        gateway.stop()
        config = _write(folder, "c.yaml", conf)
        table = _write(folder, "t.tsv", "category\texpert\tright\tcount\n"
                       "general\tsmall\t50\t100\ngeneral\tlarge\t60\t100\n"
                       "law\tsmall\t10\t100\nlaw\tlarge\t90\t100\n")
        done = _run("optimize", "-t", table, "-c", config, "--from-ledger")
        _expect(done.returncode == 0, done)
        lines = [line.split() for line in done.stdout.splitlines()]
        _expect(["ledger:", "40", "requests", "in", "these", "categories,", "0",
                 "elsewhere"] in lines, done)
        # 2,000 tokens each: 0.002 USD at the small one, 0.02 USD at the large one
        seen = {line[0]: line[1:5] for line in lines if len(line) == 6 and line[0] in
                ("small", "large")}
        _expect(seen == {"small": ["30", "1000", "1000", "2"],
                         "large": ["10", "1000", "1000", "20"]}, done)
        _expect('"law": # 25.0 % of the traffic' in done.stdout, done)
        # a quarter at the large one: 0.75 x 2 + 0.25 x 20 USD for 1,000 requests
        both = _run("optimize", "-t", table, "-c", config, "--from-ledger", "--max-price", "6.6")
        cheap = _run("optimize", "-t", table, "-c", config, "--from-ledger", "--max-price", "6.4")
        _expect('chosen: "large"' in both.stdout, both)
        _expect('chosen: "large"' not in cheap.stdout and cheap.returncode == 0, cheap)


def test_a_ledger_that_is_not_there_is_named():
    with tempfile.TemporaryDirectory() as folder:
        config = _write(folder, "c.yaml", CONFIG + OTHERS)
        done = _run("optimize", "-t", SCORES, "--from-ledger")
        _expect(done.returncode == 2 and "--config" in done.stderr, done)
        done = _run("optimize", "-t", SCORES, "-c", config, "--since", "today")
        _expect(done.returncode == 2 and '"today"' in done.stderr, done)
        _needs_solver()
        done = _run("optimize", "-t", SCORES, "-c", config, "--from-ledger")
        _expect(done.returncode == 1 and "no state block" in done.stderr, done)


def test_an_expert_with_one_answer_is_called_out():
    _needs_solver()
    rows = "".join(f'{{"category": "general", "expert": "{expert}", "right": {right}, '
                   f'"answer": "{answer if answer else n}"}}\n'
                   for n in range(20)
                   for expert, right, answer in (("honest", 0.5, ""), ("null", 0.9, "I win")))
    with tempfile.TemporaryDirectory() as folder:
        done = _run("optimize", "-t", _write(folder, "t.jsonl", rows))
        _expect('warning: expert "null" gives one and the same answer' in done.stderr, done)
        _expect("honest" not in done.stderr and "# WARNING:" in done.stdout, done)


def test_mistakes_are_told_with_their_place():
    with tempfile.TemporaryDirectory() as folder:
        table = _write(folder, "bad.tsv", "category\texpert\tright\nlaw\tbig\t2\n")
        done = _run("optimize", "--table", table)
        _expect(done.returncode == 1 and f"{table}:2:" in done.stderr, done)
        done = _run("optimize", "--table", os.path.join(folder, "none"))
        _expect(done.returncode == 1 and "none" in done.stderr, done)
        for arguments in ((), ("--table", SCORES, "--max-price", "cheap"),
                          ("--table", SCORES, "--cost", "beauty"), ("--table", SCORES, "more")):
            done = _run("optimize", *arguments)
            _expect(done.returncode == 2 and "usage:" in done.stderr, done)
        _needs_solver()
        weights = _write(folder, "w.tsv", "# shares\nmath\t1\nmagic\t2\n")
        done = _run("optimize", "--table", SCORES, "--weights", weights)
        _expect(done.returncode == 1 and f"{weights}:3:1:" in done.stderr, done)
        table = _write(folder, "bare.tsv", "category\texpert\tright\nlaw\tbig\t1\n")
        done = _run("optimize", "--table", table, "--budget-memory", "9")
        _expect(done.returncode == 1 and '"big" has no memory_gb' in done.stderr, done)
        done = _run("optimize", "--table", SCORES, "--budget-params", "6")
        _expect(done.returncode == 1 and "fits the budgets" in done.stderr, done)


def test_the_page_shows_what_the_command_prints():
    _needs_solver()
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as f:
        page = f.read()
    block = page[page.index("$ expertd optimize "):]
    command, shown = block[:block.index("\n```")].split("\n", 1)
    done = _run(*command.split()[2:])
    _expect(done.returncode == 0, done)
    for part in shown.split("\n...\n"):
        if part.strip() not in done.stdout:
            raise Failure(f"docs/operations.md shows\n{part}\nbut it prints\n{done.stdout}")


def test_a_missing_solver_is_named_with_its_package():
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, "libCbcSolver.so.3", "")
        done = _run("optimize", "--table", SCORES, env={"LD_LIBRARY_PATH": folder})
        _expect(done.returncode == 1 and "apt-get install coinor-libcbc3" in done.stderr, done)
        _expect(done.stdout == "", done)
