"""Content parts: `input_text`, `input_image`, `input_file`, `input_audio`, `output_text`, `refusal`, as a chat has them."""

from typing import Any

from msgspec import Raw, Struct

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear_plugins.openai.frames import NULL


class Breakpoint(Struct):
    """A prompt-cache marker."""

    ttl: str | None = None


class Part(Struct):
    """One part: the members of all the types there are."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    input_audio: Raw = NULL
    annotations: list[Raw] | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


def chat_content(content: str | list[Part] | None, where: str, made: Call) -> str | list[dict[str, Any]]:
    """Make a chat's content; one plain text is a text. Raises `InvalidRequest` naming the part."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [chat_part(part, f"{where}[{place}]", made) for place, part in enumerate(content)]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts or ""


def chat_part(part: Part, where: str, made: Call) -> dict[str, Any]:
    """Make one part of a chat's message. Raises `InvalidRequest` naming what cannot be carried."""
    found = _part(part, where, made)
    if part.prompt_cache_breakpoint is not None:
        found["cache_control"] = {"type": "ephemeral"}
        if part.prompt_cache_breakpoint.ttl is not None:
            made.drop("input[].prompt_cache_breakpoint.ttl")
    return found


def _part(part: Part, where: str, made: Call) -> dict[str, Any]:
    match part.type:
        case "input_text" | "output_text" | "text":
            if part.annotations:
                made.drop("input[].content[].annotations")
            return {"type": "text", "text": _needed(part.text, f"{where}.text")}
        case "refusal":
            return {"type": "refusal", "refusal": _needed(part.refusal, f"{where}.refusal")}
        case "input_image":
            return {"type": "image_url", "image_url": _image(part, where)}
        case "input_file":
            return {"type": "file", "file": _file(part, made)}
        case "input_audio" if part.input_audio != NULL:
            return {"type": "input_audio", "input_audio": part.input_audio}
    message = f"`{where}` is of type `{part.type[:40]}`, which this model's provider does not take."
    raise InvalidRequest(message, param=where, code="unsupported_content")


def _image(part: Part, where: str) -> dict[str, str]:
    if part.image_url is None:
        message = f"`{where}` has no `image_url`: this model's provider has no files. Send a URL or a data URL."
        raise InvalidRequest(message, param=where, code="unsupported_content")
    return {"url": part.image_url} if part.detail is None else {"url": part.image_url, "detail": part.detail}


def _file(part: Part, made: Call) -> dict[str, str]:
    if part.detail is not None:
        made.drop("input[].content[].detail")
    given = {"file_data": part.file_data or part.file_url, "file_id": part.file_id, "filename": part.filename}
    return {name: value for name, value in given.items() if value is not None}


def _needed(text: str | None, where: str) -> str:
    if text is None:
        raise InvalidRequest(f"`{where}` is missing.", param=where, code="missing_field")
    return text
