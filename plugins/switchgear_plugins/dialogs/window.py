"""How much a model can be told, in tokens: by what its resource says, and by what its provider said of requests before."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear import Context
from switchgear.contracts.exchange import Exchange, Target
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, Call
from switchgear.errors import ApiError
from switchgear.wire.members import raw
from switchgear_plugins.dialogs.settings import DialogsSettings

_BOUNDS = ("max_completion_tokens", "max_tokens")
_MOST_KEPT = 256
_MESSAGE_TOKENS = 4
"""What a message costs besides its text, roughly."""


class Window(Struct, frozen=True):
    """What is known of whoever answers to a name: all that may, and the shortest of their context windows."""

    targets: tuple[Target, ...]
    tokens: int

    def count(self, members: Mapping[str, Raw]) -> int:
        """Estimate the tokens of members of a call, for whoever counts most."""
        estimators = {id(it.estimator): it.estimator for it in self.targets}
        found = (it.input(members) for it in estimators.values())
        return max(found, default=sum(len(bytes(it)) for it in members.values()) // 4)

    def count_message(self, message: Mapping[str, Any]) -> int:
        """Estimate the tokens of one message."""
        return self.count({"messages": raw(message)}) + _MESSAGE_TOKENS

    def budget(self, parameters: Mapping[str, Any], settings: DialogsSettings, most: int | None) -> int:
        """Return what is left for messages beside the answer, tools, and what is said before all else; at least an eighth."""
        tokens = self.tokens if most is None else min(self.tokens, most)
        left = tokens - self._answer(parameters, settings, tokens)
        others = {name: raw(parameters[name]) for name in ("tools", "functions") if name in parameters}
        if "functions" in others:
            others["tools"] = others.pop("functions")
        left -= self.count(others) if others else 0
        preambles = [it.preamble for it in self.targets if it.preamble is not None]
        left -= max((self.count({"system": raw(it)}) for it in preambles), default=0)
        return max(left, tokens // 8)

    def _answer(self, parameters: Mapping[str, Any], settings: DialogsSettings, tokens: int) -> int:
        for name in _BOUNDS:
            if isinstance(bound := parameters.get(name), int) and 0 < bound < tokens:
                return bound
        rooms = [_room(it, settings.answer_tokens) for it in self.targets]
        return min(max(rooms, default=settings.answer_tokens), tokens // 2)


class Windows:
    """Looks windows up, once for each name and configuration: to plan is to draw, where a pool takes turns."""

    def __init__(self, context: Context, settings: DialogsSettings) -> None:
        self._context = context
        self._settings = settings
        self._found: dict[tuple[int, str], Window] = {}

    def of(self, name: str, principal: Principal, dialect: str) -> Window:
        """Return the window of whoever answers to a name; that of the settings where nobody does."""
        snapshot = self._context.resources.snapshot
        key = (snapshot.revision, name)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            found = self._found[key] = self._look(snapshot, name, principal, dialect)
        return found

    def _look(self, snapshot: Any, name: str, principal: Principal, dialect: str) -> Window:
        ambient = self._context.ambient
        x = Exchange(ambient.new_id(), dialect, snapshot, began=ambient.monotonic(), started_us=ambient.now_us())
        x.principal = principal
        members = {"messages": raw([{"role": "user", "content": ""}])}
        x.call = Call("chat", CANONICAL, members, model=snapshot.without_prefix(name))
        live = snapshot.callable(x.call.model)
        try:
            targets = () if live is None else live.plan(x).targets
        except ApiError:  # whoever calls it will be told
            targets = ()
        usual = self._settings.context_tokens
        return Window(targets, min((it.model.context_window or usual for it in targets), default=usual))


def _room(target: Target, usual: int) -> int:
    default = target.model.defaults.get("max_tokens")
    if default is not None:
        return msgspec.json.decode(default, type=int)
    longest = target.model.max_output_tokens
    return usual if longest is None else min(longest, usual)
