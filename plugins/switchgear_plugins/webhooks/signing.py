"""Signatures as Standard Webhooks has them: standardwebhooks.com, github.com/standard-webhooks/standard-webhooks."""

import base64
import hashlib
import hmac


def signed_headers(key: bytes, id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of a delivery: its id, the time of this try, and HMAC-SHA256 over `id.time.body`.

    Raises ValueError for an empty key, with which anybody could sign.
    """
    if not key:
        raise ValueError("a webhook without a secret signs nothing")
    digest = hmac.new(key, b".".join((id.encode(), str(at_s).encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
