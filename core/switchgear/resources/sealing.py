"""Secret fields: sealed in the store, masked wherever they are shown, kept when a client sends back what it was shown.

In a stored spec a secret is the object `{"$sealed": opaque, "hint": last four}`, so that whoever reads a document knows a
secret when it sees one, even when the plugin that declared it is gone.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from switchgear import json_paths as paths
from switchgear.contracts.credential import MASK, CredentialBackend, Sealer
from switchgear.contracts.resource import Problem, ResourceKind
from switchgear.errors import PluginError, SecretUnavailable
from switchgear.fitting import fitted
from switchgear.phrasing import listed
from switchgear.resources.body import SEALED

HINT_FROM = 12
"""A secret of at least so many characters shows its last four."""

NO_SEALER = "a secret can only be stored where a credential backend that can seal is enabled in plugins.toml"


class Opened(Struct):
    """A spec with its secrets in clear, and the places of those that would not open, with why."""

    spec: Any
    problems: list[Problem]


def secret_paths(kind: ResourceKind[Any, Any], body: dict[str, Any]) -> tuple[str, ...]:
    """Return the dotted paths of a body's secrets."""
    return tuple(kind.secrets(body)) if callable(kind.secrets) else kind.secrets


def is_sealed(value: Any) -> bool:
    """Say whether this is a sealed secret of a stored spec."""
    return isinstance(value, dict) and SEALED in value


def masked(value: Any) -> Any:
    """Return a copy of a stored spec that may be shown."""
    return _map_sealed(value, (), lambda marker, _: mask(marker))


def opaque(value: Any) -> Any:
    """Return a copy of a stored spec with the sealed text in each secret's place."""
    return _map_sealed(value, (), lambda marker, _: marker[SEALED])


def sealed_spots(spec: Any) -> list[tuple[paths.Spot, dict[str, str]]]:
    """Return where a stored spec has sealed secrets, and what is there."""
    found: list[tuple[paths.Spot, dict[str, str]]] = []
    _map_sealed(spec, (), lambda marker, spot: found.append((spot, marker)))
    return found


def mask(marker: dict[str, str]) -> str:
    """Return what is shown for a secret."""
    return MASK + marker.get("hint", "")


def _map_sealed(value: Any, spot: paths.Spot, change: Any) -> Any:
    if is_sealed(value):
        return change(value, spot)
    if isinstance(value, dict):
        return {name: _map_sealed(item, (*spot, name), change) for name, item in value.items()}
    if isinstance(value, list):
        return [_map_sealed(item, (*spot, index), change) for index, item in enumerate(value)]
    return value


class Vault:
    """Seals and opens the secret fields of specs, with whichever sealer is active; None: there is none."""

    def __init__(self, sealer: Sealer | None) -> None:
        self.sealer = sealer

    def open(self, kind: str, id: str, spec: Any) -> Opened:
        """Return a copy with the secrets in clear."""
        problems: list[Problem] = []

        def unseal(marker: dict[str, str], spot: paths.Spot) -> str:
            try:
                return self._unseal(kind, id, spot, marker)
            except SecretUnavailable as error:
                problems.append(
                    Problem(paths.pointer(spot), f"the stored secret cannot be opened ({error}); send it again")
                )
                return ""

        return Opened(_map_sealed(spec, (), unseal), problems)

    def seal(self, kind: ResourceKind[Any, Any], id: str, spec: dict[str, Any], previous: Any) -> list[Problem]:
        """Seal the secrets of a spec in place; one that did not change keeps the sealed text it had."""
        problems = []
        for path in secret_paths(kind, spec):
            for spot, secret in list(paths.spots(spec, path)):
                if secret is None:
                    continue
                if not isinstance(secret, str):
                    problems.append(Problem(paths.pointer(spot), "a secret must be a string"))
                elif self.sealer is None:
                    problems.append(Problem(paths.pointer(spot), NO_SEALER))
                else:
                    try:
                        meant = fitted(secret)
                    except ValueError as error:
                        problems.append(Problem(paths.pointer(spot), f"this secret cannot be meant: {error}"))
                    else:
                        paths.put(spec, spot, self._sealed(kind.name, id, spot, meant, paths.at(previous, spot)))
        return problems

    def reseal(self, kind: str, id: str, spec: Any) -> Any:
        """Return the spec with every secret sealed with the newest master key; equal to `spec` if they were."""

        def renew(marker: dict[str, str], spot: paths.Spot) -> dict[str, str]:
            if self.sealer is None:
                raise SecretUnavailable(NO_SEALER)
            if self.sealer.is_current(marker[SEALED]):
                return marker
            return self._sealed(kind, id, spot, self._unseal(kind, id, spot, marker), None)

        return _map_sealed(spec, (), renew)

    def _unseal(self, kind: str, id: str, spot: paths.Spot, marker: dict[str, str]) -> str:
        if self.sealer is None:
            raise SecretUnavailable("no credential backend that can open it is enabled in plugins.toml")
        return self.sealer.unseal(marker[SEALED], context=f"{kind}/{id}/{paths.dotted(spot)}")

    def _sealed(self, kind: str, id: str, spot: paths.Spot, secret: str, previous: Any) -> dict[str, str]:
        assert self.sealer is not None
        if is_sealed(previous):
            try:
                if self._unseal(kind, id, spot, previous) == secret:
                    return previous  # type: ignore[no-any-return]
            except SecretUnavailable:
                pass  # whatever it was, it is replaced now
        sealed = self.sealer.seal(secret, context=f"{kind}/{id}/{paths.dotted(spot)}")
        return {SEALED: sealed, "hint": secret[-4:] if len(secret) >= HINT_FROM else ""}


def keep(paths_: tuple[str, ...], body: Any, stored: Any, *, absent: bool) -> None:
    """Put the sealed secrets of `stored` into `body` wherever the client sent back the mask it was shown.

    With `absent` also where it left the field out altogether. A list's items are told apart by position.
    """
    for path in paths_:
        _keep(body, stored, path.split("."), absent=absent)


def left_masks(body: Any, spot: paths.Spot = ()) -> list[Problem]:
    """Name the masks that stand for no stored secret, wherever somebody put them."""
    if isinstance(body, str):
        said = "this is the mask of another secret, or of none; send the secret itself"
        return [Problem(paths.pointer(spot), said)] if body.startswith(MASK) else []
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [problem for name, item in items for problem in left_masks(item, (*spot, name))]


def _keep(body: Any, stored: Any, parts: list[str], *, absent: bool) -> None:
    head, rest = parts[0], parts[1:]
    if isinstance(body, dict) and isinstance(stored, dict):
        if head != "*" and head not in body and head in stored and absent:
            if (only := _only_secrets(stored[head], rest)) is not None:
                body[head] = only
            return
        names: Any = [name for name in (body if head == "*" else [head]) if name in body and name in stored]
    elif isinstance(body, list) and isinstance(stored, list) and head == "*":
        names = range(min(len(body), len(stored)))
    else:
        return
    for name in names:
        if rest:
            _keep(body[name], stored[name], rest, absent=absent)
        elif is_sealed(stored[name]) and body[name] in (MASK, mask(stored[name])):
            body[name] = stored[name]


def _only_secrets(stored: Any, parts: list[str]) -> Any:
    """Return a left-out secret, or a left-out object of nothing but secrets (`values.*`)."""
    if not parts:
        return stored if is_sealed(stored) else None
    if parts == ["*"] and isinstance(stored, dict) and stored and all(map(is_sealed, stored.values())):
        return dict(stored)
    return None


def only_sealer(backends: Mapping[str, CredentialBackend]) -> Sealer | None:
    """Return the one credential backend that can seal, None if none can. Raises `PluginError` if several can."""
    sealers = {name: backend for name, backend in backends.items() if isinstance(backend, Sealer)}
    if len(sealers) > 1:
        raise PluginError(
            f"several credential backends can seal: {listed(sealers)}. One can be active: disable the others."
        )
    return next(iter(sealers.values()), None)
