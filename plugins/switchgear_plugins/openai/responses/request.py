"""Requests of the Responses API: their head, and the chat that says the same.

Wire: developers.openai.com/api/reference/resources/responses/methods/create.
"""

from typing import Any

from msgspec import Raw

from switchgear.contracts.provider import CANONICAL, Call
from switchgear.errors import InvalidRequest
from switchgear.wire import web_search
from switchgear.wire.members import holds_items, member, raw
from switchgear.wire.texts import members_of, text_of
from switchgear_plugins.openai.frames import NULL, check_model, read_model
from switchgear_plugins.openai.responses.items import Conversation
from switchgear_plugins.openai.responses.toolbox import Toolbox
from switchgear_plugins.openai.responses.tools import add_tools

WIRE = "responses"
_STATE = {
    "previous_response_id": "it keeps no earlier response; send the whole conversation in `input`",
    "conversation": "it keeps no conversations; send the whole conversation in `input`",
    "prompt": "it keeps no prompts; write them out in `instructions` and `input`",
    "background": "it answers at once or not at all; leave it out",
}
_TRANSLATED = frozenset(
    {
        "model", "input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning", "include",
        "stream", "stream_options", "store", "truncation", *_STATE,
    }
)  # fmt: skip
_NOT_CARRIED = frozenset(
    {
        "access_programs", "background_options", "client_metadata", "context_management", "image", "max_tool_calls",
        "moderation",
    }
)  # fmt: skip
_CHAT_ONLY = frozenset(
    {
        "messages", "n", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort", "verbosity", "logprobs",
        "functions", "function_call", "modalities", "audio",
    }
)  # fmt: skip
"""Members of a chat that are not this API's: what they say has another name here, or would make an answer it cannot show."""
_INCLUDED = ("reasoning.encrypted_content", "message.output_text.logprobs")

_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
"""What this form calls canonical members."""


def parse(members: dict[str, Raw]) -> Call:
    """Read the head. Everything else goes to a provider that speaks this API as it came."""
    model = read_model(members)
    return Call(
        "chat",
        WIRE,
        members,
        model=model,
        stream=member(members, "stream", bool) or False,
        usage_wanted=True,
        max_tokens=member(members, "max_output_tokens", int),
    )


def check(call: Call) -> None:
    """Want a model and something to answer. Raises `InvalidRequest` naming what is missing or wrong."""
    check_model(call)
    members = call.members
    kept = any(members.get(name, NULL) != NULL for name in ("previous_response_id", "conversation", "prompt"))
    if not _has_input(members) and not kept:
        raise InvalidRequest("`input` is missing: say what to answer.", param="input", code="missing_field")
    for name in ("text", "reasoning"):
        member(members, name, dict[str, Raw])  # what an answer says again must be readable


def canonical(call: Call, operation: str = "chat", wire: str = CANONICAL) -> Call:
    """Make a chat of it, or another `operation` that a chat's members say.

    Raises `InvalidRequest` naming what a chat cannot say and dropping would falsify.
    """
    _refuse_state(call)
    members = {"model": call.members["model"]}
    made = call.translated(operation, wire, members)
    toolbox = Toolbox(call)
    members["messages"] = raw(_messages(call, made, toolbox))
    for name, value in call.members.items():
        if value == NULL or name in _TRANSLATED:
            continue
        if name in _NOT_CARRIED or name in _CHAT_ONLY:
            made.drop(name)
        else:
            members[name] = value
    if call.stream:
        members["stream"] = call.members["stream"]
    if call.max_tokens is not None:
        members["max_tokens"] = call.members["max_output_tokens"]
    add_tools(call, made, toolbox)
    if compacts(call) and "tools" in members:
        members["tool_choice"] = raw("none")
    _add_text(call, made)
    _add_reasoning(call, made)
    _add_logprobs(call, made)
    _drop_modes(call, made)
    made.names = _NAMES if toolbox.search is None else {**_NAMES, web_search.MEMBER: toolbox.search}
    return made


def _refuse_state(call: Call) -> None:
    for name, why in _STATE.items():
        given = call.members.get(name, NULL)
        if given == NULL or name in call.handled or (name == "background" and not call.member(name, bool)):
            continue
        message = f"`{name}` cannot be carried to this model's provider: {why}."
        code = "previous_response_not_found" if name == "previous_response_id" else "unsupported_parameter"
        raise InvalidRequest(message, param=name, code=code)


def _messages(call: Call, made: Call, toolbox: Toolbox) -> list[dict[str, Any]]:
    conversation = Conversation(made, toolbox)
    instructions = call.member("instructions", str)
    if instructions:
        conversation.messages.append({"role": "system", "content": instructions})
    given = _input(call.members)
    if isinstance(given, str):
        conversation.messages.append({"role": "user", "content": given})
    else:
        for place, item in enumerate(given or ()):
            conversation.add(item, place)
    return conversation.end()


def compaction_of(call: Call) -> Call:
    """Make the request that asks for the same conversation to be put in short, as the last of its items."""
    given = _input(call.members)
    items: list[Any] = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    members = {**call.members, "input": raw([*items, {"type": "compaction_trigger"}])}
    return call.with_members(members)


def _has_input(members: dict[str, Raw]) -> bool:
    begun = bytes(memoryview(members.get("input", NULL))[:1])
    return holds_items(members, "input") if begun == b"[" else bool(_input(members))


def _input(members: dict[str, Raw]) -> str | list[Raw] | None:
    return member(members, "input", str | list[Raw])  # type: ignore[arg-type]  # a union is a type here


def _add_text(call: Call, made: Call) -> None:
    text = call.member("text", dict[str, Any]) or {}
    for name, value in text.items():
        if value is None:
            continue
        if name == "verbosity":
            made.members["verbosity"] = raw(value)
        elif name == "format":
            _add_format(value, made)
        else:
            made.drop(f"text.{name}")


def _add_format(given: Any, made: Call) -> None:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "json_schema":
        schema = {name: value for name, value in given.items() if name != "type" and value is not None}
        made.members["response_format"] = raw({"type": "json_schema", "json_schema": schema})
    elif kind == "json_object":
        made.members["response_format"] = raw({"type": "json_object"})
    elif kind != "text":
        message = "`text.format.type` must be `text`, `json_object` or `json_schema`."
        raise InvalidRequest(message, param="text.format", code="invalid_value")


def _add_reasoning(call: Call, made: Call) -> None:
    reasoning = call.member("reasoning", dict[str, Any]) or {}
    for name, value in reasoning.items():
        if value is None:
            continue
        if name == "effort":
            made.members["reasoning_effort"] = raw(value)
        elif name not in ("summary", "generate_summary") or value != "auto":
            made.drop(f"reasoning.{name}")  # a summary is given as the provider gives it: how long is not ours to say


def _add_logprobs(call: Call, made: Call) -> None:
    include = call.member("include", list[str]) or []
    if _INCLUDED[1] in include or (call.member("top_logprobs", int) or 0) > 0:
        made.members["logprobs"] = raw(True)
    else:
        made.members.pop("top_logprobs", None)
    if any(name not in _INCLUDED for name in include):
        made.drop("include")


def _drop_modes(call: Call, made: Call) -> None:
    if call.member("store", bool) and "store" not in call.handled:
        made.drop("store")
    if call.member("truncation", str) not in (None, "disabled"):
        made.drop("truncation")
    if (call.member("stream_options", dict[str, Any]) or {}).get("include_obfuscation"):
        made.drop("stream_options.include_obfuscation")


def wants_summary(call: Call) -> bool:
    """Say whether the client asked for a summary of the reasoning; else it is shown as what it is."""
    reasoning = call.member("reasoning", dict[str, Any]) or {}
    return bool(reasoning.get("summary") or reasoning.get("generate_summary"))


def compacts(call: Call) -> bool:
    """Say whether the conversation is to be put in short instead of gone on with: its last item asks for it."""
    given = call.members.get("input", NULL)
    if b"compaction_trigger" not in bytes(given):
        return False
    items = _input(call.members)
    last = items[-1] if isinstance(items, list) and items else NULL
    return text_of(members_of(last).get("type")) == "compaction_trigger"
