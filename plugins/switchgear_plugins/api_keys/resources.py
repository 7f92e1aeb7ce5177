"""The resource kind `api-keys`: who may call, proven by a secret of which only the SHA-256 is kept."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import EVERYTHING, USE, Bounds, Grant, Principal, within
from switchgear.contracts.resource import (
    Observed,
    Prepared,
    Problem,
    Reference,
    Resource,
    ResourceAction,
    ResourceKind,
    View,
)
from switchgear.errors import Conflict, PermissionDenied, ValidationFailed
from switchgear_plugins.api_keys.live import LiveKey
from switchgear_plugins.api_keys.spec import EPOCH, ApiKey, ApiKeyInput, Limits, Permissions, Rotate, micros
from switchgear_plugins.api_keys.uses import Used

KIND = "api-keys"
TEAMS, USERS = "teams", "users"
"""Kinds of those whom keys may belong to, where a plugin brings them; their live objects are `Bounds`."""
INDEX = "api-key"
BY_NAME = "api-key-name"
SECRET_BYTES = 32


def digest(secret: str) -> str:
    """Return the SHA-256 of a whole secret in hex, which is what a key is looked up by."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def api_keys(
    ambient: Ambient,
    tests: tuple[str, ...] = ("echo",),
    uses: Callable[[Sequence[str]], Awaitable[Mapping[str, Used]]] | None = None,
) -> ResourceKind[ApiKey, LiveKey]:
    """Declare the kind. `tests` are the models that test keys may use, `uses` tells when keys were last used."""
    verbs = _Verbs(ambient)
    for_tests = (Grant(USE, "models", tests),)

    def compile(resource: Resource[ApiKey], view: View) -> LiveKey:
        return LiveKey(resource.id, resource.spec, _bounds(resource.spec, view), for_tests)

    return ResourceKind(
        name=KIND,
        title="API key",
        spec=ApiKey,
        input=ApiKeyInput,
        prepare=verbs.prepare,
        validate=_problems,
        compile=compile,
        references=(Reference("team_id", TEAMS, optional=True), Reference("owner_id", USERS, optional=True)),
        hidden=("hash", "previous_hash"),
        shown=verbs.shown,
        observed=None if uses is None else Observed(type=Used, read=uses),
        once=("key",),
        keys=_keys,
        named=BY_NAME,
        resident=False,
        id_prefix="key_",
        restorable=False,
        scope=("team_id", "owner_id"),
        principals=True,
        group="Access",
        actions=(
            ResourceAction(name="suspend", summary="Refuse the key until it is activated again", apply=_suspend),
            ResourceAction(name="activate", summary="Accept a suspended key again", apply=_activate),
            ResourceAction(name="revoke", summary="Refuse the key for good", apply=_revoke),
            ResourceAction(name="rotate", summary="Give the key a new secret", apply=verbs.rotate, input=Rotate),
        ),
    )


class _Verbs:
    """What needs time or randomness."""

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient

    def shown(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say that a key has expired, which nobody writes down when it happens."""
        until = spec.get("expires_at")
        if until is None or spec.get("status") != "active":
            return spec
        expires_us = micros(datetime.fromisoformat(until))
        return (
            {**spec, "status": "expired"} if expires_us is not None and expires_us <= self._ambient.now_us() else spec
        )

    def prepare(self, new: ApiKeyInput, previous: ApiKey | None, by: Principal) -> Prepared[ApiKey]:
        if previous is None or new.permissions != previous.permissions:
            _refuse_more(new.permissions, by)
        written: dict[str, Any] = {
            name: getattr(new, name)
            for name in ("name", "team_id", "owner_id", "permissions", "limits", "tags", "metadata", "expires_at")
        }
        if previous is None and by.facts.get("resource") == USERS and not by.holds(EVERYTHING):
            written["team_id"] = new.team_id or by.labels.get("team")
            written["owner_id"] = new.owner_id or by.id
        if previous is not None:
            _refuse_secret(new, previous)
            _refuse_wider(written, previous, by)
            return Prepared(msgspec.structs.replace(previous, **written))
        live = not new.test
        secret = new.key or self._generate(live=live)
        prefix = secret[:3] if new.key else _prefix(live=live)
        spec = ApiKey(prefix=prefix, hash=digest(secret), last4=secret[-4:], live=live, **written)
        return Prepared(spec, {} if new.key else {"key": secret})

    def rotate(self, resource: Resource[ApiKey], wanted: Rotate, by: Principal) -> Prepared[ApiKey]:
        old = _not_revoked(resource)
        if not _holds(by, old.permissions):  # who gets the secret can do what the key can
            raise PermissionDenied(
                f"You may do less than the API key {resource.id}, so you get no secret of it.", code="not_permitted"
            )
        secret = self._generate(live=old.live)
        overlap = timedelta(seconds=wanted.overlap_seconds)
        until = EPOCH + timedelta(microseconds=self._ambient.now_us()) + overlap
        spec = msgspec.structs.replace(
            old,
            prefix=_prefix(live=old.live),
            hash=digest(secret),
            last4=secret[-4:],
            previous_hash=old.hash if overlap else None,
            previous_until=until if overlap else None,
        )
        return Prepared(spec, {"key": secret})

    def _generate(self, *, live: bool) -> str:
        random = base64.urlsafe_b64encode(self._ambient.token(SECRET_BYTES)).rstrip(b"=").decode()
        return _prefix(live=live) + random


def _prefix(*, live: bool) -> str:
    return "sg_live_" if live else "sg_test_"


def _refuse_secret(new: ApiKeyInput, previous: ApiKey) -> None:
    errors = []
    if new.key is not None and digest(new.key) != previous.hash:
        errors.append(("/key", "is only taken when a key is created; the action rotate makes a new secret"))
    if new.test is not None and new.test == previous.live:
        errors.append(("/test", "cannot be changed; create another key"))
    if errors:
        raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in errors), errors)


_SET_BY_OTHERS = ("permissions", "limits", "tags", "expires_at", "team_id", "owner_id")


def _refuse_wider(written: Mapping[str, Any], previous: ApiKey, by: Principal) -> None:
    """Keep what a key was made for from whoever may have keys and not hand them out (`facts["widens"]` False)."""
    if by.facts.get("widens", True):
        return
    changed = [field for field in _SET_BY_OTHERS if written[field] != getattr(previous, field)]
    if changed:
        errors = [(f"/{field}", "was set with the key; ask whoever keeps your team's keys") for field in changed]
        raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in errors), errors)


def _holds(by: Principal, permissions: Permissions) -> bool:
    return by.holds(EVERYTHING) or all(by.holds(grant) for grant in permissions.grants())


def _refuse_more(wanted: Permissions, by: Principal) -> None:
    """Refuse permissions that whoever gives them does not have."""
    if _holds(by, wanted):
        return
    errors = [("/permissions/admin", "is more than you may do")] if wanted.admin else []
    errors += [
        (f"/permissions/{name}", "is more than you may use yourself")
        for name, grant in wanted.used().items()
        if not by.holds(grant)
    ]
    raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in errors), errors)


def _problems(new: ApiKey, view: View, by: Principal) -> Sequence[Problem]:
    return [*new.permissions.problems(), *_limits(new.limits), *_owner(new, view, by)]


def _owner(new: ApiKey, view: View, by: Principal) -> list[Problem]:
    team = None if new.team_id is None else view.live(TEAMS, new.team_id)
    if new.permissions.admin and isinstance(team, Bounds) and EVERYTHING not in within((EVERYTHING,), team.most):
        return [Problem("/permissions/admin", f"is not for keys of the team `{new.team_id}`")]
    owner = None if new.owner_id is None else view.live(USERS, new.owner_id)
    if isinstance(owner, Bounds) and owner.part_of != new.team_id:
        mine = by.labels.get("team")
        whose = f" `{owner.part_of}`" if by.holds(EVERYTHING) or owner.part_of == mine else ""
        return [Problem("/owner_id", f"is of another team{whose}: the key's team is its owner's")]
    return []


def _limits(limits: Limits) -> list[Problem]:
    if limits.burst is not None and limits.requests_per_second is None:
        return [Problem("/limits/burst", "goes with `requests_per_second`")]
    return []


def _keys(key: ApiKey) -> Sequence[tuple[str, str]]:
    # Also those of a revoked key: its secret cannot come back as another key's own.
    named = (BY_NAME, f"{key.name.casefold()}\n{key.hash}")
    return [named, *((INDEX, hash) for hash in (key.hash, key.previous_hash) if hash is not None)]


def _bounds(key: ApiKey, view: View) -> Sequence[Bounds]:
    """Return whose a key is, as far as plugins bring those kinds. Whoever has left the key's team makes it no good."""
    team = None if key.team_id is None else view.live(TEAMS, key.team_id)
    owner = None if key.owner_id is None else view.live(USERS, key.owner_id)
    found = [it for it in (team, owner) if isinstance(it, Bounds)]
    if isinstance(owner, Bounds) and owner.part_of != key.team_id:
        found.append(_LEFT)
    return found


class _Nobody(Struct, frozen=True):
    """Bounds of what is no good any more."""

    active: bool = False
    most: tuple[Grant, ...] = ()
    part_of: str | None = None


_LEFT = _Nobody()


def _suspend(resource: Resource[ApiKey], _: None, by: Principal) -> Prepared[ApiKey]:  # noqa: ARG001 - the shape of ResourceAction.apply
    return Prepared(msgspec.structs.replace(_not_revoked(resource), status="suspended"))


def _activate(resource: Resource[ApiKey], _: None, by: Principal) -> Prepared[ApiKey]:  # noqa: ARG001 - the shape of ResourceAction.apply
    return Prepared(msgspec.structs.replace(_not_revoked(resource), status="active"))


def _revoke(resource: Resource[ApiKey], _: None, by: Principal) -> Prepared[ApiKey]:  # noqa: ARG001 - the shape of ResourceAction.apply
    return Prepared(msgspec.structs.replace(resource.spec, status="revoked"))


def _not_revoked(resource: Resource[ApiKey]) -> ApiKey:
    if resource.spec.status == "revoked":
        raise Conflict(f"the API key {resource.id} is revoked, which is final; create another", code="revoked")
    return resource.spec
