"""The resource kind `prompts`: texts with variables, which calls refer to by id."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Resource, ResourceKind, View
from switchgear_plugins.prompts.template import Template, parse

KIND = "prompts"
RESERVED = frozenset({"library", "render"})
"""Ids that paths of the admin API have otherwise."""
_ID = re.compile(r"[A-Za-z0-9-]{1,50}")
_Text = Annotated[str, Meta(max_length=200_000)]
_Short = Annotated[str, Meta(max_length=200)]


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a prompt."""

    role: Literal["system", "developer", "user", "assistant"]
    content: _Text


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt: one text (`content`), said in the role of the message that refers to it, or `messages` of several roles.

    Variables are `${var:name}` and `${var:name:default}`. One of a team (`team_id`) is there for principals of that team alone.
    """

    name: _Short = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    content: _Text | None = None
    messages: Annotated[tuple[Message, ...], Meta(max_length=100)] = ()
    tags: Annotated[tuple[_Short, ...], Meta(max_length=32)] = ()
    enabled: bool = True
    team_id: _Short | None = None


class LivePrompt(Struct, frozen=True, eq=False):
    """A prompt that can be rendered: its messages in order, each with its role; None: that of the message that refers to it."""

    id: str
    version: int
    spec: Prompt
    texts: tuple[tuple[str | None, Template], ...]


def prompts() -> ResourceKind[Prompt, LivePrompt]:
    """Declare the kind."""
    return ResourceKind(
        name=KIND, title="prompt", spec=Prompt, validate=_problems, compile=_compile, scope=("team_id",)
    )


def live(id: str, version: int, spec: Prompt) -> LivePrompt:
    """Take a prompt apart. Raises ValueError for texts with variables that are none."""
    if spec.content is not None:
        return LivePrompt(id, version, spec, ((None, parse(spec.content)),))
    return LivePrompt(id, version, spec, tuple((message.role, parse(message.content)) for message in spec.messages))


def problems(spec: Prompt) -> list[Problem]:
    """Say what is wrong with the texts of a prompt."""
    if (spec.content is None) == (not spec.messages):
        return [Problem("/content", "a prompt has either `content` or `messages`")]
    texts = {} if spec.content is None else {"/content": spec.content}
    texts |= {f"/messages/{place}/content": message.content for place, message in enumerate(spec.messages)}
    found = []
    for pointer, text in texts.items():
        if not text.strip():
            found.append(Problem(pointer, "says nothing"))
        try:
            parse(text)
        except ValueError as error:
            found.append(Problem(pointer, str(error)))
    return found


def _problems(spec: Prompt, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    return problems(spec)


def _compile(resource: Resource[Prompt], view: View) -> LivePrompt:  # noqa: ARG001 - the shape of ResourceKind.compile
    if not _ID.fullmatch(resource.id) or resource.id in RESERVED:
        reserved = " and ".join(f"`{id}`" for id in sorted(RESERVED))
        raise ValueError(f"the id of a prompt is up to 50 letters, digits and hyphens; {reserved} are paths of the API")
    return live(resource.id, resource.version, resource.spec)
