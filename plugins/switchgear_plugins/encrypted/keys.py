"""Master keys: where they come from, and the proof that they are the ones secrets were sealed with."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.errors import PluginError
from switchgear_plugins.encrypted.files import create_once, replace

VARIABLE = "SWITCHGEAR_MASTER_KEY"
SIZE = 32
"""Bytes of a master key: AES-256."""

_KEY_FILE = "master.key"
_CHECK_FILE = "master.check"
_ACCEPTED = "32 bytes as base64, base64url or 64 hex digits (`openssl rand -base64 32` makes one)"


class MasterKey(Struct, frozen=True):
    """A key and the id that sealed texts carry; the id says nothing about the key."""

    id: str
    value: bytes

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    @classmethod
    def of(cls, key: bytes) -> "MasterKey":
        """Make it from 32 bytes."""
        return cls(_proof(key, b"switchgear master key id")[:12], key)

    @property
    def check(self) -> str:
        """What is kept beside the data to know the key again."""
        return f"{self.id}:{_proof(self.value, b'switchgear master key check')}"


def load(environ: Mapping[str, str], directory: Path, ambient: Ambient) -> tuple[MasterKey, ...]:
    """Return the master keys, the current one first; those after it only open what was sealed with them.

    They are those of the environment variable, comma-separated, and that of the file, which is made if there is neither.
    Raises `PluginError` for a key that is none, a file others may read, and keys that are not those of this directory.
    """
    keys = [MasterKey.of(parse(text, VARIABLE)) for text in environ.get(VARIABLE, "").split(",") if text.strip()]
    file, check = directory / _KEY_FILE, directory / _CHECK_FILE
    begun = check.exists()  # asked first: another process that starts now makes the key before the check
    if not file.exists() and not keys and begun:
        raise PluginError(
            f"encrypted: the master key {_first(check.read_bytes())} is missing: set {VARIABLE} or bring back {file}. If it is "
            f"lost, delete {check} and enter every secret again"
        )
    if not keys or file.exists():
        keys.append(MasterKey.of(_from_file(file, ambient)))
    _check(keys, check, ambient)
    return tuple({key.id: key for key in keys}.values())


def parse(text: str, where: str) -> bytes:
    """Read a key as people write it. Raises `PluginError`, which never shows it."""
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        key = base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PluginError(f"encrypted: a master key in {where} is not {_ACCEPTED}") from error
    if len(key) != SIZE:
        raise PluginError(f"encrypted: a master key in {where} has {len(key)} bytes; it must be {_ACCEPTED}")
    return key


def _from_file(file: Path, ambient: Ambient) -> bytes:
    if not file.exists():
        create_once(file, base64.urlsafe_b64encode(ambient.token(SIZE)) + b"\n", ambient)
    mode = file.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PluginError(
            f"encrypted: {file} may be read by others (mode {stat.S_IMODE(mode):04o}); run `chmod 600 {file}`, and if "
            f"somebody may have seen it, put a new key first in {VARIABLE} and run `switchgear secrets rotate`"
        )
    return parse(file.read_text(), str(file))


def _check(keys: Sequence[MasterKey], file: Path, ambient: Ambient) -> None:
    current = keys[0].check.encode()
    known = create_once(file, current, ambient).strip()
    if not any(hmac.compare_digest(known, key.check.encode()) for key in keys):
        raise PluginError(
            f"encrypted: the secrets of this gateway were sealed with master key {_first(known)}, which is not among the keys "
            f"given ({', '.join(key.id for key in keys)}). Set {VARIABLE} to `NEW_KEY,OLD_KEY` to change it. If the old key "
            f"is lost, delete {file} and enter every secret again"
        )
    if known != current:
        replace(file, current, ambient)


def _first(check: bytes) -> str:
    return check.partition(b":")[0].decode(errors="replace")


def _proof(key: bytes, purpose: bytes) -> str:
    return hmac.new(key, purpose, hashlib.sha256).hexdigest()
