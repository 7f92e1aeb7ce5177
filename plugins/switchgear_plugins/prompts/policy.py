"""Replaces references to prompts by what they say, before anything else looks at the call."""

from collections.abc import Awaitable, Mapping
from inspect import isawaitable
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.conversation import Text, Turn
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.errors import InvalidRequest
from switchgear.wire.members import what_and_where
from switchgear_plugins.prompts.resources import LivePrompt
from switchgear_plugins.prompts.settings import PromptsSettings
from switchgear_plugins.prompts.shelf import Shelf
from switchgear_plugins.prompts.template import TooLong, Value

NAME = "prompts"
_ID = "prompt_id"
_MARK = b'"prompt_id"'
_MEMBERS = ("messages", "input")
_MOST_REFERENCES = 50
_MOST_NAMED = 20


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """What a message says besides its role to stand for a prompt."""

    prompt_id: str
    variables: dict[str, Value] = {}
    version: int | None = None


_reference = msgspec.json.Decoder(Reference)


class PromptsPolicy(Policy):
    """A message without content that has a `prompt_id` becomes the messages of that prompt."""

    on_error: ClassVar = "deny"
    order: ClassVar[int] = -600
    """Before all that look at what is said, and before what is said is kept."""
    mentions: ClassVar[bytes | None] = _MARK

    def __init__(self, shelf: Shelf, settings: PromptsSettings) -> None:
        self._shelf = shelf
        self._most = settings.most_characters

    def prepare(self, x: Exchange) -> Awaitable[None] | None:
        """Say what the prompts say. Raises `InvalidRequest`."""
        call = x.call
        assert call is not None
        if x.face is None or not any(_MARK in bytes(call.members.get(name, b"")) for name in _MEMBERS):
            return None
        found = [turn for turn in x.conversation.turns if _ID in turn.extra and not turn.parts]
        return self._replace(x, found) if found else None

    def explain(self, x: Exchange) -> Mapping[str, Any] | None:
        """Say which prompts a call was made of."""
        used = x.notes.get(NAME)
        return None if used is None else {"prompts": [{"id": it.id, "version": it.version} for it in used]}

    async def _replace(self, x: Exchange, turns: list[Turn]) -> None:
        if len(turns) > _MOST_REFERENCES:
            message = f"The call refers to {len(turns)} prompts, and {_MOST_REFERENCES} are the most."
            raise InvalidRequest(message, param=_ID, code="too_many_references")
        used: list[LivePrompt] = []
        room = self._most
        for turn in turns:
            reference = _read(turn.extra)
            prompt = await self._find(x, reference)
            said = _render(prompt, reference, room)
            room -= sum(len(text) for _, text in said)
            view = x.conversation
            place = next(n for n, it in enumerate(view.turns) if it is turn)
            view.remove(turn)
            for offset, (role, text) in enumerate(said):
                view.insert(place + offset, Turn(role or turn.role or "system", (Text(text),)))
            used.append(prompt)
        x.notes[NAME] = used
        x.labels["prompt"] = ",".join(it.id for it in used)
        x.labels["prompt_version"] = ",".join(str(it.version) for it in used)

    async def _find(self, x: Exchange, reference: Reference) -> LivePrompt:
        found = self._shelf.find(x, reference.prompt_id, reference.version)
        found = await found if isawaitable(found) else found
        if found is None:
            version = "" if reference.version is None else f" in version {reference.version}"
            message = f"There is no prompt `{reference.prompt_id[:64]}`{version}, or it is disabled."
            raise InvalidRequest(message, param=_ID, code="prompt_not_found")
        return found


def _read(extra: Mapping[str, Raw]) -> Reference:
    try:
        return _reference.decode(msgspec.json.encode(extra))
    except msgspec.DecodeError as error:
        detail, where = what_and_where(error)
        message = (
            f"A reference to a prompt is wrong{f' at `{where[1:]}`' if where else ''}: {detail}. It has `role`, `prompt_id`,"
            " `variables` (texts, numbers, true or false) and `version`."
        )
        raise InvalidRequest(message, param=_ID, code="invalid_reference") from None


def _render(prompt: LivePrompt, reference: Reference, room: int) -> list[tuple[str | None, str]]:
    values = reference.variables
    missing = dict.fromkeys(name for _, text in prompt.texts for name in text.missing(values))
    if missing:
        named = ", ".join(f"`{name}`" for name in list(missing)[:_MOST_NAMED])
        message = f"The prompt `{prompt.id}` needs values in `variables` for {named}."
        raise InvalidRequest(message, param="variables", code="missing_variables")
    said = []
    for role, text in prompt.texts:
        try:
            said.append((role, text.render(values, room)))
        except TooLong as error:
            message = f"The prompt `{prompt.id}` cannot be rendered: {error}."
            raise InvalidRequest(message, param="variables", code="prompt_too_long") from None
        room -= len(said[-1][1])
    return said
