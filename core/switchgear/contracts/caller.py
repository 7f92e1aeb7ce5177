"""Who calls, and how we know."""

from collections.abc import Awaitable
from typing import Annotated, Literal, Protocol, runtime_checkable

from msgspec import Meta, Struct


class Permissions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a caller may use, by kind: `["*"]` is everything, `[]` nothing, else the ids listed. `admin` opens /admin/v1."""

    models: tuple[str, ...] = ()
    knowledge_bases: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    admin: bool = False


AtLeastOne = Annotated[int, Meta(ge=1)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a caller may ask for at once and over time. None: no limit of that sort."""

    requests_per_minute: AtLeastOne | None = None
    concurrent_requests: AtLeastOne | None = None


class Caller:
    """Someone who was authenticated. Made when a key is first seen and shared by all its requests; never changed after.

    `expires_us` is wall clock microseconds, None for never. `token_id` tells the tokens of one key apart, where it has
    several; it never is or reveals a token.
    """

    __slots__ = (
        "_all_models",
        "_models",
        "_within",
        "expires_us",
        "key_id",
        "limits",
        "name",
        "permissions",
        "tags",
        "team_id",
        "token_id",
        "user_id",
    )

    def __init__(
        self,
        key_id: str,
        *,
        name: str = "",
        permissions: Permissions,
        limits: Limits | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        tags: tuple[str, ...] = (),
        expires_us: int | None = None,
        token_id: str | None = None,
    ) -> None:
        self.key_id = key_id
        self.name = name
        self.permissions = permissions
        self.limits = limits
        self.team_id = team_id
        self.user_id = user_id
        self.tags = tags
        self.expires_us = expires_us
        self.token_id = token_id
        self._all_models = "*" in permissions.models
        self._models = frozenset(permissions.models)
        self._within = tuple(name[:-1] for name in permissions.models if name.endswith("/*"))

    def may_use_model(self, name: str) -> bool:
        """Say whether the callable name is within the caller's permissions: `*`, itself, or `provider/*`."""
        return self._all_models or name in self._models or (bool(self._within) and name.startswith(self._within))


class Authenticator(Protocol):
    """Turns what came in `Authorization: Bearer`, `x-api-key` or `api-key` into a caller: one lookup whichever carrier.

    Authenticators are asked in plugin order until one answers. No I/O for a token seen before. When a key changes, its
    plugin calls `context.callers_changed`, which ends what the key may no longer do.
    """

    def authenticate(self, token: str) -> Caller | Awaitable[Caller | None] | None:
        """Return the caller, an awaitable of it if it must be looked up, None if the token is not good.

        Unknown, revoked, expired and malformed are the same None.
        """
        ...


class Standing(Struct, frozen=True):
    """A key as it is now. `refused` says why its secret is not good, None if it is."""

    caller: Caller
    refused: Literal["suspended", "revoked", "expired"] | None = None


@runtime_checkable
class KeyRegister(Protocol):
    """An authenticator that also knows its keys by id, so that operators can be told what one may do; no request asks it."""

    async def standing(self, key_id: str) -> Standing | None:
        """Return how a key stands, None if there is no such key here."""
        ...
