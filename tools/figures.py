#!/usr/bin/env python3
"""figures.py FILE: prints a page of Markdown with its tables of figures made anew.

A table stands between `<!-- figures: NAME -->` and `<!-- /figures -->`; NAME is a function here, which
reads bench/results/*.json, as the programs of bench/ wrote them. tools/gen-docs calls this for its pages.
kB are 1,024 bytes and MB 1,024 of these, as the kernel counts memory."""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def results(name):
    with open(os.path.join(ROOT, "bench", "results", name + ".json"), encoding="utf-8") as f:
        return json.load(f)


def table(*rows):
    head, *others = ("|" + "".join(f" {cell} |".replace("  ", " ") for cell in row) for row in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *others])


def ms(us):
    return f"{us / 1000:.2g} ms"


def proxy():
    found = results("proxy")
    medians, compared, targets = found["medians"], found["compared"], found["targets"]
    servers = ("nginx", "haproxy", "expertd", "expertd auto")

    def beside(what, figure, ratio=None, above=None):
        cells = (medians.get(f"{figure} {server}") for server in servers)
        cells = ("" if cell is None else f"{cell:.1f}" for cell in cells)
        target = targets[ratio] if ratio else f"nginx + {targets[above]:g}" if above else targets[figure]
        return what, *cells, f"{compared[ratio]:.2f}" if ratio else "", target

    def alone(what, figure, digits):
        return what, "", "", f"{compared[figure]:.{digits}f}", "", "", targets[figure]

    return table(
        (f"median of {found['rounds']} rounds (`bench/proxy`)", "nginx", "HAProxy", "expertd",
         "expertd, `auto`", "ratio to nginx", "target: at most"),
        *(beside(f"CPU per request, {size / 1000:.1f} kB body, us", f"cpu_us_{size}", f"cpu_ratio_{size}")
          for size in (399, 1700, 20800)),
        beside("CPU per relayed event, us", "event_cpu_us", "event_cpu_ratio"),
        beside("delay of an event, median, us", "event_delay_p50_us", above="event_delay_above_nginx_us"),
        beside("latency, one connection, median, us", "latency_p50_us", above="latency_above_nginx_us"),
        beside("memory per open stream, 1,000 streams, kB", "kb_per_stream"),
        alone("client gone until the call is cancelled, p99, ms", "cancel_p99_ms", 2),
        alone("memory when idle, MB", "idle_mb", 1))


def instructions():
    found = results("instructions")["instructions_per_request"]
    return table(("instructions per request (`bench/instructions`)", ""),
                 *((name.replace("_", " "), f"{count:,}") for name, count in found.items()))


def hostile():
    found = results("hostile")
    return table(("", "p50", "p99", "p99 of the twin", "memory", "descriptors"),
                 *((when, *(f"{found[when][p]:.2f} ms" for p in ("p50 ms", "p99 ms", "twin p99 ms")),
                    f"{found[when]['rss_kb'] / 1024:.1f} MB", found[when]["descriptors"])
                   for when in ("alone", "among them", "afterwards")))


def streams():
    found = results("streams")
    return table(("open streams", "memory of each", "client gone until the call is ended, p50", "p99", "longest"),
                 (f"{found['streams']:,}", f"{found['kb_per_stream']:.1f} kB",
                  *(f"{found['cancel_ms'][p]:.2f} ms" for p in ("p50", "p99", "max"))))


def soak():
    found = results("soak")
    samples = found["samples"]
    shown = [samples[0], samples[len(samples) // 2], samples[-1]]
    growth = found["growth"]["rss_bytes"] / found["judged_requests"]
    return table(("after requests", "descriptors", "threads", "memory"),
                 *((f"{s['requests']:,}", s["descriptors"], s["threads"], f"{s['rss_bytes'] / 2**20:.1f} MB")
                   for s in shown),
                 (f"growth a request, last {found['judged_requests']:,}", "", "", f"{growth:.1f} bytes"))


def computing():
    found = results("computing")
    rows = {"idle": "nothing computes", "killed": "the child is killed with SIGKILL", "crashes": "it crashes",
            "hangs": "it hangs, and is ended at its deadline", "bombs": "it takes memory up to its limit",
            "computing": f"two answers of `tinylm` at a time, `{found['bounds']}`",
            "unbounded": "the same unbounded: two threads, `kernel_nice: 0`"}
    return table(("", "p50", "p90", "p99"),
                 *((what, *(ms(found[name][f"{p}_us"]) for p in ("p50", "p90", "p99")))
                   for name, what in rows.items()))


def experts():
    found = results("experts")
    sets = {"dev": "corpus `dev`, each fortieth row", "authored_dev": "`authored_dev`",
            "mmlu_pro": "MMLU-Pro, each fortieth question", "sample": "own sample"}

    def row(what, cell):
        return what, *(cell(found[name]) for name in sets)
    return table(
        ("", *(f"{what}: {found[name]['all']['rows']:,} rows" for name, what in sets.items())),
        row("the right model, by label", lambda s: f"{s['right']:.3f}"),
        row("**routed by `domains.edm`** (the right one for)",
            lambda s: f"**{s['routed']:.3f}** ({s['routed_is_right']:.1%})".replace("%", " %")),
        row("generalist", lambda s: f"{s['generalist']:.3f}"),
        row("best single expert", lambda s: f"{s['best_single']:.3f} (`{s['best_single_is']}`)"),
        row("average expert", lambda s: f"{s['average']:.3f}"))


def swap(part):
    """Median and range, where a figure has them."""
    traces = {"skewed": {}, "alternating": {}}
    for run in results("swap")[part]:
        traces[run["trace"]][run["scheduler"]] = run

    def spread(value, text):
        middle, *ends = value if isinstance(value, list) else [value]
        return text(middle) + (f" ({text(ends[0])} to {text(ends[1])})" if ends else "")

    def median(value):
        return value[0] if isinstance(value, list) else value

    def cells(run, first):
        fewer = 1 - median(run["loads"]) / median(first["loads"])
        yield spread(run["loads"], str) + (f", {fewer:.0%} fewer".replace("%", " %") if run is not first else "")
        yield from (f"{median(run[f'wait_ms_{p}']) / 1000:.1f} s" for p in ("mean", "p50"))
        yield spread(run["wait_ms_p99"], lambda wait: f"{wait / 1000:.1f}") + " s"
    runs, others = traces.values()
    first, other = (next(iter(trace.values())) for trace in (runs, others))
    return table(("scheduler", *(cell for trace in traces for cell in (f"{trace}: loads", "mean", "p50", "p99"))),
                 *((name, *cells(runs[name], first), *cells(others[name], other))
                   for name in runs))


TABLES = {f.__name__: f for f in (proxy, instructions, hostile, streams, soak, computing, experts)}
TABLES["swap simulated"] = lambda: swap("simulated")
TABLES["swap real"] = lambda: swap("real")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        page = f.read()
    print(re.sub(r"(<!-- figures: ([a-z ]+) -->\n).*?(?=<!-- /figures -->)",
                 lambda found: f"{found[1]}{TABLES[found[2]]()}\n", page, flags=re.S), end="")


if __name__ == "__main__":
    main()
