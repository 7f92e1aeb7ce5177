"""Keeps answers for a while, and gives them to whoever asks the same again: streamed or not, in every dialect, for nothing."""

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from switchgear import Offer, Plugin
from switchgear.ambient import Ambient
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Answer

NAME = "answer_cache"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.answer_cache]: bytes of answers that are kept."""

    most_bytes: int = 64 * 1024 * 1024


class Attached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `settings` of an attachment: for how many seconds answers are given again, and whether to everybody.

    Unless they are `shared`, somebody only gets answers that they were given before.
    """

    ttl_s: float = 300.0
    shared: bool = False


class AnswerCache(Policy):
    """The policy. It runs where it is attached; where it breaks, the model is asked."""

    on_error = "allow"
    attachable = True

    def __init__(self, settings: Settings, ambient: Ambient) -> None:
        self._most = settings.most_bytes
        self._ambient = ambient
        self._kept: OrderedDict[bytes, tuple[float, int, Answer]] = OrderedDict()
        self._size = 0

    def admit(self, x: Exchange) -> Answer | None:
        if x.principal is None:
            return None
        settings: Attached = x.attached[NAME]
        key = _key(x, shared=settings.shared)
        now_s = self._ambient.monotonic()
        kept_s, _, answer = self._kept.get(key, (0.0, 0, None))
        if answer is None or now_s - kept_s >= settings.ttl_s:
            x.cache = "miss"
            x.notes[NAME] = key
            return None
        x.cache = "hit"
        self._kept.move_to_end(key)
        return answer

    def answered(self, x: Exchange, answer: Answer | None) -> None:
        key = x.notes.get(NAME)
        if answer is None or key is None:
            return
        size = len(answer.body) + sum(len(event.data) for event in answer.events)
        self._forget(key)
        self._kept[key] = (self._ambient.monotonic(), size, answer)
        self._size += size
        while self._size > self._most:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        _, size, _ = self._kept.pop(key, (0.0, 0, None))
        self._size -= size


def _key(x: Exchange, *, shared: bool) -> bytes:
    """Name what is asked: the whole body, in whose wire format it is, and by whom unless answers are shared."""
    call = x.call
    assert call is not None
    assert x.principal is not None
    asked: list[Any] = ["" if shared else x.principal.id, x.dialect, call.origin, call.operation, call.model]
    asked += sorted((name, bytes(value).decode()) for name, value in call.members.items())
    return hashlib.sha256(msgspec.json.encode(asked)).digest()


class AnswerCachePlugin(Plugin[Settings]):
    """Offers the policy, which the resources of the kind `policy-attachments` attach."""

    api = 1
    settings_type = Settings

    def switchgear_policies(self) -> list[Offer]:
        return [Offer(NAME, lambda: AnswerCache(self.settings, self.context.ambient), Attached)]
