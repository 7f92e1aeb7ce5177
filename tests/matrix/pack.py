"""The golden files: one a provider and dialect, and one a provider for what its upstream answered.

A message is a line of JSON; the events of a stream are lines under theirs. `=name` stands for a member that is as it was
when a line of this kind last had it, further up in the file, and `=first..last` for several in that line's order.
"""

import json
import re
from collections import defaultdict
from typing import Any

UPSTREAM = "upstream"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|=(\w[\w.-]*(?:,\w[\w.-]*)*)')
_NAME = re.compile(r"\w(?:\.?[\w-])*")
_RUN = "="


class _Pairs(list[tuple[str, Any]]):
    """An object as it was read, runs of names still in it."""


class Thin:
    """Writes JSON as what differs from what was last at this place, and reads it back."""

    def __init__(self) -> None:
        self.value: Any = None
        self.text = ""
        self.names: list[str] = []
        self.members: defaultdict[str, Thin] = defaultdict(Thin)

    def write(self, value: Any) -> str:
        self.text = json.dumps(value, ensure_ascii=False)
        if not isinstance(value, dict):
            return self.text
        parts: list[str] = []
        run: list[str] = []
        for name, item in value.items():
            member = self.members[name]
            if _NAME.fullmatch(name) and member.text == json.dumps(item, ensure_ascii=False):
                run.append(name)
                continue
            parts += [*self._runs(run), f"{json.dumps(name)}: {member.write(item)}"]
            run = []
        parts += self._runs(run)
        self.names = list(value)
        return f"{{{', '.join(parts)}}}"

    def _runs(self, run: list[str]) -> list[str]:
        start = self.names.index(run[0]) if run and run[0] in self.names else 0
        if len(run) > 2 and self.names[start : start + len(run)] == run:
            return [f"={run[0]}..{run[-1]}"]
        return ["=" + ",".join(run)] if run else []

    def read(self, text: str) -> Any:
        plain = _TOKEN.sub(lambda found: f'"{_RUN}": "{found[1]}"' if found[1] else found[0], text)
        return self._whole(json.loads(plain, object_pairs_hook=_Pairs))

    def _whole(self, value: Any) -> Any:
        if isinstance(value, _Pairs):
            found: dict[str, Any] = {}
            for name, item in value:
                if name == _RUN:
                    found |= {same: self.members[same].value for same in self._named(item)}
                else:
                    found[name] = self.members[name]._whole(item)
            self.names = list(found)
            value = found
        elif isinstance(value, list):
            value = [Thin()._whole(item) for item in value]
        self.value = value
        return value

    def _named(self, run: str) -> list[str]:
        first, _, last = run.partition("..")
        return self.names[self.names.index(first) : self.names.index(last) + 1] if last else run.split(",")


class _File:
    """One golden file while it is written."""

    def __init__(self) -> None:
        self.kinds: defaultdict[str, Thin] = defaultdict(Thin)
        self.lines: list[str] = []

    def add(self, kind: str, message: dict[str, Any], body: str) -> None:
        """Write a message; a body that is a stream as lines of its own."""
        events = message[body] if isinstance(message[body], list) else []
        head = {name: value for name, value in message.items() if name != body or not events}
        self.lines.append(f"{kind} {self.kinds[kind].write(head)}")
        self.lines += [f"  {self.kinds['event'].write(event)}" for event in events]

    def text(self) -> str:
        return "\n".join(self.lines).lstrip("\n") + "\n"


def pack(cells: dict[str, list[Any]]) -> dict[str, str]:
    """Write the exchanges of all cells, in their order, as the files that hold them, by name."""
    files: defaultdict[str, _File] = defaultdict(_File)
    answers: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for cell, exchanges in cells.items():
        provider, dialect, case = cell.split("/")
        file, upstream = files[f"{provider}/{dialect}"], files[f"{provider}/{UPSTREAM}"]
        file.lines += ["", f"== {case}"]
        for exchange in exchanges:
            file.add("request", exchange["request"], "body")
            for call in exchange["upstream"]:
                file.add("sent", {name: call[name] for name in ("path", "headers", "body")}, "body")
                said = {name: call[name] for name in ("status", "answer")}
                known = answers[provider]
                key = json.dumps(said)
                if key not in known:
                    count = sum(name.partition(" ")[0] == case for name in known.values())
                    known[key] = f"{case} {count + 1}" if count else case
                    upstream.lines += ["", f"== {known[key]}"]
                    upstream.add("said", said, "answer")
                file.lines.append(f"answered {known[key]}")
            file.add("told", exchange["answer"], "body")
    return {name: file.text() for name, file in files.items()}


def unpack(files: dict[str, str]) -> dict[str, list[Any]]:
    """Read the cells' exchanges back from the files."""
    said = {
        (name.partition("/")[0], case): messages[0][1]
        for name, text in files.items()
        if name.endswith(f"/{UPSTREAM}")
        for case, messages in _sections(text).items()
    }
    cells = {}
    for name, text in files.items():
        provider, _, dialect = name.partition("/")
        for case, messages in _sections(text).items() if dialect != UPSTREAM else ():
            exchanges: list[Any] = []
            for kind, message in messages:
                match kind:
                    case "request":
                        exchanges.append({"request": message, "upstream": []})
                    case "sent":
                        exchanges[-1]["upstream"].append(message)
                    case "answered":
                        exchanges[-1]["upstream"][-1] |= said[provider, message]
                    case "told":
                        exchanges[-1]["answer"] = message
            cells[f"{name}/{case}"] = exchanges
    return cells


def _sections(text: str) -> dict[str, list[tuple[str, Any]]]:
    """Return the messages of every case, each with its kind."""
    kinds: defaultdict[str, Thin] = defaultdict(Thin)
    found: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
    case = ""
    for line in filter(None, text.split("\n")):
        kind, _, rest = line.partition(" ")
        if kind == "==":
            case = rest
        elif kind == "answered":
            found[case].append((kind, rest))
        elif kind:
            found[case].append((kind, kinds[kind].read(rest)))
        else:
            last, message = found[case][-1]
            message.setdefault("answer" if last == "said" else "body", []).append(kinds["event"].read(line))
    return found
