"""What clients say of a dialog and in it, checked."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from switchgear.errors import InvalidRequest
from switchgear.wire.members import BROKEN

_OURS = ("model", "messages", "stream", "stream_options", "prompt", "input")
"""Members of a call that the dialog itself has."""
_MOST_PARAMETERS = 256 * 1024
_MOST_PARTS = 1000

ShortText = Annotated[str, Meta(max_length=512)]


class DialogSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What its owner says of a dialog.

    model           a callable name: a model, an alias, a pool, a chain, an agent
    system          what the system says in each call
    parameters      further members of each call, as those of a chat completion (`temperature`, `max_tokens`, `tools` …)
    context_tokens  the most that the model is told, where that is to be less than its context window takes
    summarise       whether what falls out of the context is summed up; None: as the gateway's settings say
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    title: ShortText = ""
    system: Annotated[str, Meta(max_length=100_000)] | None = None
    parameters: dict[str, Any] = {}
    metadata: Annotated[dict[Annotated[str, Meta(max_length=64)], ShortText], Meta(max_length=16)] = {}
    context_tokens: Annotated[int, Meta(ge=256)] | None = None
    summarise: bool | None = None


class Posted(Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to a dialog: what its user says (`content`), or `messages` (a user's, or results of tools). With neither, the
    last message is answered, if it has no answer.
    """

    content: str | list[Any] | None = None
    messages: list[dict[str, Any]] | None = None
    parameters: dict[str, Any] = {}
    stream: bool = False


class _UserMessage(Struct, forbid_unknown_fields=True):
    role: Literal["user"]
    content: str | list[dict[str, Any]]
    name: str | None = None


class _ToolMessage(Struct, forbid_unknown_fields=True):
    role: Literal["tool"]
    content: str | list[dict[str, Any]]
    tool_call_id: Annotated[str, Meta(min_length=1, max_length=256)]


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what is not a parameter of a call. Raises `InvalidRequest`."""
    for name in _OURS:
        if name in parameters:
            message = f"`{name}` is no parameter of a dialog's calls: the dialog says it itself."
            raise InvalidRequest(message, param=f"parameters.{name}", code="invalid_parameter")
    if parameters.get("n") not in (None, 1):
        raise InvalidRequest("A dialog has one answer; leave `n` out.", param="parameters.n", code="invalid_value")
    if len(msgspec.json.encode(parameters)) > _MOST_PARAMETERS:
        message = f"`parameters` may have {_MOST_PARAMETERS} bytes."
        raise InvalidRequest(message, param="parameters", code="too_large")


def patched(spec: DialogSpec, patch: Mapping[str, Any]) -> DialogSpec:
    """Return a spec with other members; null stands for what is so where nothing is said. Raises `InvalidRequest`."""
    members = {**msgspec.to_builtins(spec), **patch}
    try:
        made = msgspec.convert({name: value for name, value in members.items() if value is not None}, DialogSpec)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `$.")
        raise InvalidRequest(f"{detail}.", param=where.removesuffix("`") or None, code="invalid_value") from None
    check_parameters(made.parameters)
    return made


def messages_of(posted: Posted, most_bytes: int) -> list[bytes]:
    """Return the messages that are sent, as JSON. Raises `InvalidRequest` naming what is wrong."""
    if posted.content is not None and posted.messages is not None:
        raise InvalidRequest("Send `content` or `messages`, not both.", param="messages", code="invalid_messages")
    if posted.content is not None:
        made = [_checked({"role": "user", "content": posted.content}, "content")]
    else:
        made = [_checked(it, f"messages[{place}]") for place, it in enumerate(posted.messages or ())]
    if posted.messages is not None and not made:
        raise InvalidRequest("`messages` is empty; leave it out.", param="messages", code="invalid_messages")
    if sum(map(len, made)) > most_bytes:
        raise InvalidRequest(f"What is sent at once may have {most_bytes} bytes.", param="messages", code="too_large")
    return made


def _checked(message: dict[str, Any], where: str) -> bytes:
    role = message.get("role")
    if role not in ("user", "tool"):
        raise InvalidRequest(
            "A client says what the user or a tool says: `role` is `user` or `tool`.",
            param=f"{where}.role",
            code="invalid_role",
        )
    try:
        found: Any = msgspec.convert(message, _UserMessage if role == "user" else _ToolMessage)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"This is no message: {error}", param=where, code="invalid_messages") from None
    _check_content(found.content, where, may_be_empty=role == "tool")
    return msgspec.json.encode(message)


def _check_content(content: str | Sequence[Mapping[str, Any]], where: str, *, may_be_empty: bool) -> None:
    if not content and not may_be_empty:
        raise InvalidRequest("The message says nothing.", param=where, code="invalid_messages")
    if not isinstance(content, str):
        if len(content) > _MOST_PARTS:
            raise InvalidRequest(f"A message has at most {_MOST_PARTS} parts.", param=where, code="too_many_items")
        if not all(isinstance(part.get("type"), str) for part in content):
            raise InvalidRequest("Each part of a content has a `type`.", param=where, code="invalid_messages")


def tool_results(messages: Sequence[bytes]) -> list[str]:
    """Return the calls of tools that messages answer, by their ids."""
    found = [msgspec.json.decode(it) for it in messages]
    return [it["tool_call_id"] for it in found if it["role"] == "tool"]


def calls_in(message: bytes) -> list[str]:
    """Return the calls of tools that a message makes, by their ids."""
    try:
        found = msgspec.json.decode(message).get("tool_calls")
    except BROKEN:
        return []
    return [it["id"] for it in found or () if isinstance(it, dict) and isinstance(it.get("id"), str)]
