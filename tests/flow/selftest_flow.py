"""expertd selftest: the failover scenarios on configurations of operators, good ones and one that
cannot do what it looks like."""
import json
import os
import re
import subprocess
import tempfile

from gateway import BINARY, ROOT
from wire import Failure

TWO = """
state: {path: must-not-be-made.db}
tenants: [{name: a, keys: ["sha256:%s"]}]
experts:
  large: {url: "https://large.example/v1", price: {input: 0.6, output: 2.4}, context: 8192}
  small: {url: "https://small.example/v1", price: {input: 0.1, output: 0.2}, context: 32768}
categories:
  general: {experts: [{expert: large, score: 0.8}, {expert: small, score: 0.6}]}
policies: {%s}
"""


def _selftest(config, *arguments):
    """Runs it on a text, in a folder of its own; what it printed, its status, what it left there."""
    with tempfile.TemporaryDirectory(prefix="expertd-test-") as folder:
        path = os.path.join(folder, "expertd.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config)
        temporary = os.path.join(folder, "tmp")
        os.mkdir(temporary)
        done = subprocess.run([BINARY, "selftest", "-c", path, *arguments], capture_output=True,
                              text=True, cwd=folder, check=False,
                              env={**os.environ, "TMPDIR": temporary})
        return done, sorted(os.listdir(folder) + os.listdir(temporary))


def _two(policies):
    return TWO % ("ab" * 32, policies)


def _rows(done):
    try:
        return [json.loads(line) for line in done.stdout.splitlines()]
    except ValueError:
        raise Failure(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}") from None


def _expect(condition, done):
    if not condition:
        raise Failure(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")


def test_sixteen_scenarios_pass_with_another_expert():
    done, left = _selftest(_two(""), "--json")
    rows = _rows(done)
    _expect(done.returncode == 0, done)
    _expect({row["scenario"] for row in rows} == {f"S{i:02}" for i in range(1, 17)}, done)
    rescued = [row for row in rows if row["client_got"] == "answer of small"]
    _expect(len(rescued) == 23, done)
    _expect(all(row["ledger_rows"] == row["attempts"] for row in rows), done)
    _expect(left == ["expertd.yaml", "tmp"], done)


def test_no_fallback_fails_with_the_reason():
    done, left = _selftest(_two("attempts: 1"), "--json")
    rows = _rows(done)
    _expect(done.returncode == 1, done)
    reasons = {row["reason"] for row in rows if row["verdict"] == "fail"}
    _expect(reasons == {"small was not asked: policies.attempts is 1"}, done)
    _expect({row["scenario"] for row in rows if row["verdict"] == "pass"} == {"S13", "S14"} |
            {row["scenario"] for row in rows if "then an error" in row["client_got"]}, done)
    _expect(left == ["expertd.yaml", "tmp"], done)


def test_a_deadline_that_leaves_no_time_is_named():
    done, _ = _selftest(_two("deadline_ms: 50000"), "--json")
    reasons = {row["reason"] for row in _rows(done) if row["verdict"] == "fail"}
    _expect(reasons == {"no time was left for small: policies.deadline_ms is 50000, first_token_ms of "
                        "large is 60000"}, done)


def test_the_table_is_for_people():
    done, _ = _selftest(_two("attempts: 1"))
    _expect(re.search(r"^category/general: large small; large fails$", done.stdout, re.M), done)
    _expect(re.search(r"^S04 +503 +503 +plain +error 503 +1 +1 rows, \d\.\d{9} USD +FAIL: small was "
                      r"not asked: policies.attempts is 1$", done.stdout, re.M), done)
    _expect(re.search(r"^\d+ passed, \d+ failed$", done.stdout, re.M), done)


def test_the_configuration_of_the_first_run_passes():
    done = subprocess.run([BINARY, "selftest", "-c", "conf/quickstart.yaml"], capture_output=True,
                          text=True, cwd=ROOT, check=False)
    _expect(done.returncode == 0 and done.stdout.endswith("33 passed, 0 failed\n"), done)


def test_the_reference_passes_with_its_examples():
    with open(os.path.join(ROOT, "conf", "expertd.yaml"), encoding="utf-8") as f:
        text = f.read().replace("    # url: https://med", "    url: https://med", 1)
    done, _ = _selftest(text)
    _expect(done.returncode == 0 and done.stdout.endswith("33 passed, 0 failed\n"), done)


def test_experts_that_embed_are_left_out():
    embeds = '''
experts:
  large: {url: "https://large.example/v1", capabilities: [tools, embed]}
  small: {url: "https://small.example/v1"}
  embedder: {url: "https://embedder.example/v1", capabilities: [embed]}
  listed: {url: "https://listed.example/v1", capabilities: embed}
aliases: {chat: [large, small], text-embedding-3-small: [embedder, listed]}
router: {embeddings: embedder}
'''
    done, _ = _selftest(embeds)
    _expect(done.returncode == 0 and done.stdout.startswith("chat: large small; large fails\n")
            and done.stdout.endswith("33 passed, 0 failed\n"), done)
    done, _ = _selftest('experts: {e: {url: "https://e.example/v1", capabilities: [embed]}}\n')
    _expect(done.returncode == 1 and "no expert here chats" in done.stderr, done)


def test_mistakes_of_a_configuration_are_said_as_check_does():
    done, _ = _selftest("experts: {a: {kernel: {echo: {}}}}\npolicies: {atempts: 2}\n")
    _expect(done.returncode == 1 and ":2:12: " in done.stderr and "attempts" in done.stderr, done)


def test_an_unknown_model_names_those_there_are():
    done, _ = _selftest(_two(""), "--model", "category/none")
    _expect(done.returncode == 1 and "category/general" in done.stderr, done)
