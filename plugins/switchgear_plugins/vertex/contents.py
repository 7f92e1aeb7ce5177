"""Canonical messages as Gemini's `contents` and `systemInstruction`.

Wire: ai.google.dev/api/caching#Content, ai.google.dev/gemini-api/docs/function-calling, and for signatures
ai.google.dev/gemini-api/docs/thought-signatures and its twin below docs.cloud.google.com/vertex-ai/generative-ai/docs.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningDetail,
    RefusalPart,
    TextPart,
    ToolCall,
    data_url,
)

FORMAT = "google-gemini-v1"
"""Marks signatures as Google's; those of other vendors are refused by it."""
OWN_ID = "gem_"
"""What the ids begin with that were made here because the model gave none: it is not to see them."""
_UNSIGNED = "skip_thought_signature_validator"
"""What the vendor asks for in place of a signature, for calls that another model made."""
_MEDIA = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
}
_AUDIO = {"mpeg": "mp3"}

_object_decoder = msgspec.json.Decoder(dict[str, Raw])

Json = dict[str, Any]


def _refuse(message: str, where: str) -> InvalidRequest:
    return InvalidRequest(f"`{where}` {message}", param=where, code="unsupported_value")


class Contents:
    """Translates the messages of one call. `contents` is in the order of the conversation; `system` is None without any.

    sign  whether calls without a signature are refused by the model
    """

    def __init__(self, call: Call, messages: list[Message], *, sign: bool) -> None:
        self._call = call
        self._sign = sign
        self._names: dict[str, str] = {}
        self.contents: list[Json] = []
        system: list[Json] = []
        answered = False
        for place, message in enumerate(messages):
            where = f"messages[{place}]"
            self._drop_markers(message)
            if message.role in {"system", "developer"}:
                system += [self._system_part(part, f"{where}.content[{i}]") for i, part in enumerate(message.parts())]
            elif message.role in {"tool", "function"}:
                result = self._result(message, where)
                if answered:
                    self.contents[-1]["parts"].append(result)  # results of one turn come together
                else:
                    self.contents.append({"role": "user", "parts": [result]})
            elif parts := self._model(message, where) if message.role == "assistant" else self._user(message, where):
                self.contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
            answered = message.role in {"tool", "function"}
        self.system: Json | None = {"parts": system} if system else None
        if not self.contents and system:
            self.contents, self.system = [{"role": "user", "parts": system}], None

    def _drop_markers(self, message: Message) -> None:
        if message.name and message.role not in {"tool", "function"}:
            self._call.drop("messages.name")
        if message.cache_control is not None:
            self._call.drop("messages.cache_control")
        for part in message.content if isinstance(message.content, list) else ():
            if getattr(part, "cache_control", None) is not None:
                self._call.drop("messages.content.cache_control")

    def _system_part(self, part: Any, where: str) -> Json:
        if not isinstance(part, TextPart):
            raise _refuse("is not text: this model's instructions are text only.", where)
        return {"text": part.text}

    def _user(self, message: Message, where: str) -> list[Json]:
        return [self._part(part, f"{where}.content[{i}]") for i, part in enumerate(message.parts())]

    def _part(self, part: Any, where: str) -> Json:
        match part:
            case TextPart():
                return {"text": part.text}
            case RefusalPart():
                return {"text": part.refusal}
            case ImagePart():
                if part.image_url.detail not in {None, "auto"}:
                    self._call.drop("messages.content.image_url.detail")
                return _media(part.image_url.url, f"{where}.image_url.url", "image/jpeg")
            case AudioPart():
                kind = part.input_audio.format.lower()
                if not kind.isalnum() or not kind.isascii():
                    raise _refuse("is no audio format: write it like wav or mp3.", f"{where}.input_audio.format")
                return {"inlineData": {"mimeType": f"audio/{_AUDIO.get(kind, kind)}", "data": part.input_audio.data}}
            case FilePart():
                if part.file.filename is not None:
                    self._call.drop("messages.content.file.filename")
                if part.file.file_data is not None:
                    return _media(part.file.file_data, f"{where}.file.file_data", "application/pdf")
                return _media(part.file.file_id or "", f"{where}.file.file_id", "application/pdf")
        raise _refuse("is of a type that this model's provider does not take.", where)

    def _model(self, message: Message, where: str) -> list[Json]:
        details = self._own_details(message)
        thoughts = [
            {"text": detail.text or "", "thought": True, "thoughtSignature": detail.signature}
            for detail in details
            if detail.type == "reasoning.text" and detail.signature
        ]
        if not thoughts and message.reasoning_content:
            thoughts = [{"text": message.reasoning_content, "thought": True}]
        said = self._user(message, where)
        if message.refusal:
            said.append({"text": message.refusal})
        signatures = {
            detail.id: detail.data for detail in details if detail.type == "reasoning.encrypted" and detail.data
        }
        if None in signatures:
            if not said:
                said.append({"text": ""})
            said[-1]["thoughtSignature"] = signatures[None]
        calls = [
            self._tool_call(tool, signatures.get(tool.id), f"{where}.tool_calls[{i}]")
            for i, tool in enumerate(message.tool_calls or ())
        ]
        if calls and self._sign and not any("thoughtSignature" in part for part in calls):
            calls[0]["thoughtSignature"] = _UNSIGNED
        return [*thoughts, *said, *calls]

    def _own_details(self, message: Message) -> list[ReasoningDetail]:
        details = message.reasoning_details or []
        own = [detail for detail in details if detail.format in {None, FORMAT}]
        if len(own) < len(details):
            self._call.drop("messages.reasoning_details")
        return own

    def _tool_call(self, tool: ToolCall, signature: str | None, where: str) -> Json:
        self._names[tool.id] = tool.function.name
        arguments = tool.function.arguments.strip() or "{}"
        found = _object(arguments)
        if found is None:
            where = f"{where}.function.arguments"
            raise InvalidRequest(f"`{where}` is not a JSON object.", param=where, code="invalid_value")
        function = {**_id(tool.id), "name": tool.function.name, "args": found}
        return {"functionCall": function, **({"thoughtSignature": signature} if signature else {})}

    def _result(self, message: Message, where: str) -> Json:
        id = message.tool_call_id or ""
        name = self._names.get(id) or message.name
        if not name:
            where = f"{where}.tool_call_id"
            problem = "answers no tool call of an earlier message."
            raise InvalidRequest(f"`{where}` {problem}", param=where, code="invalid_value")
        text = message.text()
        media = [
            self._part(part, f"{where}.content[{i}]")
            for i, part in enumerate(message.parts())
            if not isinstance(part, TextPart)
        ]
        found = None if '"$ref"' in text else _object(text)  # which the vendor takes for a reference of its own
        response = {**_id(id), "name": name, "response": {"output": text} if found is None else found}
        return {"functionResponse": {**response, **({"parts": media} if media else {})}}


def _id(id: str) -> Json:
    return {"id": id} if id and not id.startswith(OWN_ID) else {}


def _object(text: str) -> Raw | None:
    """Return JSON text that is an object, as it is; None for other text."""
    encoded = text.encode("utf-8", "replace")
    try:
        _object_decoder.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return None
    return Raw(encoded)


def _media(url: str, where: str, otherwise: str) -> Json:
    """Translate a data URL, or the address of a file: its type is told by its ending, as the vendor wants to know it."""
    inline = data_url(url)
    if inline is not None:
        media, data = inline
        return {"inlineData": {"mimeType": media, "data": data.decode("ascii")}}
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"https", "http", "gs"}:
        raise _refuse("must be a data URL, or an address that begins with https:, http: or gs:.", where)
    ending = parts.path.rpartition(".")[2].lower()
    return {"fileData": {"mimeType": _MEDIA.get(ending, otherwise), "fileUri": url}}
