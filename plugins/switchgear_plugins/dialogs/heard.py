"""An answer as it is heard, whole or chunk by chunk, put together to the message that a dialog keeps."""

from typing import Any

import msgspec

from switchgear.wire.members import BROKEN

_JOINED = ("content", "refusal", "reasoning_content", "reasoning")
_DETAIL_TEXTS = ("text", "summary", "data", "signature")


class _Growing(list[str]):
    """A text of which pieces keep coming."""


class Heard:
    """The first choice of a chat completion. `size` is about how many bytes were heard."""

    def __init__(self) -> None:
        self.id = ""
        self.created = 0
        self.model: str | None = None
        self.finish_reason: str | None = None
        self.size = 0
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._others: dict[str, Any] = {}

    @classmethod
    def whole(cls, body: bytes) -> "Heard":
        """Read a whole answer."""
        heard = cls()
        found = msgspec.json.decode(body)
        heard._note(found)
        choice = found["choices"][0]
        heard.finish_reason = choice.get("finish_reason")
        heard.size = len(body)
        for name, value in (choice.get("message") or {}).items():
            if name == "tool_calls":
                heard._calls = dict(enumerate(value or ()))
            elif value is not None and value != []:
                heard._others[name] = value
        return heard

    def feed(self, data: bytes) -> bool:
        """Take a chunk; return whether its client is to see it (what only tells the usage is told once, at the end)."""
        try:
            found = msgspec.json.decode(data)
        except BROKEN:
            return True
        if not isinstance(found, dict):
            return True
        self.size += len(data)
        self._note(found)
        choices = found.get("choices") or ()
        for choice in choices:
            if isinstance(choice, dict) and not choice.get("index"):
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                self._add(choice.get("delta") or {})
        return bool(choices) or "usage" not in found

    def message(self, *, partial: bool = False) -> dict[str, Any] | None:
        """Return the assistant's message; None if nothing was heard. Calls of tools that may be cut are not part of it."""
        said = {name: "".join(texts) for name, texts in self._texts.items() if any(texts)}
        made = {**self._others, **{name: value for name, value in self._lists.items() if value}, **said}
        calls = [self._calls[place] for place in sorted(self._calls)]
        if calls and not (partial and self.finish_reason is None):
            made["tool_calls"] = calls
        made.pop("role", None)
        if partial and not made:
            return None
        return {"role": "assistant", "content": None, **_joined(made)}

    def _note(self, found: dict[str, Any]) -> None:
        self.id = self.id or str(found.get("id") or "")
        created = found.get("created")
        self.created = self.created or (created if isinstance(created, int) else 0)
        model = found.get("model")
        self.model = self.model or (model if isinstance(model, str) and model else None)

    def _add(self, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if value is None or name == "role":
                continue
            if name == "tool_calls":
                for piece in value:
                    self._add_call(piece)
            elif name in _JOINED and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif name == "reasoning_details" and isinstance(value, list):
                self._add_details(value)
            elif isinstance(value, list):
                self._lists.setdefault(name, []).extend(value)
            else:
                self._others[name] = value

    def _add_call(self, piece: dict[str, Any]) -> None:
        call = self._calls.setdefault(int(piece.get("index") or 0), {})
        for name, value in piece.items():
            if isinstance(value, dict):
                inner = call.setdefault(name, {})
                for key, text in value.items():
                    if key in {"arguments", "input"} and isinstance(text, str):
                        inner.setdefault(key, _Growing()).append(text)
                    elif text is not None:
                        inner[key] = text
            elif name != "index" and value is not None:
                call[name] = value

    def _add_details(self, details: list[Any]) -> None:
        known = self._lists.setdefault("reasoning_details", [])
        for piece in details:
            same = [it for it in known if _is_same(it, piece)]
            if not isinstance(piece, dict):
                known.append(piece)
                continue
            if not same:
                known.append({})
            kept = same[-1] if same else known[-1]
            for name, value in piece.items():
                if name in _DETAIL_TEXTS and isinstance(value, str):
                    kept.setdefault(name, _Growing()).append(value)
                elif value is not None:
                    kept[name] = value


def _is_same(known: Any, piece: Any) -> bool:
    """Say whether a piece of reasoning goes on with one that is known."""
    if not isinstance(known, dict) or not isinstance(piece, dict) or piece.get("index") is None:
        return False
    return known.get("index") == piece["index"] and known.get("type") == piece.get("type")


def _joined(value: Any) -> Any:
    """Return a value in which every text is whole."""
    if isinstance(value, _Growing):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _joined(inner) for name, inner in value.items()}
    return [_joined(inner) for inner in value] if isinstance(value, list) else value
