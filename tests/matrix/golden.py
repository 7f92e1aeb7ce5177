"""What a golden file holds of an exchange: all of it but what differs from run to run."""

import base64
import json
import re
from typing import Any

import httpx

from support.faultup import Entry
from support.faultup.dialects.eventstream import frames

_IDS = re.compile(r"\b(chatcmpl|cmpl|resp|msg|rs|fc|call|toolu|tooluse|req|fn|gem|state)[-_][A-Za-z0-9_-]{6,}")
_SEALED = re.compile(r"\b(switchgear\.v1|sg1)\.([A-Za-z0-9_-]+=*)")
_WIDTH = 200
_UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{24,64}\b")
_TIMES = {"created", "created_at", "completed_at"}
_SENT = ("accept", "anthropic-beta", "anthropic-version", "content-type", "openai-organization", "openai-project")
_TOLD = (
    "content-type",
    "retry-after",
    "x-switchgear-dropped",
    "x-switchgear-error-source",
    "x-switchgear-upstream-status",
)


def exchange(path: str, body: Any, entries: list[Entry], answer: httpx.Response) -> dict[str, Any]:
    """Write one exchange down: the client's request, what the upstream got and said, what the client got.

    A refused credential is renewed and tried again, but not twice within a while: only the last try is written.
    """
    content = answer.content
    if len(entries) == 2 and entries[0].status in {401, 403}:
        entries = entries[1:]
        content = re.sub(rb' Tried: [^"]*', b"", content)
    return {
        "request": {"path": path, "body": body},
        "upstream": [
            {
                "path": entry.path,
                "headers": {name: entry.headers[name] for name in _SENT if name in entry.headers},
                "body": json.loads(entry.body) if entry.body else None,
                "status": entry.status,
                "answer": _readable(entry.answer or b""),
            }
            for entry in entries
        ],
        "answer": {
            "status": answer.status_code,
            "headers": {name: answer.headers[name] for name in _TOLD if name in answer.headers},
            "body": _readable(content),
        },
    }


def _readable(data: bytes) -> Any:
    """Return JSON as it is, a stream as the list of its events, whatever their framing."""
    if data[:1] in {b"{", b"["}:
        return json.loads(data)
    if data[:1] == b"\0":
        try:
            return [
                {head.get(":event-type") or head[":exception-type"]: json.loads(text)} for head, text in frames(data)
            ]
        except ValueError:
            return "a binary stream that is cut short"
    found = []
    for event in data.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in event.splitlines())
        text = fields.get("data", "")
        said = json.loads(text) if text[:1] == "{" and text[-1:] == "}" else text or event
        if said:
            found.append({fields["event"]: said} if "event" in fields else said)
    return found


def normal(golden: list[Any]) -> Any:
    """Return a cell's exchanges as they are in every run: ids numbered as they come, times zero."""
    seen: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        kind = found[1] if found.re is _IDS else "id"
        return seen.setdefault(found[0], f"{kind}-{len(seen) + 1}")

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: 0 if name in _TIMES else clean(item) for name, item in value.items()}
        if isinstance(value, list):
            return [clean(item) for item in value]
        if not isinstance(value, str):
            return value
        return _UUIDS.sub(number, _IDS.sub(number, _SEALED.sub(_opened, value)))

    return clean(golden)


def _opened(found: re.Match[str]) -> str:
    """Show what the gateway put into an opaque block of its own."""
    text = found[2]
    return f"{found[1]}." + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")


def written(value: Any, indent: str = "") -> str:
    """Write JSON with everything on one line that fits there, so that a difference is a line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(name)}: {written(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + written(item, inner) for item in value) + f"\n{indent}]"
