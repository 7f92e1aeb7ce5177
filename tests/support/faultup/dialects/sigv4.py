"""Checks an AWS Signature Version 4, independently of whoever made it.

Wire: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

import hashlib
import hmac
import re
from urllib.parse import quote

from support.faultup.dialects.common import Heard

ACCESS_KEY = "AKIAFAULTUPSTREAM000"
SECRET_KEY = "fault/upstream+secret/key/of/the/tests00"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def wrong(heard: Heard) -> str | None:
    """Say what is wrong with the signature of a request, None if nothing is. The key must be `ACCESS_KEY`."""
    found = _AUTHORIZATION.fullmatch(heard.headers.get("authorization", ""))
    if found is None:
        return "Missing Authentication Token"
    names = found["names"].split(";")
    if not {"host", "x-amz-date"} <= set(names) or names != sorted(names):
        return "The signed headers lack host or x-amz-date, or are not sorted."
    if "x-amz-security-token" in heard.headers and "x-amz-security-token" not in names:
        return "The security token is not signed."
    if found["key"] != ACCESS_KEY:
        return "The security token included in the request is invalid."
    stamp = heard.headers.get("x-amz-date", "")
    scope = f"{found['day']}/{found['region']}/{found['service']}/aws4_request"
    if not stamp.startswith(found["day"]):
        return "The date of the credential scope is not that of the request."
    digest = hashlib.sha256(_canonical(heard, names).encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.new(key, signed.encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected, found["signature"]):
        return "The request signature we calculated does not match the signature you provided."
    return None


def _canonical(heard: Heard, names: list[str]) -> str:
    path = quote(heard.raw_path, safe="/-_.~")  # the path as sent, encoded once more: the rule of every service but S3
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(heard.query.items())
    )
    headers = "".join(f"{name}:{' '.join(heard.headers.get(name, '').split())}\n" for name in names)
    payload = hashlib.sha256(heard.body).hexdigest()
    return "\n".join([heard.method, path, query, headers, ";".join(names), payload])
