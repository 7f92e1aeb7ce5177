"""The resource kind `webhooks`: who is told of which events, and how it knows that we tell it."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Prepared, Problem, Resource, ResourceKind, View

KIND = "webhooks"
TEST = "webhooks.test"
_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
_PATTERN = re.compile(r"\*|[a-z][a-z0-9_-]*\.(\*|[a-z_]+)")
_Event = Annotated[str, Meta(max_length=100)]
_Retries = Annotated[int, Meta(ge=0, le=50)]


class WebhookInput(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written of a webhook. `events` are names, or `KIND.*`, or `*`; without a `secret` one is made and shown once."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    events: Annotated[tuple[_Event, ...], Meta(min_length=1, max_length=100)]
    description: Annotated[str, Meta(max_length=2000)] = ""
    secret: str | None = None
    retries: _Retries = 12
    enabled: bool = True


class Webhook(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of events, and at which address."""

    url: str
    events: tuple[str, ...]
    secret: str
    description: str = ""
    retries: _Retries = 12
    enabled: bool = True


class LiveWebhook(Struct, frozen=True, eq=False):
    """A webhook that can be sent to. `key` signs."""

    id: str
    url: str
    events: tuple[str, ...]
    key: bytes
    retries: int
    enabled: bool

    def wants(self, name: str) -> bool:
        """Say whether it is told of events of a name."""
        return self.enabled and any(name.startswith(it[:-1]) if it.endswith("*") else name == it for it in self.events)


def webhooks(ambient: Ambient, known: Callable[[], Mapping[str, str]]) -> ResourceKind[Webhook, LiveWebhook]:
    """Declare the kind. `known` are the events that are announced, by name."""

    def prepare(new: WebhookInput, previous: Webhook | None, by: Principal) -> Prepared[Webhook]:  # noqa: ARG001 - the shape
        secret = new.secret
        if secret is None:
            secret = _PREFIX + base64.b64encode(ambient.token(32)).decode()
        spec = Webhook(**{**msgspec.structs.asdict(new), "secret": secret})
        return Prepared(spec, {} if new.secret is not None else {"secret": secret})

    def validate(spec: Webhook, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind
        return [*_url_problems(spec.url), *_secret_problems(spec.secret), *_event_problems(spec.events, known())]

    return ResourceKind(
        name=KIND,
        title="webhook",
        group="Integrations",
        spec=Webhook,
        input=WebhookInput,
        prepare=prepare,
        validate=validate,
        compile=_compile,
        secrets=("secret",),
        once=("secret",),
    )


def _compile(resource: Resource[Webhook], view: View) -> LiveWebhook:  # noqa: ARG001 - the shape of ResourceKind.compile
    spec = resource.spec
    return LiveWebhook(resource.id, spec.url, spec.events, _key(spec.secret), spec.retries, spec.enabled)


def _key(secret: str) -> bytes:
    """Return the bytes that sign (standardwebhooks.com: base64 behind `whsec_`, 24 to 64 bytes). Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except binascii.Error:
        key = b""
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(
            f"is `{_PREFIX}` and the base64 of {_LEAST_BYTES} to {_MOST_BYTES} random bytes; leave it out and one is made"
        )
    return key


def _secret_problems(secret: str) -> list[Problem]:
    try:
        _key(secret)
    except ValueError as error:
        return [Problem("/secret", str(error))]
    return []


def _url_problems(url: str) -> list[Problem]:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username and not parts.fragment
        fits = fits and (parts.port or 1) > 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        fits = False
    return (
        []
        if fits
        else [Problem("/url", "is an address like https://example.com/hook, without a user's name and a fragment")]
    )


def _event_problems(events: Sequence[str], known: Mapping[str, Any]) -> list[Problem]:
    found = []
    for place, name in enumerate(events):
        generic = "KIND." + name.partition(".")[2]
        if not _PATTERN.fullmatch(name):
            found.append(Problem(f"/events/{place}", "is a name like `operations.finished`, `operations.*`, or `*`"))
        elif not name.endswith("*") and name not in known and generic not in known:
            detail = "is no event that is announced; GET /admin/v1/webhook-events lists them"
            found.append(Problem(f"/events/{place}", detail))
    return found
