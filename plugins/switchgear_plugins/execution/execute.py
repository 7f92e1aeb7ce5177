"""One call that an operator makes to try a model: by the gateway's own way, so with routing, policies, a price and a record."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from switchgear import Context
from switchgear.contracts.inside import InsideStream
from switchgear.contracts.principal import USE, Grant, Principal
from switchgear.errors import ApiError, UpstreamFailed, ValidationFailed
from switchgear.wire.chunks import usage_members
from switchgear.wire.members import BROKEN
from switchgear.wire.sse import encode_event

_LABELS = {"origin": "execute"}
_OURS = ("model", "messages", "stream", "stream_options")


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What to say to the model: `content` (what a user says) or `messages`, a prompt by its id, or a prompt in front of either.

    prompt_id, variables, version  a prompt that the gateway keeps; it is what the system says if something else is said too
    system                         what the system says before all else
    parameters                     further members of the call, as those of a chat completion
    stream                         whether the answer is told as it comes, in a chat's shape
    """

    content: str | None = None
    messages: list[dict[str, Any]] | None = None
    prompt_id: str | None = None
    variables: dict[str, str | int | float | bool] = {}
    version: Annotated[int, Meta(ge=1)] | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    parameters: dict[str, Any] = {}
    stream: bool = False


class Executed(Struct, frozen=True):
    """The answer, and what it took. `usage` are tokens; a cost of null is unknown."""

    request_id: str
    model: str | None
    message: dict[str, Any]
    text: str | None
    finish_reason: str | None
    usage: dict[str, int] | None
    cost_microusd: int | None
    duration_ms: int


class Executor:
    """Makes the calls."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, name: str, question: Question, by: Principal) -> Executed:
        """Ask, and return the whole answer. Raises `ApiError`."""
        ambient = self._context.ambient
        began_s = ambient.monotonic()
        body = self._body(question)
        answer = await self._context.call("chat", body, principal=_caller(by, name), model=name, labels=_LABELS)
        took_ms = round((ambient.monotonic() - began_s) * 1000)
        try:
            found = msgspec.json.decode(answer.body)
            choice = found["choices"][0]
            message = dict(choice["message"])
        except (*BROKEN, LookupError, TypeError, ValueError):
            raise UpstreamFailed("What was answered is no chat completion.", code="protocol") from None
        usage = answer.usage
        text = message.get("content")
        return Executed(
            answer.id,
            found.get("model"),
            message,
            text if isinstance(text, str) else None,
            choice.get("finish_reason"),
            None if usage is None else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
            answer.cost_microusd,
            took_ms,
        )

    async def stream(self, name: str, question: Question, by: Principal) -> AsyncIterator[bytes]:
        """Ask, and return the pieces of the answer once it begins. Raises `ApiError`."""
        body = {**self._body(question), "stream_options": {"include_usage": True}}
        events = await self._context.call(
            "chat", body, principal=_caller(by, name), model=name, labels=_LABELS, stream=True
        )
        return _pieces(events)

    def _body(self, question: Question) -> dict[str, Any]:
        problems = [
            (f"/parameters/{name}", "is said beside `parameters`") for name in _OURS if name in question.parameters
        ]
        if question.content is not None and question.messages is not None:
            problems.append(("/messages", "say `content` or `messages`, not both"))
        if not question.content and not question.messages and question.prompt_id is None:
            problems.append(("/content", "say something: `content`, `messages` or `prompt_id`"))
        if question.prompt_id is None and (question.variables or question.version is not None):
            problems.append(("/prompt_id", "name the prompt that `variables` and `version` are for"))
        elif question.prompt_id is not None and not self._has_prompt(question.prompt_id):
            problems.append(("/prompt_id", "there is no such prompt, or the plugin `prompts` is not enabled"))
        if problems:
            raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in problems), problems)
        said = [{"role": "user", "content": question.content}] if question.content else list(question.messages or ())
        if question.prompt_id is not None:
            reference: dict[str, Any] = {"role": "system" if said else "user", "prompt_id": question.prompt_id}
            if question.variables:
                reference["variables"] = question.variables
            if question.version is not None:
                reference["version"] = question.version
            said.insert(0, reference)
        if question.system:
            said.insert(0, {"role": "system", "content": question.system})
        own = {"temperature": question.temperature, "max_tokens": question.max_tokens}
        return {
            **question.parameters,
            **{name: value for name, value in own.items() if value is not None},
            "messages": said,
        }

    def _has_prompt(self, id: str) -> bool:
        return self._context.resources.snapshot.live("prompts", id) is not None


def _caller(by: Principal, name: str) -> Principal:
    """Return who asks: the operator, who may use this model since they may try it."""
    return by.allowed(Grant(USE, "models", (name,)))


async def _pieces(events: InsideStream) -> AsyncIterator[bytes]:
    """Frame an answer as a chat's stream; its last chunk tells usage and cost."""
    frame: dict[str, Any] = {}
    try:
        async with events:
            async for event in events:
                if not event.data:
                    continue
                chunk = msgspec.json.decode(event.data)
                frame = frame or {name: chunk.get(name) for name in ("id", "object", "created", "model")}
                if chunk.get("choices"):
                    yield encode_event(event.data)
    except ApiError as error:
        told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        yield encode_event(msgspec.json.encode({"error": told}))
        return
    usage = None if events.usage is None else usage_members(events.usage)
    last = {**frame, "choices": [], "usage": usage, "request_id": events.id, "cost_microusd": events.cost_microusd}
    yield encode_event(msgspec.json.encode(last))
    yield b"data: [DONE]\n\n"
