"""The credential a request carries, whichever header it came in, and whose it is: one look-up for both sides."""

from collections.abc import Awaitable, Mapping, Sequence

from switchgear.contracts.caller import Authenticator, Caller


def token_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the token of `Authorization: Bearer`, `x-api-key` or `api-key`; None if there is none."""
    value = headers.get(b"authorization")
    if value is not None:
        scheme, _, token = value.partition(b" ")
        if token and scheme.lower() == b"bearer":
            return token.strip().decode("latin-1")
    value = headers.get(b"x-api-key") or headers.get(b"api-key")
    return value.decode("latin-1") if value else None


async def identify(token: str, authenticators: Sequence[Authenticator]) -> Caller | None:
    """Ask the authenticators in order. No I/O for a token seen before."""
    for authenticator in authenticators:
        found: Caller | Awaitable[Caller | None] | None = authenticator.authenticate(token)
        if found is not None and not isinstance(found, Caller):
            found = await found
        if found is not None:
            return found
    return None
