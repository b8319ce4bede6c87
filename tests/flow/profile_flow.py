"""expertd profile: the fewest experts that carry the traffic of a real gateway's ledger."""
import json
import subprocess

import gateway
from managed_flow import House


def _run(*arguments):
    return subprocess.run([gateway.BINARY, "profile", *arguments], capture_output=True, text=True,
                          check=False)


def test_the_most_used_experts_cover_the_traffic():
    experts = {"a": ([], ", memory: 6GiB"), "b": ([], ", memory: 2GiB"), "c": ([], "")}
    with House(experts, state=True) as h:
        config = f"{h.folder.name}/c.yaml"
        with open(config, "w", encoding="utf-8") as f:
            f.write(h.config(experts))
        for name, times in (("a", 3), ("b", 6), ("c", 1)):
            for _ in range(times):
                h.words(name)
        h.gateway.stop()
        done = _run("--config", config, "--cover", "0.9", "--json")
        assert done.returncode == 0, done
        said = json.loads(done.stdout)
        assert [(e["expert"], e["requests"], e["chosen"]) for e in said["experts"]] == \
            [("b", 6, True), ("a", 3, True), ("c", 1, False)], said
        assert said["memory_bytes"] == 8 << 30 and said["covered"] == 9, said
        table = _run("--from-ledger", f"{h.folder.name}/e.db")
        assert table.returncode == 0 and "3 of 3 experts cover 100.00 %" in table.stdout, table
        assert "the 3 without a figure" in table.stdout, table


def test_mistakes_are_told():
    for arguments in ((), ("--from-ledger", "x", "--cover", "97"), ("--from-ledger", "x", "more")):
        done = _run(*arguments)
        assert done.returncode == 2 and "usage:" in done.stderr, done
    done = _run("--from-ledger", "/nowhere/e.db")
    assert done.returncode == 1 and "/nowhere/e.db" in done.stderr, done
