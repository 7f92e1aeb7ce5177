"""Messages and tools of the canonical form as Converse's content blocks.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html and the pages it leads to.
"""

import re
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import (
    AudioPart,
    CacheControl,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningDetail,
    RefusalPart,
    TextPart,
    ToolCall,
    data_url,
)

Block = dict[str, Any]

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_TOOL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_MARK = "messages.content.cache_control"
_MOST_NAME = 180
_BESIDE_A_DOCUMENT = "(see the document)"
_OWN_FORMATS = ("anthropic", "bedrock")
_object = msgspec.json.Decoder(dict[str, Raw])


def refuse(where: str, why: str, code: str = "unsupported_content") -> InvalidRequest:
    """Make the refusal of something that dropping would falsify."""
    return InvalidRequest(f"`{where}` {why}", param=where, code=code)


def tool_id(id: str) -> str:
    """Return a tool call's id as Converse takes it: one that others made and that does not fit is replaced by its hash."""
    return id if _TOOL_ID.fullmatch(id) else "call_" + sha256(id.encode()).hexdigest()[:40]


def cache_point(mark: CacheControl) -> Block:
    """Return the block that ends what may be cached."""
    return {"cachePoint": {"type": "default"} if mark.ttl is None else {"type": "default", "ttl": mark.ttl}}


class Writer:
    """Writes the blocks of one call. `caches` says whether the model knows cache points."""

    def __init__(self, call: Call, *, caches: bool) -> None:
        self._call = call
        self._caches = caches
        self._documents: set[str] = set()
        self.tools_used: dict[str, None] = {}

    def system(self, message: Message, where: str) -> list[Block]:
        """Write a system message, which is text alone."""
        blocks: list[Block] = []
        for place, part in enumerate(message.parts()):
            if not isinstance(part, TextPart):
                raise refuse(f"{where}.content[{place}]", "is not text; a system message has only text here.")
            if part.text:
                blocks.append({"text": part.text})
            self.mark(blocks, part.cache_control)
        return blocks

    def user(self, message: Message, where: str) -> list[Block]:
        """Write a user message. A document does not stand alone: some text has to be with it."""
        blocks = self._parts(message, where)
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            last = max(place for place, block in enumerate(blocks) if "cachePoint" not in block)
            blocks.insert(last + 1, {"text": _BESIDE_A_DOCUMENT})
        return blocks

    def assistant(self, message: Message, where: str) -> list[Block]:
        """Write an assistant message: what it thought, what it said, the tools it called."""
        thoughts = self._reasoning(message)
        blocks = thoughts.get(None, [])
        blocks += self._parts(message, where)
        if message.refusal:
            blocks.append({"text": message.refusal})
        for place, call in enumerate(message.tool_calls or ()):
            blocks.append(self._tool_use(call, f"{where}.tool_calls[{place}]"))
            blocks += thoughts.get(call.id, [])
        return blocks

    def tool(self, message: Message, where: str) -> list[Block]:
        """Write a tool message, which Converse has as a block of a user message."""
        if message.tool_call_id is None:
            raise refuse(f"{where}.tool_call_id", "is missing: say which call this answers.", "missing_field")
        content: list[Block] = []
        marks: list[Block] = []
        for place, part in enumerate(message.parts()):
            here = f"{where}.content[{place}]"
            if isinstance(part, AudioPart):
                raise refuse(here, "is audio; a tool's answer is text, images and documents here.")
            block = self._part(part, here)
            if block is not None:
                content.append(block)
            self.mark(marks, getattr(part, "cache_control", None))
        result = {"toolUseId": tool_id(message.tool_call_id), "content": content}
        if message.is_error:
            result["status"] = "error"
        return [{"toolResult": result}, *marks[-1:]]

    def mark(self, blocks: list[Block], mark: CacheControl | None, name: str = _MARK) -> None:
        """Add a cache point behind a block if the client marked it; where the model has none, the mark is dropped by its name."""
        if mark is None:
            return
        if self._caches:
            blocks.append(cache_point(mark))
        else:
            self._call.drop(name)

    def _parts(self, message: Message, where: str) -> list[Block]:
        blocks: list[Block] = []
        for place, part in enumerate(message.parts()):
            here = f"{where}.content[{place}]"
            block = self._part(part, here)
            if block is not None:
                blocks.append(block)
                self.mark(blocks, getattr(part, "cache_control", None))
        return blocks

    def _part(self, part: Part, where: str) -> Block | None:
        match part:
            case TextPart(text=text) | RefusalPart(refusal=text):
                # Converse refuses blank text, which says nothing anyway.
                return {"text": text} if text and not text.isspace() else None
            case ImagePart():
                return self._image(part, where)
            case FilePart():
                return self._document(part, where)
            case AudioPart(input_audio=audio):
                return {"audio": {"format": audio.format, "source": {"bytes": audio.data}}}
            case _:
                return None

    def _image(self, part: ImagePart, where: str) -> Block:
        image = part.image_url
        found = data_url(image.url)
        if found is None:
            raise refuse(where, "is an image at a web address; this model's provider takes images as data URLs only.")
        media, data = found
        if media not in _IMAGES:
            raise refuse(where, "is an image of a type that is not taken; send PNG, JPEG, GIF or WebP.")
        if image.detail not in (None, "auto"):
            self._call.drop("messages.content.image_url.detail")
        return {"image": {"format": _IMAGES[media], "source": {"bytes": data.decode()}}}

    def _document(self, part: FilePart, where: str) -> Block:
        file = part.file
        if file.file_data is None:
            raise refuse(where, "names an uploaded file; this model's provider takes `file_data` only.")
        found = data_url(file.file_data)
        if found is None:
            said = "is a document at a web address; this model's provider takes the file itself, as a data URL."
            raise refuse(where, said, "invalid_url")
        media, data = found
        if media not in _DOCUMENTS:
            raise refuse(
                where, "is a document of a type that is not taken; send PDF, text, Markdown, HTML, CSV or Office."
            )
        name = self._document_name(file.filename)
        return {"document": {"format": _DOCUMENTS[media], "name": name, "source": {"bytes": data.decode()}}}

    def _document_name(self, filename: str | None) -> str:
        """Return a name of the few characters that are allowed, told apart from the others of this call."""
        stem = (filename or "").rpartition(".")[0] or filename or ""
        name = wanted = _NOT_IN_A_NAME.sub(" ", stem).strip()[:_MOST_NAME].strip() or "document"
        number = 1
        while name in self._documents:
            number += 1
            name = f"{wanted} ({number})"
        self._documents.add(name)
        return name

    def _reasoning(self, message: Message) -> dict[str | None, list[Block]]:
        """Write what must come back as it was, by the call it came behind: signed and encrypted reasoning.

        The rest is dropped, as a model refuses it.
        """
        blocks: dict[str | None, list[Block]] = {}
        calls = {call.id for call in message.tool_calls or ()}
        unsigned = message.reasoning_content is not None
        for detail in message.reasoning_details or ():
            block = _reasoning_block(detail)
            if block is not None:
                behind = detail.id if detail.id in calls else None
                blocks.setdefault(behind, []).append({"reasoningContent": block})
                unsigned = False
            elif detail.type != "reasoning.summary":
                self._call.drop("messages.reasoning_details")
        if unsigned:
            self._call.drop("messages.reasoning_content")
        return blocks

    def _tool_use(self, call: ToolCall, where: str) -> Block:
        arguments = call.function.arguments.strip()
        try:
            values = _object.decode(arguments) if arguments else {}
        except (msgspec.DecodeError, RecursionError):
            raise refuse(f"{where}.function.arguments", "is not a JSON object.", "invalid_value") from None
        self.tools_used[call.function.name] = None
        return {"toolUse": {"toolUseId": tool_id(call.id), "name": call.function.name, "input": values}}


def is_own(detail: ReasoningDetail) -> bool:
    """Say whether a model here can have made this reasoning, and takes it back."""
    return _reasoning_block(detail) is not None


def _reasoning_block(detail: ReasoningDetail) -> Block | None:
    if detail.format is not None and not detail.format.startswith(_OWN_FORMATS):
        return None
    if detail.type == "reasoning.text" and detail.signature:
        return {"reasoningText": {"text": detail.text or "", "signature": detail.signature}}
    if detail.type == "reasoning.encrypted" and detail.data:
        return {"redactedContent": detail.data}
    return None
