"""The keys that sign tokens of sessions. Each is used with one algorithm alone, whatever a token says."""

import contextlib
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.errors import PluginError
from switchgear_plugins.tenancy.people import Claims
from switchgear_plugins.tenancy.settings import TenancySettings

ISSUER = "switchgear"
LONGEST = 4096
"""Characters of a token. Ours have less than a thousand."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
_FILE = "session.key"
_SIZE = 32
_LEAST_BITS = 2048
_HEADER = frozenset({"alg", "kid", "typ"})


class Key(Struct, frozen=True):
    """One key; `signs` is None for one that only verifies."""

    id: str
    algorithm: str
    verifies: Any
    signs: Any = None

    def __repr__(self) -> str:
        return f"Key({self.id})"


class Ring:
    """Keys by id; the first that can signs."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys: Mapping[str, Key] = {key.id: key for key in keys}
        self._signing = next(key for key in keys if key.signs is not None)
        self._secret = _secret_of(self._signing)

    def proof(self, text: str) -> str:
        """Return what only whoever has the keys can make of a text; it is no token."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def sign(self, claims: Claims) -> str:
        """Make a token."""
        import jwt  # noqa: PLC0415 - takes long, and starting the gateway does not need it

        key = self._signing
        return jwt.encode(msgspec.structs.asdict(claims), key.signs, key.algorithm, headers={"kid": key.id})

    def verify(self, token: str, audience: str, now_s: float) -> Claims | None:
        """Return what a token of this audience says, None if it is not one of ours that is good now."""
        if len(token) > LONGEST or not _TOKEN.fullmatch(token):
            return None
        import jwt  # noqa: PLC0415 - likewise

        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header["kid"]) if header.keys() == _HEADER and isinstance(header["kid"], str) else None
            if key is None:
                return None
            said = jwt.decode(
                token,
                key.verifies,
                [key.algorithm],
                audience=audience,
                issuer=ISSUER,
                options={"verify_exp": False, "verify_iat": False},
            )
            claims = msgspec.convert(said, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError):
            return None
        return claims if claims.exp > now_s else None


def load(settings: TenancySettings, directory: Path, ambient: Ambient) -> Ring:
    """Return the keys that are set, or the one that is made and kept in the directory. Raises `PluginError`."""
    if settings.users_jwks:
        return Ring(_of_jwks(settings.users_jwks))
    secret = settings.jwt_secret.encode() if settings.jwt_secret else _kept(directory / _FILE, ambient)
    return Ring([Key(hashlib.sha256(b"kid:" + secret).hexdigest()[:16], "HS256", secret, secret)])


def _of_jwks(text: str) -> list[Key]:
    import jwt  # noqa: PLC0415 - likewise

    where = "tenancy: users_jwks (USERS_JWKS)"
    try:
        found = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])["keys"]
    except (msgspec.DecodeError, KeyError):
        raise PluginError(f"{where} is no JWKS: it is a JSON object with a list of `keys` (RFC 7517)") from None
    keys = []
    for number, member in enumerate(found):
        if member.get("kty") != "RSA" or member.get("alg", "RS256") != "RS256":
            raise PluginError(f"{where}: key {number} is not for RS256: sessions are signed with RSA keys alone")
        try:
            key = jwt.PyJWK(member, "RS256").key
        except (jwt.PyJWTError, ValueError, KeyError, TypeError):
            raise PluginError(f"{where}: key {number} cannot be read as an RSA key") from None
        if key.key_size < _LEAST_BITS:
            raise PluginError(f"{where}: key {number} has {key.key_size} bits; take one of {_LEAST_BITS} or more")
        id = str(member.get("kid") or hashlib.sha256(str(member["n"]).encode()).hexdigest()[:16])
        keys.append(Key(id, "RS256", key.public_key() if "d" in member else key, key if "d" in member else None))
    if not any(key.signs is not None for key in keys):
        raise PluginError(f"{where} has no key with a private part, so no session can be signed")
    return keys


def _secret_of(key: Key) -> bytes:
    """Return bytes that nobody has who has not the key that signs."""
    if isinstance(key.signs, bytes):
        return hashlib.sha256(b"proofs:" + key.signs).digest()
    return hashlib.sha256(b"proofs:" + str(key.signs.private_numbers().d).encode()).digest()


def _kept(file: Path, ambient: Ambient) -> bytes:
    """Return the key in a file, which is made if it is not there: of several processes one wins."""
    if not file.exists():
        draft = file.with_name(f".{file.name}.{os.getpid()}.{ambient.token(8).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, ambient.token(_SIZE).hex().encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    mode = file.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PluginError(
            f"tenancy: {file} may be read by others (mode {stat.S_IMODE(mode):04o}); delete it, which ends all sessions, and "
            "start again"
        )
    try:
        secret = bytes.fromhex(file.read_text())
    except ValueError:
        secret = b""
    if len(secret) != _SIZE:
        raise PluginError(f"tenancy: {file} is damaged; delete it, which ends all sessions, and start again")
    return secret
