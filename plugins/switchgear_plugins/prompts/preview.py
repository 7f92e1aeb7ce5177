"""What a prompt says with some values, for people: what is missing is named, and stays as it was written."""

from collections.abc import Mapping

from msgspec import Struct

from switchgear.contracts.resource import Problem
from switchgear.errors import ValidationFailed
from switchgear_plugins.prompts.resources import LivePrompt, Message, Prompt, live, problems
from switchgear_plugins.prompts.template import TooLong, Value, Variable, names

_NONE: Mapping[str, Value] = {}


class Render(Struct, frozen=True, forbid_unknown_fields=True):
    """Values for a prompt that is stored. `version` is that of an older one."""

    variables: dict[str, Value] = {}
    version: int | None = None


class RenderText(Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt that is not stored, and values for it."""

    content: str | None = None
    messages: tuple[Message, ...] = ()
    variables: dict[str, Value] = {}


class RenderedMessage(Struct, frozen=True):
    """A message; `role` null means that of the message that refers to the prompt."""

    role: str | None
    content: str


class Rendered(Struct, frozen=True):
    """What a prompt says.

    version    of the prompt, null for one that is not stored
    variables  that it has, with their defaults
    missing    those that have neither a value nor a default: a call without them is refused
    unused     values for which there is no variable
    """

    version: int | None
    messages: list[RenderedMessage]
    variables: list[Variable]
    missing: list[str]
    unused: list[str]


def unstored(content: str | None, messages: tuple[Message, ...]) -> LivePrompt:
    """Make a prompt of texts that are not stored. Raises `ValidationFailed`."""
    spec = Prompt(content=content, messages=messages)
    refuse(problems(spec))
    return live("", 0, spec)


def preview(prompt: LivePrompt, values: Mapping[str, Value], most: int) -> Rendered:
    """Render a prompt. Raises `ValidationFailed` where it gets too long."""
    said = []
    room = most
    for role, text in prompt.texts:
        try:
            said.append(RenderedMessage(role, text.render(values, room)))
        except TooLong as error:
            refuse([Problem("/variables", str(error))])
        room -= len(said[-1].content)
    texts = [text for _, text in prompt.texts]
    variables = {variable.name: variable for text in texts for variable in text.variables}
    missing = list(dict.fromkeys(name for text in texts for name in text.missing(values)))
    unused = [name for name in values if name not in names(texts)]
    return Rendered(prompt.version or None, said, list(variables.values()), missing, unused)


def refuse(found: list[Problem]) -> None:
    """Raise `ValidationFailed` for problems, if there are any."""
    if found:
        message = "; ".join(f"{problem.pointer or '/'}: {problem.detail}" for problem in found)
        raise ValidationFailed(message, [(problem.pointer, problem.detail) for problem in found])
