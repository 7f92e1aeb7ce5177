"""GigaChat's short-lived tokens (developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-token). They last 30 minutes."""

from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Head, ProviderFault
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.members import BROKEN, decode_text
from switchgear_plugins.gigachat.faults import classify

_LATEST_US = 2**53
"""Far in the future; what is later was never a time."""


class _Token(Struct):
    access_token: str
    expires_at: int


_decoder = msgspec.json.Decoder(_Token)


def token_request(url: str, scope: str, ambient: Ambient, secret: Secret) -> OutboundRequest:
    """Build the request that trades the authorization key for a token. Raises `SecretUnavailable`."""
    if not secret.get("auth_key"):
        raise SecretUnavailable(
            "the credential has no value named auth_key: enter the authorization key of the project, as its page shows it"
        )
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "authorization": f"Basic {secret['auth_key']}",
        "rquid": str(UUID(bytes=ambient.token(16), version=4)),
    }
    return OutboundRequest("POST", url, headers, urlencode({"scope": scope}).encode())


def read_token(head: Head, body: bytes) -> Secret:
    """Read the answer; it says in milliseconds when the token expires. Raises `ProviderFault`, `auth` for a bad key or scope."""
    if not 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
        fault = classify(head, body)
        if fault.cause in {"invalid_request", "permission"}:
            fault.cause = "auth"
        raise fault
    try:
        found = decode_text(_decoder, body)
    except BROKEN:
        raise ProviderFault("protocol", head.status) from None
    expires_us = min(max(found.expires_at, 0) * 1000, _LATEST_US)
    return Secret({"access_token": found.access_token}, expires_us=expires_us)
