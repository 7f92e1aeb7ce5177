"""Gemini's answers as canonical ones.

Wire: see `wire`; finish reasons: ai.google.dev/api/generate-content#FinishReason.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.ambient import Ambient
from switchgear.contracts.provider import Answer, Head, ProviderFault
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.chunks import completion
from switchgear.wire.web_search import citation
from switchgear_plugins.vertex.contents import FORMAT, OWN_ID
from switchgear_plugins.vertex.faults import read_fault
from switchgear_plugins.vertex.wire import (
    Blob,
    Candidate,
    FunctionCall,
    Grounding,
    Logprobs,
    Part,
    PromptFeedback,
    read_response,
)

_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_BROKEN = {
    "MALFORMED_FUNCTION_CALL": "server",
    "MALFORMED_RESPONSE": "server",
    "UNEXPECTED_TOOL_CALL": "server",
    "TOO_MANY_TOOL_CALLS": "server",
    "MISSING_THOUGHT_SIGNATURE": "invalid_request",
}
"""What ended without an answer one could use: the model wrote a call nobody can read."""


class CallIds:
    """Gives the function calls of one answer ids: the model's own where it has some, unique whatever it says.

    At most 40 characters, which is what others accept when the conversation goes on there.
    """

    __slots__ = ("_ambient", "_made", "_seen", "_stem")

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient
        self._stem = ""
        self._made = 0
        self._seen: set[str] = set()

    def id(self, call: FunctionCall) -> str:
        """Return the id of the next call."""
        id = call.id
        if not id or id in self._seen:
            self._stem = self._stem or self._ambient.new_id()[-20:]
            id = f"{OWN_ID}{self._stem}_{self._made}"
            self._made += 1
        self._seen.add(id)
        return id


def arguments(call: FunctionCall) -> str:
    """Return a call's arguments as JSON text; the vendor indents whole answers."""
    args = bytes(call.args)
    return "{}" if args in {b"", b"null"} else msgspec.json.format(args, indent=-1).decode()


def call_detail(signature: str, id: str | None) -> ReasoningDetail:
    """Keep the signature of a call, or of text (`id` None)."""
    return ReasoningDetail(type="reasoning.encrypted", data=signature, id=id, format=FORMAT)


def thought_detail(text: str | None, signature: str) -> ReasoningDetail:
    """Keep a signed thought."""
    return ReasoningDetail(type="reasoning.text", text=text or "", signature=signature, format=FORMAT)


_UNEXPECTED = "UNEXPECTED_TOOL_CALL"


def finish(candidate: Candidate, *, called: bool, said: bool) -> str | ProviderFault:
    """Return the canonical finish reason of a candidate that has one, or what is wrong with it.

    A reason nobody knows is an end like another if anything was said, and a failure if nothing was.
    """
    reason = candidate.finish_reason or ""
    if reason == _UNEXPECTED and called:
        return "tool_calls"  # the call is there: what the client makes of it is its own
    if reason in _BROKEN:
        return ProviderFault(_BROKEN[reason], 200, message=candidate.finish_message or "", code=reason)
    found = _FINISH.get(reason)
    if found is None and not (said or called):
        return ProviderFault("server", 200, message=candidate.finish_message or "", code=reason or None)
    if found in {None, "stop"}:
        return "tool_calls" if called else "stop"
    return str(found)


def blocked(feedback: PromptFeedback | None) -> ProviderFault | None:
    """Return the failure of a prompt that was blocked: there is no answer to it, not even a refusal."""
    if feedback is None or not feedback.block_reason:
        return None
    return ProviderFault("content_filter", 200, message=feedback.block_reason_message or "", code=feedback.block_reason)


def logprobs(found: Logprobs) -> dict[str, Any]:
    """Write log probabilities as the canonical form has them."""
    content: list[dict[str, Any]] = []
    for place, token in enumerate(found.chosen_candidates):
        top = found.top_candidates[place].candidates if place < len(found.top_candidates) else []
        tops = [_token(other.token, other.log_probability) for other in top]
        content.append({**_token(token.token, token.log_probability), "top_logprobs": tops})
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def decode_chat(head: Head, body: bytes, ambient: Ambient, aliases: Mapping[str, str]) -> Answer:
    """Read the answer of generateContent. Raises `ProviderFault`."""
    found = read_response(body)
    if found is None:
        raise ProviderFault("protocol", head.status)
    if found.error:
        raise read_fault(head, body)
    if not found.candidates:
        raise blocked(found.prompt_feedback) or ProviderFault("protocol", head.status)
    ids = CallIds(ambient)
    choices = [
        _choice(candidate, ids, aliases)
        for candidate in sorted(found.candidates, key=lambda candidate: candidate.index)
    ]
    for place, choice in enumerate(choices):
        choice["index"] = place
    first, *others = choices
    return completion(
        id=f"chatcmpl-{found.response_id or ambient.new_id()}",
        created=ambient.now_us() // 1_000_000,
        model=found.model_version or "",
        message=first["message"],
        finish_reason=first["finish_reason"],
        usage=found.usage(),
        others=others,
        logprobs=first["logprobs"],
    )


def image(blob: Blob, place: int) -> dict[str, Any]:
    """Write what a model made in the shape that OpenRouter's API made common (`images` of a message)."""
    url = f"data:{blob.mime_type};base64,{blob.data}"
    return {"type": "image_url", "image_url": {"url": url}, "index": place}


def cited(grounding: Grounding, length: int) -> list[dict[str, Any]]:
    """Write the pages that a text of a `length` rests on as a chat's citations of the whole."""
    return [citation(page.uri, page.title, 0, length) for page in grounding.pages()]


class _Said:
    """What the parts of one candidate say, gathered."""

    def __init__(self, parts: list[Part], ids: CallIds, aliases: Mapping[str, str]) -> None:
        self.text = ""
        self.thoughts = ""
        self.images: list[dict[str, Any]] = []
        self.details: list[ReasoningDetail] = []
        self.calls: list[dict[str, Any]] = []
        for part in parts:
            signature = part.thought_signature
            if part.function_call is not None:
                id = ids.id(part.function_call)
                name = part.function_call.called()
                function = {"name": aliases.get(name, name), "arguments": arguments(part.function_call)}
                self.calls.append({"id": id, "type": "function", "function": function})
                detail = call_detail(signature, id) if signature else None
            elif part.inline_data is not None:
                self.images.append(image(part.inline_data, len(self.images)))
                detail = call_detail(signature, None) if signature else None
            elif part.thought:
                self.thoughts += part.text or ""
                detail = thought_detail(part.text, signature) if signature else None
            else:
                self.text += part.text or ""
                detail = call_detail(signature, None) if signature else None
            if detail is not None:
                self.details.append(detail)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or (None if self.calls else "")}
        message["refusal"] = None
        if self.thoughts:
            message["reasoning_content"] = self.thoughts
        if self.images:
            message["images"] = self.images
        if self.details:
            message["reasoning_details"] = self.details
        if self.calls:
            message["tool_calls"] = self.calls
        return message


def _choice(candidate: Candidate, ids: CallIds, aliases: Mapping[str, str]) -> dict[str, Any]:
    said = _Said(candidate.content.said() if candidate.content is not None else [], ids, aliases)
    reason = finish(candidate, called=bool(said.calls), said=bool(said.text or said.images))
    if isinstance(reason, ProviderFault):
        raise reason
    found = candidate.logprobs_result
    message = said.message()
    if candidate.grounding_metadata is not None and (notes := cited(candidate.grounding_metadata, len(said.text))):
        message["annotations"] = notes
    return {
        "index": candidate.index,
        "message": message,
        "logprobs": logprobs(found) if found is not None else None,
        "finish_reason": reason,
    }
