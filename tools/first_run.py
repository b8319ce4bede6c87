"""Starts the gateway, sends it real prompts as any client would, and shows category, confidence,
expert, latency, cost and the streamed answer. Called by tools/run; standard library only."""
import argparse
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

PROMPTS = [
    "What is 17% of 3,480, and what is 3/4 + 5/6?",
    "How do I stop severe bleeding from a deep wound?",
    "How can I stop SQL injection in the login form of my shop?",
    "How do I add an expert to the gateway's configuration?",
    "Write a short poem about the first snow on the harbour.",
    "asdf qwer 0x8f3a ;;;; zzzz",
]
START_S = 20


class GatewayFailed(Exception):
    """The gateway did not start; the text says why."""


def start(binary, config):
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    process = subprocess.Popen([binary, "serve", *as_root, "--config", config], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    said = []
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        if not line:
            raise GatewayFailed("".join(said))
        said.append(line)
        found = re.search(r"listening on (\S+):(\d+)", line)
        if found:
            return process, found.group(1).strip("[]"), int(found.group(2))
    process.terminate()
    raise GatewayFailed("it did not say where it listens\n" + "".join(said))


def pieces(reply):
    """The texts of a stream of chat completion chunks, as they come."""
    for line in reply:
        line = line.decode().strip()
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        chunk = json.loads(line[len("data: "):])
        if "error" in chunk:
            yield "[" + chunk["error"]["message"] + "]"
        for choice in chunk.get("choices", []):
            yield choice.get("delta", {}).get("content") or ""


def show(number, prompt, host, port):
    width = min(shutil.get_terminal_size().columns, 100)
    body = json.dumps({"model": "auto", "stream": True,
                       "messages": [{"role": "user", "content": prompt}]})
    connection = http.client.HTTPConnection(host, port, timeout=30)
    started = time.monotonic()
    connection.request("POST", "/v1/chat/completions", body,
                       {"Content-Type": "application/json", "x-expertd-trailer": "1"})
    reply = connection.getresponse()
    if reply.status != 200:
        raise GatewayFailed(f"status {reply.status}: {reply.read().decode()}")
    head = reply.headers
    lines = []
    cost = "?"

    def watch():
        nonlocal cost
        for line in reply:
            found = re.match(rb": x-expertd-cost-usd=(\S+)", line)
            cost = found.group(1).decode() if found else cost
            yield line

    first = None
    for piece in pieces(watch()):
        first = first or (time.monotonic() - started if piece else None)
        lines.append(piece)
    print(f"{number}  {prompt}")
    print(f"   category {head['x-expertd-category']:<17} confidence {head['x-expertd-confidence']}"
          f"   expert {head['x-expertd-expert']:<13} {1000 * (first or 0):6.2f} ms   ${float(cost):.6f}")
    answer = "".join(lines)
    for paragraph in answer.split("\n"):
        print(textwrap.fill(paragraph, width, initial_indent="   | ", subsequent_indent="   | "))
    print(flush=True)
    connection.close()


def farewell(host, port, config):
    print(f"""Serving on http://{host}:{port} until Ctrl-C. Try:

  curl -i http://{host}:{port}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is 12.5 km in miles?"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="http://{host}:{port}/v1", api_key="unused")
  print(client.chat.completions.create(model="auto",
      messages=[{{"role": "user", "content": "What should I do about a bee sting that swells?"}}]).choices[0].message.content)

Why a prompt goes where it goes: build/release/expertd route -c {config} "..."
Metrics: http://127.0.0.1:8081/metrics""", flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--once", choices=("yes", "no"), default="no")
    options.add_argument("--config", required=True)
    options.add_argument("--binary", required=True)
    options.add_argument("--ask", action="append", default=[], help="a question more")
    options = options.parse_args()
    try:
        process, host, port = start(options.binary, options.config)
    except GatewayFailed as failure:
        print(f"run: the gateway did not start:\n{failure}", file=sys.stderr)
        return 1
    status = 1
    try:
        print(flush=True)
        for number, prompt in enumerate(PROMPTS + options.ask, 1):
            show(number, prompt, host, port)
        status = 0
        if options.once == "no":
            farewell(host, port, options.config)
            for line in process.stderr:
                sys.stderr.write(line)
            status = process.wait()
    except KeyboardInterrupt:
        status = 0
    except (GatewayFailed, OSError) as failure:
        print(f"run: {failure}", file=sys.stderr)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()
    return status


sys.exit(main())
