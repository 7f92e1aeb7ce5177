"""A whole canonical answer as a Messages `message` object. Wire: platform.claude.com/docs/en/api/messages."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.ambient import Ambient
from switchgear.contracts.estimate import untold
from switchgear.contracts.provider import Answer, Call, ProviderFault
from switchgear.wire.canonical import ReasoningDetail, ToolCall
from switchgear.wire.chunks import SaidMessage, read_completion
from switchgear.wire.usage import read_usage
from switchgear_plugins.anthropic.inbound.thinking import CLAUDE, Redacted, thoughts
from switchgear_plugins.anthropic.inbound.usage import stop_reason, whole_usage

_json = msgspec.json.Encoder()
_object = msgspec.json.Decoder(dict[str, Raw])


def write_message(call: Call, answer: Answer, ambient: Ambient) -> bytes:
    """Encode the first choice of a canonical answer.

    Raises `ProviderFault` (`protocol`) for a tool call whose arguments are no JSON object: calling the tool with anything else
    would be a call the model did not make. In an answer that met its bound, the call that was cut off is left out.
    """
    found = read_completion(answer.body)
    if not found.choices:
        raise ProviderFault("protocol", 200)
    choice = found.choices[0]
    content = _blocks(choice.message, cut=choice.finish_reason == "length")
    called = any(block["type"] == "tool_use" for block in content)
    return _json.encode(
        {
            "id": message_id(found.id, ambient),
            "type": "message",
            "role": "assistant",
            "model": found.model or call.model,
            "content": content,
            "stop_reason": stop_reason(choice.finish_reason, called=called, refused=bool(choice.message.refusal)),
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": whole_usage(answer.usage or read_usage(found.usage) or untold(call, _shown(content))),
        }
    )


def message_id(id: str, ambient: Ambient) -> str:
    """Make a message id of the provider's, or of chance if it gave none."""
    if id.startswith("msg_"):
        return id
    return f"msg_{id.removeprefix('chatcmpl-') or ambient.new_id()}"


def text_block(text: str, notes: Iterable[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Make a block of text, with a chat's annotations as its citations."""
    return {"type": "text", "text": text, "citations": citations(notes) or None}


def citations(notes: Iterable[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Write a chat's annotations as citations of pages; what was cited and the vendor's index are empty, as nobody tells them."""
    pages = [it["url_citation"] for it in notes or () if isinstance(it.get("url_citation"), dict)]
    return [
        {
            "type": "web_search_result_location",
            "url": page.get("url") or "",
            "title": page.get("title"),
            "cited_text": "",
            "encrypted_index": "",
        }
        for page in pages
    ]


def tool_block(id: str, name: str, given: dict[str, Raw]) -> dict[str, Any]:
    """Make a block that calls a tool, as the model itself does."""
    return {"type": "tool_use", "id": id, "name": name, "input": given, "caller": {"type": "direct"}}


def _shown(content: list[dict[str, Any]]) -> int:
    return sum(
        len(block.get("text") or block.get("thinking") or b"".join(block.get("input", {}).values()))
        for block in content
    )


def _blocks(said: SaidMessage, *, cut: bool) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    behind: dict[str, list[ReasoningDetail]] = {}
    called = {tool.id for tool in said.tool_calls or ()}
    front = []
    for detail in said.reasoning_details or ():
        if detail.format == CLAUDE and detail.id in called:
            behind.setdefault(detail.id or "", []).append(detail)
        else:
            front.append(detail)
    _think(blocks, None if behind else said.thought, front)
    blocks += [text_block(said.content, said.annotations)] if said.content else []
    blocks += [text_block(said.refusal)] if said.refusal else []
    blocks += [text_block(image.named()) for image in said.images or ()]
    for tool in said.tool_calls or ():
        given = _input(tool)
        if given is not None:
            blocks.append(tool_block(tool.id, tool.function.name, given))
            _think(blocks, None, behind.get(tool.id, []))
        elif not cut:
            raise ProviderFault("protocol", 200)
    return blocks


def _think(blocks: list[dict[str, Any]], said: str | None, details: list[ReasoningDetail]) -> None:
    """Add blocks for what was thought."""
    for thought in thoughts(said, details):
        if isinstance(thought, Redacted):
            blocks.append({"type": "redacted_thinking", "data": thought.data})
        elif blocks and blocks[-1].get("signature") == "" and not (thought.signature and thought.text):
            blocks[-1]["thinking"] += thought.text
            blocks[-1]["signature"] = thought.signature or ""
        else:
            blocks.append({"type": "thinking", "thinking": thought.text, "signature": thought.signature or ""})


def _input(tool: ToolCall) -> dict[str, Raw] | None:
    """Parse the arguments of a call, empty ones as an empty object; None if they are no JSON object."""
    try:
        return _object.decode(tool.function.arguments.strip() or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
