"""A service account's key traded for an access token, by the JWT bearer grant (RFC 7523, RFC 7515 for the signature).

Wire: developers.google.com/identity/protocols/oauth2/service-account#httprest.
"""

import base64
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import Head, ProviderFault
from switchgear.contracts.upstream import OutboundRequest
from switchgear.errors import SecretUnavailable
from switchgear.wire.chat import retry_after

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S = 3600
_MOST_LIFETIME_S = 86_400
_GOOGLE_HOSTS = frozenset(
    {"oauth2.googleapis.com", "oauth2.mtls.googleapis.com", "www.googleapis.com", "accounts.google.com"}
)


class ServiceAccount(Struct):
    """The key of a service account, as Google's console downloads it."""

    client_email: str
    private_key: str
    token_uri: str = GOOGLE_TOKEN_URI
    private_key_id: str | None = None
    project_id: str | None = None


class _Token(Struct):
    access_token: str
    expires_in: int = _LIFETIME_S


class _Refusal(Struct):
    error: str = ""
    error_description: str = ""


_account_decoder = msgspec.json.Decoder(ServiceAccount)
_token_decoder = msgspec.json.Decoder(_Token)
_refusal_decoder = msgspec.json.Decoder(_Refusal)
_encoder = msgspec.json.Encoder()


def service_account(secret: Secret) -> ServiceAccount | None:
    """Read the service account a credential holds, whole (`service_account`) or in fields; None if it holds none.

    Raises `SecretUnavailable`, never with a piece of the value, for one that cannot be read.
    """
    if "service_account" in secret:
        try:
            return _account_decoder.decode(secret["service_account"].encode())
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            raise SecretUnavailable(
                "service_account is not the JSON key of a service account; enter the whole file"
            ) from None
    if "client_email" in secret and "private_key" in secret:
        return ServiceAccount(
            secret["client_email"],
            secret["private_key"],
            secret.get("token_uri") or GOOGLE_TOKEN_URI,
            secret.get("private_key_id"),
            secret.get("project_id"),
        )
    return None


def load_key(account: ServiceAccount) -> RSAPrivateKey:
    """Load the private key, which takes long for the proof that its primes are some. Raises `SecretUnavailable`."""
    try:
        key = load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretUnavailable("the service account's private_key is not a PEM key; enter it again") from None
    if not isinstance(key, RSAPrivateKey):
        raise SecretUnavailable("the service account's private_key is not an RSA key; make a new one")
    return key


def assertion(account: ServiceAccount, key: RSAPrivateKey, now_s: int) -> str:
    """Sign what proves the account."""
    header = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id:
        header["kid"] = account.private_key_id
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now_s,
        "exp": now_s + _LIFETIME_S,
    }
    signed = f"{_base64url(_encoder.encode(header))}.{_base64url(_encoder.encode(claims))}"
    return f"{signed}.{_base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Exchange:
    """Builds requests for tokens; `token_uri` is the settings' own address.

    The key of the last account is kept loaded, so that a renewal does not hold up the event loop.
    """

    def __init__(self, token_uri: str | None) -> None:
        self._token_uri = token_uri
        self._loaded: tuple[str, RSAPrivateKey] | None = None

    def request(self, account: ServiceAccount, now_s: int) -> OutboundRequest:
        """Build the request.

        A key may name any address, and whoever can enter one is not who runs the gateway: only Google's are taken from it.
        """
        url = self._token_uri or account.token_uri
        if self._token_uri is None and not _is_google(url):
            raise SecretUnavailable(
                "the service account's token_uri is not one of Google's; if it is right, set `settings.token_uri`"
            )
        if self._loaded is None or self._loaded[0] != account.private_key:
            self._loaded = (account.private_key, load_key(account))
        form = {"grant_type": _GRANT, "assertion": assertion(account, self._loaded[1], now_s)}
        return OutboundRequest(
            "POST", url, {"content-type": "application/x-www-form-urlencoded"}, urlencode(form).encode()
        )


def _is_google(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and parts.netloc in _GOOGLE_HOSTS and url.isprintable() and " " not in url
    except ValueError:
        return False


def read_token(account: ServiceAccount | None, head: Head, body: bytes, now_us: int) -> Secret:
    """Read the answer. The project goes with the token. Raises `ProviderFault`."""
    if head.status != 200:  # noqa: PLR2004 - OK
        raise _refusal(head, body)
    try:
        found = _token_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ProviderFault("protocol", head.status) from None
    if not found.access_token or not found.access_token.isprintable():
        raise ProviderFault("protocol", head.status)
    values = {"access_token": found.access_token}
    if account is not None and account.project_id:
        values["project_id"] = account.project_id
    lifetime_s = min(max(found.expires_in, 0), _MOST_LIFETIME_S)
    return Secret(values, expires_us=now_us + lifetime_s * 1_000_000)


def _refusal(head: Head, body: bytes) -> ProviderFault:
    """Classify a refusal (RFC 6749, section 5.2): `invalid_grant` is a bad signature, a deleted account or a wrong clock."""
    try:
        found = _refusal_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        found = _Refusal()
    status = head.status
    if status == 429:  # noqa: PLR2004 - HTTP's numbers
        cause = "rate_limit"
    elif status >= 500:  # noqa: PLR2004
        cause = "overloaded" if status == 503 else "server"  # noqa: PLR2004
    elif status == 403:  # noqa: PLR2004
        cause = "permission"
    else:
        cause = "auth" if 400 <= status < 500 else "protocol"  # noqa: PLR2004
    return ProviderFault(
        cause, status, message=found.error_description, code=found.error or None, retry_after=retry_after(head)
    )
