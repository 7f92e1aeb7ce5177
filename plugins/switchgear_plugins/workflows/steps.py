"""The steps of workflows that are no requests to an API: a chat, what runs beside each other, what is done for each of a list."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Annotated, Any

import jsonschema_rs
import msgspec
from msgspec import Meta, Struct

from switchgear import NoSettings
from switchgear.contracts.content import StepRun
from switchgear.errors import UpstreamFailed
from switchgear_plugins.workflows.references import written
from switchgear_plugins.workflows.run import at_once
from switchgear_plugins.workflows.schemas import validator
from switchgear_plugins.workflows.spec import Name, Step

Variable = str | int | float | bool


class ChatSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in a step `chat_completion`. With a `response_schema` the answer is JSON that is valid under it."""

    model_id: Annotated[str, Meta(min_length=1, max_length=300)]
    prompt_id: str | None = None
    prompt_version: Annotated[int, Meta(ge=1)] | None = None
    response_schema: dict[str, Any] | None = None


class ChatInputs(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said: the system's text, the prompt with `variables`, `messages` as they are, then the user's."""

    user_message: str | None = None
    system_message: str | None = None
    messages: list[dict[str, Any]] = []
    variables: dict[str, Variable] = {}
    temperature: float | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


_TEXTS = ("user_message", "system_message")


class _Message(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    model: str | None = None


_completion = msgspec.json.Decoder(_Completion)


def said_in(body: bytes) -> tuple[str, str | None, str | None]:
    """Return the text of a completion, why it ended and which model made it. Raises `UpstreamFailed`."""
    try:
        found = _completion.decode(body)
    except msgspec.DecodeError as error:
        raise UpstreamFailed("The answer of the model is no completion.", code="invalid_answer") from error
    return found.choices[0].message.content or "", found.choices[0].finish_reason, found.model


class ChatStep:
    """`chat_completion`. Its output has `content`, `finish_reason`, `model` and, with a schema, `json`."""

    inputs_type = ChatInputs

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        self._schema = None if settings.response_schema is None else validator(settings.response_schema)

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:
        """Ask the model."""
        texts = {name: written(inputs[name]) for name in _TEXTS if inputs.get(name) is not None}
        asked = msgspec.convert({**inputs, **texts}, ChatInputs, strict=False)
        answer = await at.call("chat", self._body(asked), model=self._settings.model_id)
        content, reason, model = said_in(answer.body)
        output: dict[str, Any] = {"content": content, "finish_reason": reason, "model": model}
        if self._schema is not None:
            output["json"] = _fitting(content, self._schema)
        yield {"output": output}

    def _body(self, asked: ChatInputs) -> dict[str, Any]:
        settings = self._settings
        messages: list[dict[str, Any]] = []
        if asked.system_message:
            messages.append({"role": "system", "content": asked.system_message})
        if settings.prompt_id is not None:
            alone = asked.user_message is None and not asked.messages
            prompt: dict[str, Any] = {"prompt_id": settings.prompt_id, "variables": asked.variables}
            if settings.prompt_version is not None:
                prompt["version"] = settings.prompt_version
            messages.append({"role": "user" if alone else "system", **prompt})
        messages += asked.messages
        if asked.user_message is not None:
            messages.append({"role": "user", "content": asked.user_message})
        body: dict[str, Any] = {"messages": messages}
        if asked.temperature is not None:
            body["temperature"] = asked.temperature
        if asked.max_tokens is not None:
            body["max_tokens"] = asked.max_tokens
        if settings.response_schema is not None:
            schema = {"name": "answer", "schema": settings.response_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _fitting(content: str, schema: jsonschema_rs.Validator) -> Any:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise UpstreamFailed("The model answered no JSON.", code="no_json") from error
    if (wrong := next(schema.iter_errors(found), None)) is not None:
        where = "/".join(map(str, wrong.instance_path))
        raise UpstreamFailed(f"The model's answer does not fit the schema at `/{where}`.", code="schema_mismatch")
    return found


class ParallelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Branches by name, each of steps."""

    branches: Annotated[
        dict[Name, Annotated[tuple[Step, ...], Meta(min_length=1, max_length=50)]], Meta(min_length=1, max_length=20)
    ]


class ParallelStep:
    """`parallel`: branches at the same time. Its output is that of each branch, by name."""

    inputs_type = NoSettings

    def __init__(self, settings: ParallelSettings) -> None:
        self._settings = settings

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:  # noqa: ARG002
        """Run the branches."""
        branches = self._settings.branches
        found = await at_once([partial(at.steps, steps) for steps in branches.values()], len(branches))
        yield {"output": dict(zip(branches, found, strict=True))}


class MapSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps that are taken for each item, so many items at a time; more than `most` items fail the step."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=50)]
    concurrency: Annotated[int, Meta(ge=1, le=50)] = 4
    most: Annotated[int, Meta(ge=1, le=1000)] = 100


class MapInputs(Struct, frozen=True, forbid_unknown_fields=True):
    """What is gone through."""

    items: list[Any]


class MapStep:
    """`map`: steps for each item of a list, which see it as `${item}`. Its output has their outputs, in order."""

    inputs_type = MapInputs

    def __init__(self, settings: MapSettings) -> None:
        self._settings = settings

    async def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:
        """Go through the list."""
        asked, settings = msgspec.convert(dict(inputs), MapInputs), self._settings
        if len(asked.items) > settings.most:
            raise ValueError(f"`items` has {len(asked.items)} items, and {settings.most} are the most")
        work = [partial(at.steps, settings.steps, item=item, index=place) for place, item in enumerate(asked.items)]
        yield {"output": await at_once(work, settings.concurrency)}
