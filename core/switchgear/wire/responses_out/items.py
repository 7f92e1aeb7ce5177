"""The messages of a chat as input items: what an assistant did in one message there is several items here."""

from typing import Any

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest

FORMAT = "responses-v1"
"""The `format` of reasoning details that were reasoning items of this wire."""

_ADDRESSES = ("https://", "http://")
_BLIND = "messages.content.cache_control"


class Items:
    """Collects `items`. What cannot be carried is dropped from the call; `InvalidRequest` names what must not be."""

    def __init__(self, call: Call) -> None:
        self.items: list[dict[str, Any]] = []
        self._call = call
        self._old: dict[str, str] = {}

    def add(self, message: dict[str, Any], where: str) -> None:
        """Add a message."""
        match message.get("role"):
            case "system" | "developer" | "user" as role:
                content = self._content(message.get("content"), f"{where}.content")
                self.items.append({"type": "message", "role": role, "content": content})
                if message.get("name") is not None:
                    self._call.drop("messages.name")
            case "assistant":
                self._assistant(message, where)
            case "tool":
                output = self._content(message.get("content"), f"{where}.content")
                call_id = message.get("tool_call_id")
                if not isinstance(call_id, str):
                    raise bad(f"{where}.tool_call_id", "it must name the call that it answers")
                custom = call_id in self._custom
                kind = "custom_tool_call_output" if custom else "function_call_output"
                self.items.append({"type": kind, "call_id": call_id, "output": output})
            case "function":
                output = self._content(message.get("content"), f"{where}.content")
                call_id = self._old.get(str(message.get("name")), f"call_{message.get('name')}")
                self.items.append({"type": "function_call_output", "call_id": call_id, "output": output})
            case _:
                raise bad(f"{where}.role", "it must be `system`, `developer`, `user`, `assistant` or `tool`")

    @property
    def _custom(self) -> set[str]:
        return {item["call_id"] for item in self.items if item["type"] == "custom_tool_call"}

    def _assistant(self, message: dict[str, Any], where: str) -> None:
        self._reasoning(message)
        said = self._said(message.get("content"), f"{where}.content")
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            said.append({"type": "refusal", "refusal": refusal})
        if said:
            self.items.append({"type": "message", "role": "assistant", "content": said})
        for place, call in enumerate(message.get("tool_calls") or ()):
            self.items.append(_call(call, f"{where}.tool_calls[{place}]"))
        old = message.get("function_call")
        if isinstance(old, dict):
            name = str(old.get("name"))
            call_id = self._old[name] = f"call_{len(self.items)}"
            self.items.append(_function_call(call_id, old))
        if message.get("audio") is not None:
            self._call.drop("messages.audio")

    def _reasoning(self, message: dict[str, Any]) -> None:
        """Give back reasoning items of this wire's own making; what others thought, nobody here can read."""
        foreign = False
        summaries: list[dict[str, str]] = []
        for detail in message.get("reasoning_details") or ():
            if not isinstance(detail, dict) or detail.get("format") != FORMAT:
                foreign = True
            elif detail.get("type") == "reasoning.summary":
                summaries.append({"type": "summary_text", "text": str(detail.get("summary") or "")})
            elif isinstance(detail.get("data"), str):
                item: dict[str, Any] = {"type": "reasoning", "summary": summaries, "encrypted_content": detail["data"]}
                if detail.get("id"):
                    item["id"] = detail["id"]
                self.items.append(item)
                summaries = []
        if foreign:
            self._call.drop("messages.reasoning_details")
        elif message.get("reasoning_content") and not message.get("reasoning_details"):
            self._call.drop("messages.reasoning_content")

    def _said(self, content: Any, where: str) -> list[dict[str, Any]]:
        if isinstance(content, str):
            return [{"type": "output_text", "text": content}] if content else []
        found = []
        for place, part in enumerate(content or ()):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text":
                self._unmarked(part)
                found.append({"type": "output_text", "text": part.get("text") or ""})
            elif kind == "thinking":
                self._call.drop("messages.content.thinking")
            elif kind == "refusal":
                found.append({"type": "refusal", "refusal": part.get("refusal") or ""})
            else:
                raise bad(f"{where}[{place}]", "an assistant says text and refusals here")
        return found

    def _content(self, content: Any, where: str) -> str | list[dict[str, Any]]:
        if content is None or isinstance(content, str):
            return content or ""
        return [self._part(part, f"{where}[{place}]") for place, part in enumerate(content)]

    def _part(self, part: Any, where: str) -> dict[str, Any]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is not None:
            self._unmarked(part)
        inner = part.get(kind) if kind is not None else None
        if kind == "text":
            return {"type": "input_text", "text": part.get("text") or ""}
        if kind == "image_url" and isinstance(inner, dict):
            detail = {"detail": inner["detail"]} if inner.get("detail") else {}
            return {"type": "input_image", "image_url": inner.get("url"), **detail}
        if kind == "file" and isinstance(inner, dict):
            known = ("file_data", "file_id", "filename")
            file = {name: inner[name] for name in known if inner.get(name) is not None}
            if str(file.get("file_data", "")).startswith(_ADDRESSES):
                file = {"file_url": file["file_data"]}  # which has its name in it
            return {"type": "input_file", **file}
        if kind == "input_audio":
            return {"type": "input_audio", "input_audio": inner}
        raise bad(where, "this model's provider takes text, images, files and audio")

    def _unmarked(self, part: dict[str, Any]) -> None:
        if part.get("cache_control") is not None:
            self._call.drop(_BLIND)


def _call(call: Any, where: str) -> dict[str, Any]:
    if isinstance(call, dict) and isinstance(call.get("id"), str):
        if isinstance(call.get("function"), dict):
            return _function_call(call["id"], call["function"])
        if isinstance(call.get("custom"), dict):
            made = call["custom"]
            return {
                "type": "custom_tool_call",
                "call_id": call["id"],
                "name": made.get("name"),
                "input": made.get("input"),
            }
    raise bad(where, "it must be a call of a function or a custom tool, with its `id`")


def _function_call(call_id: str, function: dict[str, Any]) -> dict[str, Any]:
    name, arguments = function.get("name"), function.get("arguments") or ""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def bad(where: str, why: str) -> InvalidRequest:
    """Make the refusal of what is wrong with a member."""
    return InvalidRequest(f"`{where}` is invalid: {why}.", param=where, code="invalid_value")
