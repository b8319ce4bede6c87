"""Reads scenario files; README.md in this folder describes the format. Nothing here runs anything."""
import ast
import re

SECTION = re.compile(r"^(expert|client|config)\b[ \t]*(.*)$")


class BadScenario(Exception):
    """The file does not follow the format."""


class Step:
    """One line of a script: a verb, the rest of the line, and the text below it, if any."""

    def __init__(self, line, verb, args, text):
        self.line, self.verb, self.args, self.text = line, verb, args, text

    def quoted(self):
        """The argument of a verb that takes bytes: "..." with the escapes of a Python literal."""
        if not re.fullmatch(r'"(?:[^"\\]|\\.)*"', self.args):
            raise BadScenario(f'line {self.line}: {self.verb} takes one "quoted text"')
        return ast.literal_eval("b" + self.args) if self.args.isascii() else \
            ast.literal_eval(self.args).encode("utf-8")


class Scenario:
    def __init__(self, path, title):
        self.path, self.title = path, title
        self.config = ""
        self.experts = {}  # name -> (options, [script, ...]): one script per request
        self.clients = {}  # name -> script
        self.needs = []    # files without which it is skipped


def _dedent(lines):
    for number, line in lines:
        if line.strip() and not line.startswith("    "):
            raise BadScenario(f"line {number}: not indented by four blanks")
    return [(number, line[4:]) for number, line in lines]


def _steps(lines):
    """Steps of a script. A verb that ends in << takes the lines up to one that is only >>."""
    steps, at = [], 0
    while at < len(lines):
        number, line = lines[at]
        at += 1
        line = line.rstrip()
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text = None
        if line.endswith("<<"):
            line, text = line[:-2].rstrip(), []
            while at < len(lines) and lines[at][1].rstrip() != ">>":
                text.append(lines[at][1])
                at += 1
            if at == len(lines):
                raise BadScenario(f"line {number}: << without >>")
            at += 1
            text = "\n".join(text)
        verb, _, args = line.strip().partition(" ")
        steps.append(Step(number, verb, args.strip(), text))
    return steps


def _scripts(steps):
    """An expert's steps, cut at each `on request`."""
    scripts = []
    for step in steps:
        if step.verb == "on" and step.args == "request":
            scripts.append([])
        elif not scripts:
            raise BadScenario(f"line {step.line}: before the first `on request`")
        else:
            scripts[-1].append(step)
    return scripts


def _add_section(scenario, kind, args, lines, number):
    if kind == "config":
        scenario.config = "".join(line + "\n" for _, line in lines)
        return
    words = args.split()
    name = words[0] if words else kind
    if kind == "expert":
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise BadScenario(f"line {number}: an expert needs a name")
        scenario.experts[name] = (set(words[1:]), _scripts(_steps(lines)))
    else:
        scenario.clients[name] = _steps(lines)


def parse(path, text):
    lines = text.splitlines()
    title = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("#") else ""
    if not title:
        raise BadScenario("line 1: no title")
    scenario = Scenario(path, title)
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("needs "):
            scenario.needs.append(line[6:].strip())
            continue
        match = SECTION.match(line)
        if match is None:
            raise BadScenario(f"line {at}: neither expert, config nor client")
        start = at
        while at < len(lines) and not SECTION.match(lines[at]):
            at += 1
        body = [(start + 1 + i, text_line) for i, text_line in enumerate(lines[start:at])
                if not text_line.startswith("#")]
        _add_section(scenario, match.group(1), match.group(2), _dedent(body), start)
    if not scenario.clients or not scenario.config:
        raise BadScenario("no client or no config")
    return scenario
