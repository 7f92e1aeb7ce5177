"""A canonical chat as GigaChat takes it.

Its functions are OpenAI's of old: `functions`, `function_call`, one call an answer, and results from the role `function`.
The id of a tool call is its `functions_state_id`, so that it comes back with the call. It wants one system message, at the
beginning: all there are become one.
"""

import re
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import ChatRequest, FilePart, Message, NamedTool, ResponseFormat, ToolCall
from switchgear.wire.fit.names import NameRule
from switchgear.wire.fit.plain import FILES
from switchgear_plugins.gigachat.wire import Body

NAMES = NameRule(256, re.compile(r"[^a-zA-Z0-9_.-]"))
CARRIED = frozenset({
    "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "reasoning_effort",
    "messages.reasoning_content", FILES,
})  # fmt: skip
OWN = ("repetition_penalty", "update_interval", "profanity_check", "flags", "function_ranker")
"""GigaChat's own members, which a client that knows where its request goes may send."""
_EFFORTS = frozenset({"low", "medium", "high"})


def chat_body(chat: ChatRequest, call: Call, model: TargetModel) -> Body:
    """Write the body of a chat. Raises `InvalidRequest` for what cannot be said."""
    body: Body = {"model": model.name_json, "messages": Messages(chat).written}
    _functions(call, chat, body)
    for name, value in (("temperature", chat.temperature), ("top_p", chat.top_p), ("max_tokens", chat.limit)):
        if value is not None:
            body[name] = value
    if chat.reasoning_effort in _EFFORTS:
        body["reasoning_effort"] = chat.reasoning_effort
    elif chat.reasoning_effort is not None:
        call.drop("reasoning_effort")
    if chat.response_format is not None:
        _format(call, chat.response_format, body)
    if call.stream:
        body["stream"] = True
    return body


def _functions(call: Call, chat: ChatRequest, body: Body) -> None:
    functions = chat.functions()
    if not functions:
        return
    written = []
    for function, _ in functions:
        one: Body = {"name": function.name}
        if function.description is not None:
            one["description"] = function.description
        one["parameters"] = function.parameters or {"type": "object", "properties": {}}
        written.append(one)
    body["functions"] = written
    body["function_call"] = _choice(call, chat)
    if chat.parallel_tool_calls:
        call.drop("parallel_tool_calls")


def _choice(call: Call, chat: ChatRequest) -> str | dict[str, str]:
    choice = chat.tool_choice
    if isinstance(choice, NamedTool):
        if choice.function is None:
            message = f"`tool_choice` is of type `{choice.type[:40]}`; this model's provider takes functions."
            raise InvalidRequest(message, param="tool_choice")
        return {"name": choice.function.name}
    if choice == "required":
        if chat.tools and len(chat.tools) == 1 and chat.tools[0].function is not None:
            return {"name": chat.tools[0].function.name}
        call.drop("tool_choice")  # some function must be called: there is no word for that, only for a certain one
    return "none" if choice == "none" else "auto"


def _format(call: Call, wanted: ResponseFormat, body: Body) -> None:
    if wanted.type == "text":
        return
    if wanted.type == "json_object":
        body["response_format"] = {"type": "json_schema", "schema": {"type": "object"}}
        return
    if wanted.type != "json_schema" or wanted.json_schema is None:
        message = "`response_format` is `text`, `json_object` or `json_schema` with a schema."
        raise InvalidRequest(message, param="response_format")
    schema = wanted.json_schema
    written: Body = {"type": "json_schema", "schema": schema.schema or {"type": "object"}}
    if schema.strict is not None:
        written["strict"] = schema.strict
    if schema.description is not None:
        call.drop("response_format.json_schema.description")
    body["response_format"] = written


class Messages:
    """Writes the messages of one chat, in order, into `written`."""

    def __init__(self, chat: ChatRequest) -> None:
        self._messages = chat.messages
        self._results: dict[str, list[int]] = {}
        for place, message in enumerate(chat.messages):
            if message.role == "tool" and message.tool_call_id is not None:
                self._results.setdefault(message.tool_call_id, []).append(place)
        self._answered: set[int] = set()
        self.written: list[Body] = []
        self._system: list[str] = []
        for place, message in enumerate(chat.messages):
            self._write(place, message)
        if self._system:
            self.written.insert(0, {"role": "system", "content": "\n\n".join(self._system)})

    def _write(self, place: int, message: Message) -> None:
        if message.role == "system":
            self._system.append(_text(place, message)[0])
        elif message.role == "assistant":
            self._assistant(place, message)
        elif message.role == "tool":
            if place not in self._answered:
                where = f"messages[{place}].tool_call_id"
                said = f"`{where}` names no tool call of an assistant message before it."
                raise InvalidRequest(said, param=where, code="invalid_value")
        else:
            text, files = _text(place, message)
            one: Body = {"role": "user", "content": text}
            if files:
                one["attachments"] = files
            self.written.append(one)

    def _assistant(self, place: int, message: Message) -> None:
        one: Body = {"role": "assistant", "content": _text(place, message)[0]}
        if message.reasoning_content:
            one["reasoning_content"] = message.reasoning_content
        calls = message.tool_calls or []
        if not calls:
            self.written.append(one)
        for number, call in enumerate(calls):
            self.written.append(_called(f"messages[{place}].tool_calls[{number}]", call, one))
            one = {"role": "assistant", "content": ""}
            places = self._results.get(call.id)
            if places and places[0] > place:
                result = places.pop(0)
                self._answered.add(result)
                self._result(result, call.function.name, self._messages[result])

    def _result(self, place: int, name: str | None, message: Message) -> None:
        text = _text(place, message)[0]
        one: Body = {"role": "function", "content": _as_object(text)}
        if name is not None:
            one["name"] = name
        self.written.append(one)


def _text(place: int, message: Message) -> tuple[str, list[str]]:
    """Return what a message says, and the files it names. Raises `InvalidRequest` for a file that was not uploaded."""
    files: list[str] = []
    for number, part in enumerate(message.parts()):
        if isinstance(part, FilePart):
            if part.file.file_id is None or message.role != "user":
                where = f"messages[{place}].content[{number}]"
                said = (
                    f"`{where}` cannot be carried: this model's provider takes text, and files that were uploaded to it "
                    "(a `file` part with its `file_id`)."
                )
                raise InvalidRequest(said, param=where, code="unsupported_content")
            files.append(part.file.file_id)
    return message.text(), files


def _called(where: str, call: ToolCall, message: Body) -> Body:
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}", type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        said = f"`{where}.function.arguments` is not a JSON object."
        raise InvalidRequest(said, param=f"{where}.function.arguments", code="invalid_value") from None
    written = {**message, "function_call": {"name": call.function.name, "arguments": arguments}}
    if _is_uuid(call.id):
        written["functions_state_id"] = call.id
    return written


def _is_uuid(id: str) -> bool:
    """Say whether an id is one that GigaChat gave: other providers' are not of this form."""
    try:
        return str(UUID(id)) == id
    except ValueError:
        return False


def _as_object(text: str) -> str:
    """Return a function's result as the text of a JSON object, which is all that may be one; others are put into one."""
    try:
        found: Any = msgspec.json.decode(text, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        found = text
    else:
        if bytes(found)[:1] == b"{":
            return text
    return msgspec.json.encode({"result": found}).decode()
