"""The kernel's own kinds, come alive."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from switchgear.contracts.exchange import Exchange, Plan, Step, Target
from switchgear.contracts.provider import NativeProvider, Provider
from switchgear.contracts.upstream import Connection, Timeouts
from switchgear.credentials import KeptSecret
from switchgear.plugin_faults import UNKNOWN, Owner

_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,199}", re.ASCII)
_MOST_NAMES = 1000
"""How many of a provider's models clients may have named directly before the oldest is made anew."""


class LiveCredential(Struct, frozen=True, eq=False):
    """A credential: its secret, the provider type it is for, where it may be sent, and whose it is (`api`, `file:NAME`)."""

    type: str
    handle: KeptSecret
    hosts: tuple[str, ...]
    owner: str = "api"


class LiveProvider:
    """A provider. `secret` is what requests are prepared with, `credential` what that was got for, if it is a token; `mapped` are
    its models under the names clients have for them, and `weight` is its part of those that other providers map too.
    """

    def __init__(
        self,
        *,
        type: str,
        owner: Owner = UNKNOWN,
        enabled: bool,
        timeouts: Timeouts,
        provider: Provider | None,
        native: NativeProvider | None,
        connection: Connection | None,
        secret: KeptSecret | None,
        credential: KeptSecret | None,
        secret_headers: tuple[str, ...],
        model: Callable[["LiveProvider", str], "LiveModel"],
        weight: float = 1.0,
        mapping: Mapping[str, str] = MappingProxyType({}),
        concurrency: Mapping[str, int] = MappingProxyType({}),
        takes_own: bool = False,
        host: str | None = None,
    ) -> None:
        self.type = type
        self.host = host
        self.owner = owner
        self.enabled = enabled
        self.timeouts = timeouts
        self.provider = provider
        self.native = native
        self.connection = connection
        self.concurrency = concurrency
        self.secret = secret
        self.credential = credential
        self.secret_headers = secret_headers
        self.takes_own = takes_own
        self.weight = weight
        self.mapped = {name: model(self, own) for name, own in mapping.items()}
        self._model = model
        self._named: dict[str, LiveModel] = {}

    @property
    def translator(self) -> Provider | NativeProvider:
        """What translates for it."""
        made = self.provider or self.native
        assert made is not None
        return made

    def callable(self, name: str) -> "LiveModel | None":
        """Return the model a client means by `provider/name`, whatever the provider has under that name."""
        found = self._named.get(name)
        if found is None and _UPSTREAM_NAME.fullmatch(name):
            if len(self._named) >= _MOST_NAMES:
                del self._named[next(iter(self._named))]
            try:
                found = self._named[name] = self._model(self, name)
            except ValueError:
                return None  # no name that this type of provider could have
        return found


class LiveModel:
    """A model as a callable name: a plan of one target, made once."""

    __slots__ = ("_plan", "created_us", "enabled", "owned_by", "target")

    def __init__(self, target: Target, *, enabled: bool, created_us: int) -> None:
        self.target = target
        self.enabled = enabled
        self.created_us = created_us
        self.owned_by = target.provider_id
        self._plan = Plan((Step(target),), (f"model {target.model.id} is at provider {target.provider_id}",))

    def plan(self, x: Exchange) -> Plan:  # noqa: ARG002 - a model is always itself
        """Return its one target."""
        return self._plan
