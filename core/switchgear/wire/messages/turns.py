"""Canonical messages as turns of the Messages form, which alternate between user and assistant.

Wire: docs.anthropic.com/en/api/messages, …/build-with-claude/vision, …/pdf-support, …/prompt-caching, …/extended-thinking.
System and developer messages stand in front, in their order. Answers of tools are blocks of the user's turn, before what
the user says. Thinking goes back in front of the turn, or behind the tool call that it came behind.
"""

import base64
import re
from typing import Any, NoReturn

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import (
    CacheControl,
    File,
    FilePart,
    ImagePart,
    ImageURL,
    Message,
    RefusalPart,
    TextPart,
    ToolCall,
    data_url,
)
from switchgear.wire.fit.results import BEGINNING, NO_RESULT
from switchgear.wire.messages.blocks import holds_media

Body = dict[str, Any]

_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_arguments_decoder = msgspec.json.Decoder(dict[str, Raw])


def write_turns(call: Call, messages: list[Message], reasoning: str | None) -> tuple[list[Body], list[Body]]:
    """Return the blocks of the system prompt, and the turns. Raises `InvalidRequest` naming a part that cannot be carried.

    `reasoning` is the `format` of the reasoning that is the model's own, None if it does not think.
    """
    system: list[Body] = []
    turns: list[Body] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if message.name is not None and message.role != "tool":
            call.drop("messages.name")
        if message.role in ("system", "developer"):
            system += _marked(_texts(message, where), message.cache_control)
        elif message.role == "assistant":
            _add(turns, "assistant", _marked(_assistant(call, message, where, reasoning), message.cache_control))
        elif message.role == "user":
            _add(turns, "user", _marked(_parts(call, message, where), message.cache_control))
        elif message.role == "tool":
            _add(turns, "user", [_tool_result(call, message, where)])
        else:
            _refuse(
                where, f"`{where}` has the role `{message.role}`; this model's provider takes tool messages instead."
            )
    if turns and turns[-1]["role"] == "assistant":
        _trim_prefill(turns)
    if turns and turns[0]["role"] == "assistant":
        call.change("messages")
        turns.insert(0, {"role": "user", "content": [_text(BEGINNING)]})
    return system, turns


def marker(mark: CacheControl) -> Body:
    """Write a prompt-cache marker."""
    return {"type": mark.type} if mark.ttl is None else {"type": mark.type, "ttl": mark.ttl}


def tool_id(id: str) -> str:
    """Return a tool call's id in the alphabet of the form; other providers' ids may have dots and colons in them."""
    return _NOT_IN_AN_ID.sub("_", id)


def _add(turns: list[Body], role: str, blocks: list[Body]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _marked(blocks: list[Body], mark: CacheControl | None) -> list[Body]:
    if mark is not None:
        for block in reversed(blocks):
            if block["type"] not in ("thinking", "redacted_thinking"):
                block["cache_control"] = marker(mark)
                break
    return blocks


def _text(text: str, mark: CacheControl | None = None) -> Body:
    block: Body = {"type": "text", "text": text}
    if mark is not None:
        block["cache_control"] = marker(mark)
    return block


def _texts(message: Message, where: str) -> list[Body]:
    """Write content that can only be text. An empty text is refused by the form, and says nothing."""
    if isinstance(message.content, str):
        return [_text(message.content)] if message.content else []
    blocks = []
    for place, part in enumerate(message.content or ()):
        if isinstance(part, RefusalPart):
            blocks.append(_text(part.refusal))
        elif not isinstance(part, TextPart):
            _refuse_part(f"{where}.content[{place}]", f"cannot be in a message of the role `{message.role}`")
        elif part.text:
            blocks.append(_text(part.text, part.cache_control))
    return blocks


def _parts(call: Call, message: Message, where: str) -> list[Body]:
    """Write what a user or a tool says."""
    if isinstance(message.content, str):
        return [_text(message.content)] if message.content else []
    blocks = []
    for place, part in enumerate(message.content or ()):
        here = f"{where}.content[{place}]"
        if isinstance(part, TextPart):
            if part.text:
                blocks.append(_text(part.text, part.cache_control))
            continue
        if isinstance(part, ImagePart):
            block = _image(call, part.image_url, here)
        elif isinstance(part, FilePart):
            block = _document(part.file, here)
        else:
            _refuse_part(here, "is of a type that this model's provider does not take")
        if part.cache_control is not None:
            block["cache_control"] = marker(part.cache_control)
        blocks.append(block)
    return blocks


def _image(call: Call, image: ImageURL, where: str) -> Body:
    if image.detail not in (None, "auto"):
        call.drop("messages.content.image_url.detail")
    inline = data_url(image.url)
    if inline is None:
        return {"type": "image", "source": _address(image.url, where)}
    media, data = inline
    if not media.startswith("image/"):
        _refuse_part(where, "is not an image")
    media = "image/jpeg" if media == "image/jpg" else media
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data.decode()}}


def _document(file: File, where: str) -> Body:
    if file.file_id is not None:
        source: Body = {"type": "file", "file_id": file.file_id}
    elif file.file_data is None:
        _refuse_part(where, "has neither `file_data` nor `file_id`")
    elif (inline := data_url(file.file_data)) is None:
        source = _address(file.file_data, where)
    elif inline[0].startswith("text/"):
        try:
            text = base64.b64decode(inline[1], validate=True).decode()
        except ValueError:
            _refuse_part(where, "is not text in UTF-8 and base64")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    elif inline[0] != "application/pdf":
        _refuse_part(where, "is neither a PDF document nor text")
    else:
        source = {"type": "base64", "media_type": "application/pdf", "data": inline[1].decode()}
    block: Body = {"type": "document", "source": source}
    if file.filename:
        block["title"] = file.filename
    return block


def _address(url: str, where: str) -> Body:
    if not url.startswith(("https://", "http://")):
        _refuse_part(where, "is neither a data URL nor an http or https one")
    return {"type": "url", "url": url}


def _tool_result(call: Call, message: Message, where: str) -> Body:
    if not message.tool_call_id:
        _refuse(f"{where}.tool_call_id", f"`{where}.tool_call_id` is missing: name the tool call that it answers.")
    block: Body = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id)}
    blocks = _parts(call, message, where)
    if isinstance(message.content, str) and blocks:
        block["content"] = message.content
    elif blocks:
        block["content"] = blocks
    if message.is_error and holds_media(blocks):
        call.drop("messages.content.is_error")
    elif message.is_error:
        block |= {"is_error": True, "content": block.get("content", NO_RESULT)}
    return _marked([block], message.cache_control)[0]


def _assistant(call: Call, message: Message, where: str, reasoning: str | None) -> list[Body]:
    calls = message.tool_calls or ()
    thoughts = _thoughts(call, message, reasoning)
    if message.reasoning_content and not thoughts:
        call.drop("messages.reasoning_content")  # the form takes no thinking that is not signed
    blocks = thoughts.get(None, []) + _texts(message, where)
    if message.refusal and not message.content:
        blocks.append(_text(message.refusal))
    for place, found in enumerate(calls):
        blocks.append(_tool_use(found, f"{where}.tool_calls[{place}]"))
        blocks += thoughts.get(found.id, [])
    return blocks


def _thoughts(call: Call, message: Message, reasoning: str | None) -> dict[str | None, list[Body]]:
    """Return the thinking blocks by the tool call they came behind."""
    found: dict[str | None, list[Body]] = {}
    calls = {called.id for called in message.tool_calls or ()}
    for detail in message.reasoning_details or ():
        if reasoning is None or detail.format not in (None, reasoning):
            block = None
        elif detail.type == "reasoning.text" and detail.signature:
            block = {"type": "thinking", "thinking": detail.text or "", "signature": detail.signature}
        elif detail.type == "reasoning.encrypted" and detail.data:
            block = {"type": "redacted_thinking", "data": detail.data}
        else:
            block = None
        if block is None:
            call.drop("messages.reasoning_details")
        else:
            found.setdefault(detail.id if detail.id in calls else None, []).append(block)
    return found


def _tool_use(found: ToolCall, where: str) -> Body:
    if found.type != "function":
        _refuse(where, f"`{where}` is of type `{found.type[:40]}`; this model's provider takes function calls.")
    try:
        given = _arguments_decoder.decode(found.function.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        param = f"{where}.function.arguments"
        _refuse(param, f"`{param}` must be the text of a JSON object.")
    return {"type": "tool_use", "id": tool_id(found.id), "name": found.function.name, "input": given}


def _trim_prefill(turns: list[Body]) -> None:
    """Cut white space off the end of what the model is to go on with: the form refuses it there."""
    blocks = turns[-1]["content"]
    if blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()
        if not blocks[-1]["text"]:
            blocks.pop()
            if not blocks:
                turns.pop()


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param, code="invalid_value")


def _refuse_part(param: str, why: str) -> NoReturn:
    raise InvalidRequest(f"`{param}` {why}.", param=param, code="unsupported_content")
