"""AWS Signature Version 4 for requests with a whole body and signed headers.

Wire: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. As for every service but S3, the
canonical path is the path of the URL encoded once more.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest
from urllib.parse import quote

_MOST_KEYS = 64
_MOST_PATHS = 256
_UNRESERVED = "-_.~"


def canonical_query(query: Sequence[tuple[str, str]]) -> str:
    """Encode and sort a query; what is signed and what is sent are the same text."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((quote(name, _UNRESERVED), quote(value, _UNRESERVED)) for name, value in query)
    )


class Signer:
    """Signs for one region and service.

    The signing key of a day is derived once for each access key; it is kept with the secret it came from, so that a secret
    that was entered anew under the same access key is never signed for with the old one.
    """

    __slots__ = ("_keys", "_paths", "_region", "_second", "_service", "_stamp")

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._keys: dict[tuple[str, str, str], bytes] = {}
        self._paths: dict[str, str] = {}
        self._second = -1
        self._stamp = ""

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        now_us: int,
    ) -> dict[str, str]:
        """Return the headers to add: `x-amz-date`, `authorization` and, with a session token, `x-amz-security-token`.

        `path` is that of the URL, `query` as `canonical_query` made it, `headers` (lower case, `host` among them) are all
        signed. `now_us` is the wall clock in microseconds; AWS refuses one that is more than five minutes off.
        """
        stamp = self._timestamp(now_us // 1_000_000)
        added = {"x-amz-date": stamp}
        if session_token:
            added["x-amz-security-token"] = session_token
        pairs = sorted({**headers, **added}.items())
        signed = ";".join([name for name, _ in pairs])
        lines = "\n".join([f"{name}:{' '.join(value.split())}" for name, value in pairs])
        canonical = f"{method}\n{self._path(path)}\n{query}\n{lines}\n\n{signed}\n{sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        key = self._key(stamp[:8], access_key_id, secret_access_key)
        signature = digest(key, to_sign.encode(), "sha256").hex()
        added["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return added

    def _timestamp(self, second: int) -> str:
        if second != self._second:
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
            self._second = second
        return self._stamp

    def _path(self, path: str) -> str:
        # There are as many as models; encoding one costs as much as hashing a body.
        found = self._paths.get(path)
        if found is None:
            if len(self._paths) >= _MOST_PATHS:
                self._paths.clear()
            found = self._paths[path] = quote(path, "/" + _UNRESERVED)
        return found

    def _key(self, date: str, access_key_id: str, secret_access_key: str) -> bytes:
        found = self._keys.get((date, access_key_id, secret_access_key))
        if found is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            found = f"AWS4{secret_access_key}".encode()
            for part in (date, self._region, self._service, "aws4_request"):
                found = digest(found, part.encode(), "sha256")
            self._keys[date, access_key_id, secret_access_key] = found
        return found
