"""The resource kind `external-apis`: addresses that steps of workflows may call, and the credential that opens them."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from switchgear.contracts.credential import LendableSecret
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Reference, RelatedWrite, Resource, ResourceKind, View

KIND = "external-apis"
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
VALUE = re.compile(r"[ -~]{0,4000}")
_TELLING = re.compile(r"auth|token|secret|key|cookie|password|credential", re.IGNORECASE)
FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade"}
)
_PORTS = {"http": 80, "https": 443}


class Auth(Struct, frozen=True, forbid_unknown_fields=True):
    """How the credential goes with a request: in which header, behind what. `field` is the one of the credential."""

    header: Annotated[str, Meta(max_length=100)] = "authorization"
    prefix: Annotated[str, Meta(max_length=100)] = "Bearer "
    field: Annotated[str, Meta(max_length=100)] = "api_key"


class ExternalApi(Struct, frozen=True, forbid_unknown_fields=True):
    """An API that steps of workflows may call. Its secret is in a credential, in no header.

    timeout     seconds for one request
    most_bytes  of one answer
    """

    base_url: Annotated[str, Meta(min_length=1, max_length=2000)]
    base_headers: dict[str, str] = {}
    timeout: Annotated[float, Meta(gt=0, le=600)] = 30.0
    most_bytes: Annotated[int, Meta(ge=1, le=16 * 1024 * 1024)] = 1024 * 1024
    credential_id: str | None = None
    auth: Auth = Auth()
    description: Annotated[str, Meta(max_length=2000)] = ""
    enabled: bool = True


class LiveApi(Struct, frozen=True, eq=False):
    """An API that can be called."""

    id: str
    spec: ExternalApi
    credential: LendableSecret | None


def external_apis() -> ResourceKind[ExternalApi, LiveApi]:
    """Declare the kind."""
    return ResourceKind(
        name=KIND,
        title="external API",
        group="Integrations",
        spec=ExternalApi,
        references=(Reference("credential_id", "credentials"),),
        validate=_problems,
        compile=_compile,
        also=_bind,
    )


def _problems(spec: ExternalApi, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind
    found = []
    where = place(spec.base_url)
    if where is None:
        detail = "is an address like https://api.example.com/v1, without a user's name, a query and a fragment"
        found.append(Problem("/base_url", detail))
    for name, value in spec.base_headers.items():
        if not HEADER.fullmatch(name) or not VALUE.fullmatch(value) or name.lower() in FRAMING:
            found.append(
                Problem(
                    f"/base_headers/{_escaped(name)}", "is no header that can be sent: a name, and a value on one line"
                )
            )
        elif _TELLING.search(name):
            found.append(Problem(f"/base_headers/{_escaped(name)}", "sounds like a secret; put that into a credential"))
    auth = spec.auth
    if not HEADER.fullmatch(auth.header) or auth.header.lower() in FRAMING or not VALUE.fullmatch(auth.prefix):
        found.append(Problem("/auth/header", "is no header that can be sent"))
    credential: LendableSecret | None = view.live("credentials", spec.credential_id or "")
    if credential is not None and credential.hosts and where is not None and where not in credential.hosts:
        hosts = ", ".join(credential.hosts)
        detail = (
            f"The secret of `{spec.credential_id}` was entered for {hosts}, not for {where}. Use another credential, or enter it"
            f" again for both (POST /admin/v1/credentials/{spec.credential_id}/enter)"
        )
        found.append(Problem("/base_url", detail))
    return found


def _compile(resource: Resource[ExternalApi], view: View) -> LiveApi:
    spec = resource.spec
    credential: LendableSecret | None = view.live("credentials", spec.credential_id or "")
    if spec.credential_id is not None:
        if credential is None:
            raise ValueError(f"credential {spec.credential_id!r} cannot be used")
        if credential.hosts and place(spec.base_url) not in credential.hosts:
            raise ValueError(f"the secret of {spec.credential_id!r} is for {', '.join(credential.hosts)}")
        if not credential.hosts and credential.owner != resource.owner and credential.owner.startswith("file:"):
            raise ValueError(f"credential {spec.credential_id!r} is defined in a file; write the API there")
    return LiveApi(resource.id, spec, credential)


def _bind(spec: Mapping[str, Any]) -> Sequence[RelatedWrite]:
    """Bind the credential to where it goes, unless it is bound."""
    id, where = spec.get("credential_id"), place(str(spec.get("base_url")))
    if not isinstance(id, str) or where is None:
        return ()
    return (RelatedWrite("credentials", id, lambda it: it if it.get("hosts") else {**it, "hosts": [where]}),)


def place(url: str) -> str | None:
    """Return where an address leads, as credentials are bound to it; None for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        fits = bool(parts.hostname) and port is not None and not (parts.username or parts.query or parts.fragment)
        fits = fits and url.isascii() and url.isprintable() and not set(url) & set(" \\%?#")
    except ValueError:
        return None
    return (
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower().removesuffix(f':{port}')}:{port}" if fits else None
    )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
