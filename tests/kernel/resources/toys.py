"""Four kinds such as a third party would declare, and a real sealer."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Prepared, Problem, Reference, Resource, ResourceAction, ResourceKind, View
from switchgear.errors import SecretUnavailable


class Vault(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="vault"):
    path: str


class Sealed(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="sealed"):
    values: dict[str, str]


class Credential(Struct, frozen=True, forbid_unknown_fields=True):
    source: Vault | Sealed
    note: str = ""


def credential_secrets(body: Any) -> Sequence[str]:
    source = body.get("source")
    return ("source.values.*",) if isinstance(source, dict) and source.get("backend") == "sealed" else ()


CREDENTIALS = ResourceKind(name="credentials", title="credential", spec=Credential, secrets=credential_secrets)


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    input: int = 0
    output: int = 0


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    credential_id: str
    upstream: str
    weight: int = 1
    tags: tuple[str, ...] = ()
    price: Price | None = None
    headers: dict[str, str] = {}
    token: str | None = None
    enabled: bool = True


class LiveModel:
    def __init__(self, resource: Resource[Model], credential: Any) -> None:
        self.id = resource.id
        self.spec = resource.spec
        self.version = resource.version
        self.credential = credential


def compile_model(resource: Resource[Model], view: View) -> LiveModel:
    credential = view.live("credentials", resource.spec.credential_id)
    if credential is None:
        raise ValueError(f"its credential {resource.spec.credential_id} is not usable")
    if resource.spec.upstream == "uncompilable":
        raise ValueError("no plugin brings `uncompilable`")
    return LiveModel(resource, credential)


def check_model(spec: Model, view: View, by: Principal) -> Sequence[Problem]:
    problems = []
    if spec.weight < 0:
        problems.append(Problem("/weight", "must not be negative"))
    if "bad" in spec.tags:
        problems.append(Problem("/tags", "must not hold `bad`"))
    return problems


MODELS = ResourceKind(
    name="models",
    title="model",
    spec=Model,
    validate=check_model,
    compile=compile_model,
    references=(Reference("credential_id", "credentials"),),
    secrets=("token",),
    callable=True,
)


class Alias(Struct, frozen=True, forbid_unknown_fields=True):
    target: str


def compile_alias(resource: Resource[Alias], view: View) -> Any:
    for kind in ("models", "aliases"):
        if (live := view.live(kind, resource.spec.target)) is not None:
            return live
    raise ValueError(f"its target {resource.spec.target} is not usable")


ALIASES = ResourceKind(
    name="aliases",
    title="alias",
    spec=Alias,
    compile=compile_alias,
    references=(Reference("target", "callable"),),
    callable=True,
)


class TicketInput(Struct, frozen=True, forbid_unknown_fields=True):
    name: str = ""
    model_id: str | None = None


class Ticket(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    model_id: str | None
    hash: str
    prefix: str
    status: str = "active"


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def prepare_ticket(new: TicketInput, previous: Ticket | None, by: Principal) -> Prepared[Ticket]:
    if previous is not None:
        return Prepared(msgspec.structs.replace(previous, name=new.name, model_id=new.model_id))
    key = "tk_" + secrets.token_urlsafe(32)
    return Prepared(Ticket(new.name, new.model_id, hashed(key), key[:6]), {"key": key})


def suspend(resource: Resource[Ticket], _: None, by: Principal) -> Prepared[Ticket]:
    return Prepared(msgspec.structs.replace(resource.spec, status="suspended"))


class Regenerate(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


def regenerate(resource: Resource[Ticket], given: Regenerate, by: Principal) -> Prepared[Ticket]:
    if resource.spec.status != "active":
        raise ValueError("only an active ticket has a key to replace")
    key = "tk_" + secrets.token_urlsafe(32)
    return Prepared(msgspec.structs.replace(resource.spec, hash=hashed(key), prefix=key[:6]), {"key": key})


TICKETS = ResourceKind(
    name="tickets",
    title="ticket",
    spec=Ticket,
    input=TicketInput,
    prepare=prepare_ticket,
    references=(Reference("model_id", "models"),),
    hidden=("hash",),
    once=("key",),
    keys=lambda spec: [("ticket-hash", spec.hash)],
    resident=False,
    id_prefix="ticket_",
    actions=(
        ResourceAction(name="suspend", summary="Stop accepting the ticket.", apply=suspend),
        ResourceAction(name="regenerate", summary="Give the ticket another key.", apply=regenerate, input=Regenerate),
    ),
)

KINDS = (CREDENTIALS, MODELS, ALIASES, TICKETS)


class ToySealer:
    """AES-256-GCM under numbered keys; seals with the last, opens with any."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = [AESGCM(hashlib.sha256(key).digest()) for key in keys]

    def seal(self, plaintext: str, *, context: str) -> str:
        nonce = secrets.token_bytes(12)
        newest = len(self._keys) - 1
        sealed = self._keys[newest].encrypt(nonce, plaintext.encode(), context.encode())
        return f"{newest}:{base64.b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, *, context: str) -> str:
        number, _, text = sealed.partition(":")
        raw = base64.b64decode(text)
        try:
            return self._keys[int(number)].decrypt(raw[:12], raw[12:], context.encode()).decode()
        except (InvalidTag, IndexError) as error:
            raise SecretUnavailable("sealed with another key, or for another place") from error

    def is_current(self, sealed: str) -> bool:
        return sealed.startswith(f"{len(self._keys) - 1}:")
