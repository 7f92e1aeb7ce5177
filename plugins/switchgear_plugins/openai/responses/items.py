"""Input items, one after the other, become the messages of a chat.

What an assistant did in one turn is several items here (reasoning, message, function calls) and one message there.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.compaction import COMPACT, read_summary, told_summary
from switchgear.wire.members import what_and_where
from switchgear.wire.packed_reasoning import unpack
from switchgear.wire.texts import members_of, text_of
from switchgear_plugins.openai.responses.parts import Part, chat_content, chat_part
from switchgear_plugins.openai.responses.toolbox import SEARCH, SHELL, Toolbox, write_text

_ROLES = ("user", "assistant", "system", "developer")


class Item(Struct):
    """One input item: the members of all the types that a chat can say. `id` and `status` are bookkeeping."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None
    action: dict[str, Any] | None = None
    id: str | None = None
    execution: str | None = None
    tools: list[dict[str, Any]] | None = None
    output: str | list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    phase: str | None = None
    namespace: str | None = None


_item = msgspec.json.Decoder(Item)
_HOSTED = frozenset(
    {
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools", "mcp_call",
        "mcp_approval_request", "mcp_approval_response", "program", "program_output", "computer_call", "computer_call_output",
        "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
    }
)  # fmt: skip
"""What the API's own vendor did in earlier turns: past, and not told to others."""


class _Turn:
    """What the assistant did in one go. `where` names the item it began with."""

    __slots__ = ("calls", "content", "details", "thoughts", "where")

    def __init__(self, where: str) -> None:
        self.where = where
        self.content: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.thoughts: list[str] = []
        self.details: list[ReasoningDetail] = []


class Conversation:
    """Collects `messages`. What cannot be carried is dropped from the call `made` of it."""

    def __init__(self, made: Call, toolbox: Toolbox) -> None:
        self.messages: list[dict[str, Any]] = []
        self._made = made
        self._toolbox = toolbox
        self._turn: _Turn | None = None

    def add(self, given: Raw, place: int) -> None:
        """Add an item. Raises `InvalidRequest` naming what cannot be carried."""
        where = f"input[{place}]"
        item = _read(given, where)
        if item.phase is not None:
            self._made.drop("input[].phase")
        match item.type or ("message" if item.role else "item_reference"):
            case "message":
                self._message(item, where)
            case "reasoning":
                self._reasoning(item, where)
            case "function_call" | "custom_tool_call" | "local_shell_call" | "tool_search_call" as kind:
                self._call(item, kind, where)
            case "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" | "tool_search_output":
                self._result(item, where)
            case "additional_tools":
                pass  # they are in the toolbox
            case "compaction" | "compaction_summary" | "context_compaction":
                self._close_turn()
                self.messages.append(
                    {"role": "user", "content": told_summary(read_summary(item.encrypted_content, where))}
                )
            case "compaction_trigger":
                self._close_turn()
                self.messages.append({"role": "user", "content": COMPACT})
            case kind if kind in _HOSTED:
                self._made.drop(f"input[].{kind}")
            case kind:
                message = (
                    f"`{where}` is of type `{kind[:40]}`; this model's provider takes messages, reasoning, tool calls and "
                    "their outputs. Leave it out, or use a model whose provider speaks this API."
                )
                raise InvalidRequest(message, param=where, code="unsupported_item")

    def end(self) -> list[dict[str, Any]]:
        """Return the messages."""
        self._close_turn()
        return self.messages

    def _message(self, item: Item, where: str) -> None:
        if item.role not in _ROLES:
            message = f"`{where}.role` must be `user`, `assistant`, `system` or `developer`."
            raise InvalidRequest(message, param=f"{where}.role", code="invalid_value")
        if item.role == "assistant":
            turn = self._next_turn(where)
            said = [Part("output_text", item.content)] if isinstance(item.content, str) else item.content or []
            turn.content += [chat_part(part, f"{where}.content[{i}]", self._made) for i, part in enumerate(said)]
            return
        self._close_turn()
        content = chat_content(item.content, f"{where}.content", self._made)
        self.messages.append({"role": item.role, "content": content})

    def _reasoning(self, item: Item, where: str) -> None:
        turn = self._next_turn(where)
        said = item.content if isinstance(item.content, list) else None
        turn.thoughts += [part.text for part in said or item.summary or () if part.text]
        if item.encrypted_content is None:
            return
        details = unpack(item.encrypted_content)
        if details is None:
            self._made.drop(
                "input[].encrypted_content"
            )  # nobody here can read it: another provider made it, or it was damaged
        else:
            turn.details += details

    def _call(self, item: Item, kind: str, where: str) -> None:
        call_id = item.call_id or item.id if kind == "local_shell_call" else item.call_id
        if kind == "tool_search_call":
            if call_id is None or item.execution == "server":
                self._made.drop(f"input[].{kind}")
                return
            name, arguments = SEARCH, _text_of(item.arguments)
        elif kind == "local_shell_call":
            name, arguments = SHELL, _text_of({n: v for n, v in (item.action or {}).items() if n != "type"})
        elif kind == "custom_tool_call":
            name, arguments = _needed(item.name, f"{where}.name"), write_text(item.input or "")
        else:
            name, arguments = _needed(item.name, f"{where}.name"), _text_of(item.arguments)
        function = {"name": self._toolbox.flat(item.namespace, name), "arguments": arguments}
        if self._turn is None:
            self._turn = _Turn(where)
        call_id = _needed(call_id, f"{where}.call_id")
        self._turn.calls.append({"id": call_id, "type": "function", "function": function})

    def _result(self, item: Item, where: str) -> None:
        if item.type == "tool_search_output" and item.call_id is None:
            self._made.drop(f"input[].{item.type}")  # whoever searched did so itself
            return
        self._close_turn()
        if item.type == "tool_search_output":
            content: Any = _text_of({"found": [tool.get("name") for tool in item.tools or ()]})
        else:
            content = chat_content(item.output, f"{where}.output", self._made)
        call_id = _needed(
            item.call_id or (item.id if item.type == "local_shell_call_output" else None), f"{where}.call_id"
        )
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _next_turn(self, where: str) -> _Turn:
        """Return the turn to go on with. Two messages are two turns, unless calls still wait for their outputs."""
        if self._turn is not None and self._turn.content and not self._turn.calls:
            self._close_turn()
        if self._turn is None:
            self._turn = _Turn(where)
        return self._turn

    def _close_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        if not turn.content and not turn.calls:
            # Reasoning that came behind what it belongs to; alone, it is no message.
            if not self.messages or self.messages[-1]["role"] != "assistant":
                self._made.drop(turn.where)
                return
            message = self.messages[-1]
        else:
            message = {"role": "assistant"}
            self.messages.append(message)
        if turn.content:
            plain = len(turn.content) == 1 and turn.content[0].keys() == {"type", "text"}
            message["content"] = turn.content[0]["text"] if plain else turn.content
        if turn.calls:
            message["tool_calls"] = turn.calls
        if turn.thoughts:
            message["reasoning_content"] = "\n\n".join([*_kept(message, "reasoning_content"), *turn.thoughts])
        if turn.details:
            message["reasoning_details"] = [*message.get("reasoning_details", ()), *turn.details]


def _kept(message: dict[str, Any], name: str) -> list[str]:
    return [message[name]] if name in message else []


def _text_of(arguments: str | dict[str, Any] | None) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()


def _read(given: Raw, where: str) -> Item:
    try:
        return _item.decode(given)
    except (msgspec.DecodeError, RecursionError) as error:
        kind = text_of(members_of(given).get("type"))
        if kind in _HOSTED:
            return Item(kind)
        detail, path = what_and_where(error)
        param = where + path.partition("[...]")[0]
        raise InvalidRequest(f"`{param}` is invalid: {detail}.", param=param, code="invalid_value") from None


def _needed(text: str | None, where: str) -> str:
    if not text:
        raise _missing(where)
    return text


def _missing(where: str) -> InvalidRequest:
    return InvalidRequest(f"`{where}` is missing.", param=where, code="missing_field")
