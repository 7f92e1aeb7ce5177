"""Secrets in the store, sealed with AES-256-GCM (NIST SP 800-38D).

Sealed text is `sealed:v1:KEY_ID:NONCE:CIPHERTEXT`, nonce and ciphertext in base64url without padding. The nonce is 96 random
bits; everything up to the key id, and the context, is authenticated with the ciphertext. Random nonces are safe for 2**32
seals under one key.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable
from switchgear_plugins.encrypted.keys import VARIABLE, MasterKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
_PARTS = 5


class EncryptedSource(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="encrypted"):
    """The fields of the credential themselves: `{"api_key": "…"}`. Sealed at rest, never shown."""

    values: Annotated[dict[str, str], Meta(min_length=1)]


class EncryptedBackend:
    """Credential backend and sealer. `keys` is asked for the master keys once, when the first is needed."""

    source_type: type[Struct] = EncryptedSource
    secret_fields: tuple[str, ...] = ("values.*",)

    def __init__(self, keys: Callable[[], Sequence[MasterKey]], ambient: Ambient) -> None:
        self._load = keys
        self._ambient = ambient
        self._current = ""
        self._ciphers: dict[str, AESGCM] = {}

    async def fetch(self, credential_id: str, source: EncryptedSource) -> Secret:
        """Return the values, which arrive unsealed. Raises `SecretUnavailable` naming the fields that are empty."""
        empty = [field for field, value in source.values.items() if not value]
        if empty:
            raise SecretUnavailable(f"credential {credential_id} has no value for {', '.join(empty)}; write it again")
        return Secret(source.values)

    def seal(self, plaintext: str, *, context: str) -> str:
        """Encrypt with the current master key."""
        ciphers = self._open()
        head = f"sealed:v1:{self._current}"
        nonce = self._ambient.token(NONCE_BYTES)
        ciphertext = ciphers[self._current].encrypt(nonce, plaintext.encode(), _bound(head, context))
        return f"{head}:{_encode(nonce)}:{_encode(ciphertext)}"

    def unseal(self, sealed: str, *, context: str) -> str:
        """Decrypt. Raises `SecretUnavailable` for another key, another context, and text that was changed."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - costs some ten ms that a start need not wait for

        ciphers = self._open()
        parts = sealed.split(":")
        if len(parts) != _PARTS or parts[:2] != ["sealed", "v1"]:
            raise SecretUnavailable(f"the sealed secret of {context} is damaged; write the secret again")
        key_id, nonce, ciphertext = parts[2], _decode(parts[3]), _decode(parts[4])
        cipher = ciphers.get(key_id)
        if cipher is None:
            known = key_id if len(key_id) < 40 and key_id.isalnum() else "unknown"  # noqa: PLR2004 - enough for an id
            raise SecretUnavailable(
                f"the secret of {context} is sealed with master key {known}, which is not given: add it to {VARIABLE} after "
                "the current one, or write the secret again"
            )
        if nonce is None or ciphertext is None or len(nonce) != NONCE_BYTES:
            raise SecretUnavailable(f"the sealed secret of {context} is damaged; write the secret again")
        try:
            return cipher.decrypt(nonce, ciphertext, _bound(f"sealed:v1:{key_id}", context)).decode()
        except InvalidTag as error:
            raise SecretUnavailable(
                f"the sealed secret of {context} does not open: it was changed, or moved here from another place; write the "
                "secret again"
            ) from error

    def is_current(self, sealed: str) -> bool:
        """Say whether it was sealed with the first master key."""
        self._open()
        return sealed.startswith(f"sealed:v1:{self._current}:")

    def _open(self) -> "dict[str, AESGCM]":
        if not self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

            keys = self._load()
            self._current = keys[0].id
            self._ciphers = {key.id: AESGCM(key.value) for key in keys}
        return self._ciphers


def _bound(head: str, context: str) -> bytes:
    return f"{head}\0{context}".encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """Return the bytes, None unless `text` is the one way to write them: a changed character must never go unnoticed."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None
