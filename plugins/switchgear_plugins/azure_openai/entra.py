"""Tokens of Entra ID by the client credentials flow.

Wire: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Head, ProviderFault
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.chat import cause_of, retry_after
from switchgear.wire.members import BROKEN, decode_text

_FIELDS = ("tenant_id", "client_id", "client_secret")
_REFUSED = frozenset({"invalid_client", "invalid_grant", "invalid_scope", "invalid_request", "unauthorized_client"})
_MOST_S = 86_400


class _Token(Struct):
    access_token: str
    expires_in: int


class _Refusal(Struct):
    error: str | None = None
    error_description: str | None = None


_token_decoder = msgspec.json.Decoder(_Token)
_refusal_decoder = msgspec.json.Decoder(_Refusal)


def token_request(authority: str, scope: str, secret: Secret) -> OutboundRequest:
    """Build the request that trades a client's secret for a token. Raises `SecretUnavailable` naming a missing field."""
    missing = [field for field in _FIELDS if not secret.get(field)]
    if missing:
        raise SecretUnavailable(
            f"the credential has no value named {missing[0]}: it needs api_key, or access_token, or all of "
            f"{', '.join(_FIELDS)}"
        )
    form = {
        "client_id": secret["client_id"],
        "client_secret": secret["client_secret"],
        "scope": scope,
        "grant_type": "client_credentials",
    }
    url = f"{authority}/{quote(secret['tenant_id'], safe='')}/oauth2/v2.0/token"
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    return OutboundRequest("POST", url, headers, urlencode(form).encode())


def read_token(ambient: Ambient, head: Head, body: bytes) -> Secret:
    """Read the answer. Raises `ProviderFault`: `auth` for a client that is refused."""
    if 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
        try:
            found = decode_text(_token_decoder, body)
        except BROKEN:
            raise ProviderFault("protocol", head.status) from None
        lasts_s = min(max(found.expires_in, 0), _MOST_S)
        return Secret({"access_token": found.access_token}, expires_us=ambient.now_us() + lasts_s * 1_000_000)
    try:
        refusal = decode_text(_refusal_decoder, body)
    except BROKEN:
        refusal = _Refusal()
    cause = "auth" if refusal.error in _REFUSED else cause_of(head.status, refusal.error, None)
    raise ProviderFault(
        cause,
        head.status,
        message=(refusal.error_description or "").partition("\r\n")[0].partition(" Trace ID:")[0],
        code=refusal.error,
        retry_after=retry_after(head),
        request_id=head.header("x-ms-request-id"),
    )
