"""What is wrong with a field, in words that say what to enter."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from switchgear import phrasing
from switchgear.catalogue.live import LiveProvider
from switchgear.catalogue.specs import ModelSpec
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, View
from switchgear.contracts.usage import UNITS
from switchgear.resources.shape import decode
from switchgear.upstream.target import ENGINE_HEADERS

_TELLING = re.compile(r"auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
"""Names of headers whose values are secrets."""


def is_telling(header: str) -> bool:
    """Say whether a header's value is a secret, by its name."""
    return _TELLING.search(header) is not None


def secret_headers(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of what is secret in a provider's body: headers that tell of it, and what its proxy wants."""
    headers = body.get("headers")
    telling = [f"headers.{name}" for name in headers if _TELLING.search(name)] if isinstance(headers, dict) else []
    return (*telling, "proxy_auth")


def listed(names: Mapping[str, Any]) -> str:
    """Name what there is to choose from."""
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none is enabled in plugins.toml"


def one_of(pointer: str, name: str, known: Mapping[str, Any], what: str) -> list[Problem]:
    """Check that a name is one of those known."""
    if name in known:
        return []
    return [Problem(pointer, f"There is no {what} `{name[:50]}`; enabled: {listed(known)}.")]


def units(spec: ModelSpec, view: View, by: Principal) -> list[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    """Check that the units in a model's pricing are known: the usual ones, or those that its provider counts."""
    provider: LiveProvider | None = view.live("providers", spec.provider_id)
    if spec.pricing is None or provider is None:
        return []
    known = UNITS | provider.translator.traits(spec.provider_model).units
    unknown = (name for name in spec.pricing if name not in known)
    return [
        Problem(
            f"/pricing/{it}",
            f"There is no such unit.{phrasing.did_you_mean(it, known)} Units are {phrasing.listed(known)}.",
        )
        for it in unknown
    ]


def fits(pointer: str, value: Mapping[str, Any], type: type[Struct]) -> list[Problem]:
    """Check that a value has the shape of a type, naming every field that has not."""
    return [Problem(pointer + wrong.pointer, wrong.detail) for wrong in decode(type, value)[1]]


def web_address(pointer: str, url: str | None, schemes: tuple[str, ...] = ("http", "https")) -> list[Problem]:
    """Check that a value is a web address without credentials in it."""
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url or "\\" in url:
        either = " or ".join(f"{scheme}://" for scheme in schemes)
        return [Problem(pointer, f"An {either} address, as {schemes[-1]}://api.example.com/v1.")]
    if parts.username is not None:
        instead = "proxy_auth" if pointer == "/proxy" else "a credential"
        return [Problem(pointer, f"No user or password in the address: use {instead}.")]
    if "#" in url:
        return [Problem(pointer, "No fragment (`#…`) in the address: it is never sent.")]
    telling = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _is_secret(name)]
    if telling:
        return [
            Problem(
                pointer, f"No secret in the address (`{telling[0]}`), where it is shown: use a credential, or a header."
            )
        ]
    return []


def _is_secret(name: str) -> bool:
    """Say whether a query parameter is secret, by its name. Signatures are: a signed address works for everybody who has it."""
    return is_telling(name) or name.lower().endswith(("sig", "signature"))


def split_query(url: str | None) -> tuple[str | None, str]:
    """Take the query off an address that paths are added to."""
    if url is None:
        return None, ""
    address, _, query = url.partition("?")
    return address, query


def is_header(name: str, value: str) -> bool:
    """Say whether these make a header line that frames nothing."""
    named = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return named and name.lower() not in ENGINE_HEADERS and value.isprintable()
