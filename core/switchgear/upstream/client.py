"""The only way out: makes connections that share one egress policy and one resolver."""

import asyncio
import weakref
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from switchgear.ambient import Ambient
from switchgear.contracts.upstream import Connection, ConnectionSettings
from switchgear.upstream.caps import MAX_PIECE
from switchgear.upstream.dial import Tls
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.http1_engine import Http1Connection
from switchgear.upstream.resolve import Lookup, Resolver, system_lookup
from switchgear.upstream.tls import TlsContexts

if TYPE_CHECKING:
    import httpx


class Upstream:
    """Owned by the kernel, used within one event loop.

    `resolver` replaces the system's name lookup.
    """

    def __init__(
        self,
        egress: EgressPolicy,
        ambient: Ambient,
        resolver: Lookup | None = None,
    ) -> None:
        self._egress = egress
        self._resolver = Resolver(egress, ambient, resolver or system_lookup)
        self._tls = TlsContexts()
        self._buffer = memoryview(bytearray(MAX_PIECE))
        self._made: weakref.WeakSet[Connection] = weakref.WeakSet()

    def connection(self, settings: ConnectionSettings) -> Connection:
        """Return a new pool for one provider resource, to be closed by its owner or with this.

        Raises `ConfigError` for a file that cannot be used and `EgressDenied` for a proxy that is none.
        """
        if settings.ca_bundle is not None or settings.client_cert is not None:
            self._tls.read(settings)  # so that unusable files are reported now, and renewed ones used

        tls = Tls(partial(self._tls.get, settings), partial(self._tls.renew, settings))
        connection = Http1Connection(settings, self._egress, self._resolver, tls=tls, buffer=self._buffer)
        self._made.add(connection)
        return connection

    def http(
        self,
        *,
        settings: ConnectionSettings | None = None,
        max_body: int = 64 * 1024 * 1024,
        **options: Any,
    ) -> "httpx.AsyncClient":
        """Return an httpx client over the same engine and guard; close it, or leave that to `close`.

        `options` are httpx's own, but for those that belong to the connection (`settings`). The environment is not
        looked at and redirects are not followed unless asked for; each hop is then checked like a first request.
        """
        import httpx  # noqa: PLC0415 - starting the gateway does not pay for it

        from switchgear.upstream.cold import ColdTransport  # noqa: PLC0415 - likewise

        taken = options.keys() & {
            "transport",
            "mounts",
            "proxy",
            "verify",
            "cert",
            "trust_env",
            "limits",
            "http2",
        }
        if taken:
            raise TypeError(f"{', '.join(sorted(taken))}: say it in ConnectionSettings")
        headers = httpx.Headers({"accept-encoding": "identity", "user-agent": "switchgear"})
        headers.update(options.pop("headers", None))
        transport = ColdTransport(self.connection(settings or ConnectionSettings()), max_body)
        return httpx.AsyncClient(transport=transport, trust_env=False, headers=headers, **options)

    async def read_again(self) -> None:
        """Look at the files of all connections again: certificates may have been renewed in place."""
        await self._tls.renew_all()

    async def follow(self, interval_s: float = 30.0) -> None:
        """Look at them again now and then, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.read_again()

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What is wrong with files of which an older content is in use."""
        return self._tls.failures

    async def close(self) -> None:
        """Close the idle connections of every pool made here; calls in flight finish."""
        for connection in list(self._made):
            await connection.close()
