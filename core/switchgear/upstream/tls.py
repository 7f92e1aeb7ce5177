"""TLS contexts: certificates are verified against the system's roots or one bundle, TLS 1.2 at least.

A context belongs to what its files held when they were read, not to their paths: files are read again when a provider is written,
when a handshake failed, on a reload and now and then, and a certificate that was renewed in place is in use from then on. A file
that cannot be used any more leaves the last good one in use. Files are read in threads, which are waited for only so long.
"""

import asyncio
import contextlib
import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final, TypeAlias

import structlog
from msgspec import Struct

from switchgear.contracts.upstream import ConnectionSettings
from switchgear.errors import ConfigError, FileUnusable
from switchgear.regular import read_regular

_Key: TypeAlias = tuple[str | None, str | None, bool]

_MOST_BYTES: Final = 4 * 1024 * 1024
_CERTIFICATES: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.+?-----END [A-Z0-9 ]+-----", re.DOTALL
)
_PATIENCE_S: Final = 0.5
"""How long the event loop waits for files, which take a fraction of a millisecond unless their disk hangs."""
_PAUSE_S: Final = 1.0
"""Seconds between two looks that failed handshakes ask for."""
_MOST_THREADS: Final = 8
_log = structlog.stdlib.get_logger(__name__)


class _Made(Struct, frozen=True):
    """A context, and what its files held: a digest."""

    context: ssl.SSLContext
    content: bytes


class TlsContexts:
    """Makes a context for each set of files and keeps it; reading the system's roots takes tens of milliseconds."""

    def __init__(self) -> None:
        self._made: dict[_Key, _Made] = {}
        self._reading: dict[_Key, Future[_Made]] = {}
        self._looked_at: dict[_Key, float] = {}
        self._looking: dict[_Key, asyncio.Task[None]] = {}
        self.failures: dict[str, str] = {}
        """What is wrong with files of which an older content is in use, by path."""

    def get(self, settings: ConnectionSettings) -> ssl.SSLContext:
        """Return the context in use for these settings; raise `ConfigError` for a file that cannot be used."""
        made = self._made.get(_key(settings))
        return self.read(settings) if made is None else made.context

    def read(self, settings: ConnectionSettings) -> ssl.SSLContext:
        """Read the files now, use what they hold, and return the context. Raises `ConfigError`."""
        key = _key(settings)
        if key[:2] == (None, None):
            made = self._made.get(key) or _make(key)
        else:
            try:
                made = self._start(key).result(_PATIENCE_S)
            except TimeoutError:
                raise ConfigError(f"{_named(key)} could not be read within {_PATIENCE_S:g} s; try again") from None
        return self._use(key, made)

    async def renew(self, settings: ConnectionSettings, used: ssl.SSLContext) -> bool:
        """Look at the files again because a handshake with `used` failed; say whether there is another context now.

        Whoever fails while somebody looks already waits for what is found.
        """
        key = _key(settings)
        now = asyncio.get_running_loop().time()
        looking = self._looking.get(key)
        if looking is None and key[:2] != (None, None) and now >= self._looked_at.get(key, 0.0) + _PAUSE_S:
            self._looked_at[key] = now
            looking = self._looking[key] = asyncio.create_task(self._look(key))
            looking.add_done_callback(lambda _: self._looking.pop(key))
        if looking is not None:
            await asyncio.shield(looking)
        made = self._made.get(key)
        return made is not None and made.context is not used

    async def renew_all(self) -> None:
        """Look at all files again."""
        self.failures.clear()
        for key in [key for key in self._made if key[:2] != (None, None)]:
            await self._look(key)

    async def _look(self, key: _Key) -> None:
        before = self._made.get(key)
        try:
            made = await asyncio.wait_for(asyncio.wrap_future(self._start(key)), 10 * _PATIENCE_S)
        except (ConfigError, TimeoutError) as error:
            why = str(error) or f"{_named(key)} cannot be read: the disk does not answer"
            self.failures[_named(key)] = why
            _log.warning("certificates cannot be read again; what was read before stays in use", reason=why)
            return
        self._use(key, made)
        if before is not None and before.content != made.content:
            _log.info("certificates were renewed", files=[path for path in key[:2] if path is not None])

    def _use(self, key: _Key, made: _Made) -> ssl.SSLContext:
        before = self._made.get(key)
        if before is None or before.content != made.content:
            self._made[key] = before = made
        return before.context

    def _start(self, key: _Key) -> "Future[_Made]":
        """Begin to read, unless it has begun. A thread that hangs is left behind; it does not hold up the end of the process."""
        running = self._reading.get(key)
        if running is not None and not running.done():
            return running
        if sum(not future.done() for future in self._reading.values()) >= _MOST_THREADS:
            raise ConfigError(f"{_named(key)} cannot be read now: other files are still waited for")
        future = self._reading[key] = Future[_Made]()
        threading.Thread(target=_run, args=(future, lambda: _make(key)), name="switchgear-tls", daemon=True).start()
        return future


def _run(future: "Future[_Made]", make: Callable[[], _Made]) -> None:
    try:
        made = make()
    except BaseException as error:  # noqa: BLE001 - whoever waits raises it
        future.set_exception(error)
    else:
        with contextlib.suppress(RuntimeError):
            future.set_result(made)


def _key(settings: ConnectionSettings) -> _Key:
    return settings.ca_bundle, settings.client_cert, settings.verify_tls


def _named(key: _Key) -> str:
    names = zip(("ca_bundle", "client_cert"), key[:2], strict=True)
    return " and ".join(f"{name} {path!r}" for name, path in names if path is not None)


def _make(key: _Key) -> _Made:
    ca_bundle, client_cert, verify_tls = key
    held: list[bytes] = []
    if ca_bundle is None:
        context = ssl.create_default_context()
    else:
        held.append(_content("ca_bundle", ca_bundle))
        try:
            context = ssl.create_default_context(cadata=_certificates(held[0]))
        except (ssl.SSLError, ValueError):
            raise ConfigError(
                f"ca_bundle {ca_bundle!r} cannot be used: it is not PEM; it holds certificates in PEM form"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if client_cert is not None:
        held.append(_content("client_cert", client_cert))
        try:
            context.load_cert_chain(client_cert, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"client_cert {client_cert!r} cannot be used: {_reason(error)}; the file holds the"
                " certificate and its key in PEM form, the key without a password"
            ) from None
    if not verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return _Made(context, _digest(held))


def _content(field: str, path: str) -> bytes:
    try:
        return read_regular(path, most=_MOST_BYTES)
    except FileUnusable as error:
        raise ConfigError(f"{field} {path!r} cannot be used: {error}") from None


def _certificates(content: bytes) -> str:
    """Return the certificates of a bundle, without the comments between them. Raises ValueError if it has none."""
    found = b"\n".join(_CERTIFICATES.findall(content)).decode("ascii")
    if not found:
        raise ValueError("no certificate")  # an empty bundle would mean the system's roots
    return found


def _digest(held: Iterable[bytes]) -> bytes:
    return b"".join(hashlib.sha256(content).digest() for content in held)


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None) or ""
    if said == "KEY_VALUES_MISMATCH":
        return "its key is not that of its certificate"
    return "it is not PEM"
