"""Makes connections to checked addresses only."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from msgspec import Struct

from switchgear.errors import ConnectFailed, ConnectTimeout
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.resolve import Resolver
from switchgear.upstream.target import Proxy, Target

P = TypeVar("P", bound=asyncio.BaseProtocol)

_MAX_TUNNEL_REPLY: Final = 8 * 1024
_FAILED: Final = "No connection could be made; check the address and that the provider is up."


_WORDS: Final = {
    errno.ECONNREFUSED: "The connection was refused: nothing listens there. Check the port of the address, and that it is up.",
    errno.ENETUNREACH: "There is no route to the provider's address; check the network and the address.",
    errno.EHOSTUNREACH: "The provider's host cannot be reached; check the network and the address.",
    errno.ETIMEDOUT: "The provider's host does not answer; check the address, firewalls and the network.",
    errno.EMFILE: "The gateway may not open more connections: raise its limit of open files.",
    errno.ENFILE: "This machine may not open more files.",
    errno.EADDRNOTAVAIL: "This machine has no port left to connect from.",
}
_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


class Tls(Struct, frozen=True):
    """Where contexts come from: `get` returns the one in use, `renew` looks whether there is another than one that failed."""

    get: Callable[[], ssl.SSLContext]
    renew: Callable[[ssl.SSLContext], Awaitable[bool]]


class _HandshakeFailed(ConnectFailed):
    """TLS was not agreed on."""


class Dialer:
    """Opens a connection to an origin: directly, or through a proxy.

    The address connected to is one that was checked. A name's addresses are tried in order, all of it within `timeout`
    seconds. Through a proxy it is the proxy's address that is checked, and an origin given as a literal address; the
    proxy looks up the names.
    """

    def __init__(
        self,
        egress: EgressPolicy,
        resolver: Resolver,
        *,
        proxy: Proxy | None,
        timeout: float,
        tls: Tls,
    ) -> None:
        self._egress = egress
        self._resolver = resolver
        self._proxy = proxy
        self._timeout = timeout
        self._tls = tls

    def check(self, target: Target) -> None:
        """Raise `EgressDenied` for a literal address that may not be called."""
        if target.literal:
            self._egress.check(target.host)

    def peer(self, target: Target) -> Target:
        """Return what is connected to: the proxy, or the target itself."""
        return target if self._proxy is None else self._proxy.target

    def valid(self, target: Target, address: str) -> bool:
        """Tell, without waiting, whether a connection to `address` made earlier may still serve this target.

        Starts renewing the name's addresses when they are stale.
        """
        peer = target if self._proxy is None else self._proxy.target
        if peer.literal:
            return True
        answer = self._resolver.known(peer.host)
        return answer is not None and address in answer.addresses

    async def dial(self, target: Target, protocol: Callable[[], P]) -> tuple[P, str]:
        """Return a connected protocol and the address it is connected to.

        Raises `EgressDenied`, `ConnectFailed`, `ConnectTimeout`.
        """
        self.check(target)
        peer = self.peer(target)
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await self._addresses(peer)
                return await self._secured(target, peer, addresses, protocol)
        except TimeoutError:
            self._doubt(peer)
            raise ConnectTimeout(
                "No connection was made in time; check the address, or raise connect_timeout."
            ) from None
        except ConnectFailed:
            self._doubt(peer)
            raise

    def _doubt(self, peer: Target) -> None:
        if not peer.literal:
            self._resolver.doubt(peer.host)

    async def _addresses(self, peer: Target) -> tuple[str, ...]:
        if peer.literal:
            self._egress.check(peer.host)
            return (peer.host,)
        return (await self._resolver.resolve(peer.host)).addresses

    async def _secured(
        self, target: Target, peer: Target, addresses: tuple[str, ...], protocol: Callable[[], P]
    ) -> tuple[P, str]:
        """Connect; once more where TLS failed and the files of certificates hold something else now."""
        context = self._tls.get() if target.scheme == "https" else None
        try:
            return await self._first(target, peer, addresses, protocol, context)
        except _HandshakeFailed as error:
            if context is None or not await self._tls.renew(context):
                raise ConnectFailed(*error.args) from None
        try:
            return await self._first(target, peer, addresses, protocol, self._tls.get())
        except _HandshakeFailed as error:
            raise ConnectFailed(*error.args) from None

    async def _first(
        self,
        target: Target,
        peer: Target,
        addresses: tuple[str, ...],
        protocol: Callable[[], P],
        context: ssl.SSLContext | None,
    ) -> tuple[P, str]:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeout
        for index, address in enumerate(addresses):
            share = (ends - loop.time()) / (len(addresses) - index)
            last = index == len(addresses) - 1
            try:
                async with asyncio.timeout(None if last else share):
                    return await self._connect(target, peer, address, protocol, context), address
            except ConnectFailed:
                if last:
                    raise
            except ssl.SSLError as error:
                raise _HandshakeFailed(tls_words(error)) from None
            except OSError as error:  # TimeoutError is one
                if last:
                    raise _failed(error, secure=context is not None) from None
        raise ConnectFailed(_FAILED)

    async def _connect(
        self, target: Target, peer: Target, address: str, protocol: Callable[[], P], context: ssl.SSLContext | None
    ) -> P:
        loop = asyncio.get_running_loop()
        name = None if context is None else target.host.rstrip(".")
        if self._proxy is None or context is None:
            _, made = await loop.create_connection(protocol, address, peer.port, ssl=context, server_hostname=name)
            return made
        sock = await self._tunnel(self._proxy, target, address)
        try:
            _, made = await loop.create_connection(protocol, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return made

    async def _tunnel(self, proxy: Proxy, target: Target, address: str) -> socket.socket:
        """Return a socket that the proxy has joined to the origin (RFC 9110, section 9.3.6)."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (address, proxy.target.port))
            await _join(sock, proxy, target)
        except BaseException:
            sock.close()
            raise
        return sock


def tls_words(error: ssl.SSLError) -> str:
    """Say why TLS was not agreed on, in words of ours and of the TLS library's, none of the peer's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = (error.verify_message or "it is not valid").rstrip(".")
        return f"The provider's certificate was refused: {why}. See ca_bundle and the host of the address."
    reason = error.reason or ""
    if reason in _NO_TLS:
        return (
            "What listens at this port does not speak TLS; should the address begin with http://, or name another port?"
        )
    alert = f" ({reason.replace('_', ' ').lower()})" if reason else ""
    return f"TLS could not be agreed on{alert}. Check client_cert, and which versions of TLS the provider takes."


def _failed(error: OSError, *, secure: bool) -> ConnectFailed:
    if error.errno in _WORDS:
        return ConnectFailed(_WORDS[error.errno])
    if secure and isinstance(error, ConnectionError):  # also how some refuse a client's certificate
        return _HandshakeFailed(
            "The connection was closed during the TLS handshake; does the provider speak TLS at this port, and take client_cert?"
        )
    return ConnectFailed(_FAILED)


async def _join(sock: socket.socket, proxy: Proxy, target: Target) -> None:
    loop = asyncio.get_running_loop()
    host = f"[{target.host}]" if ":" in target.host else target.host
    ask = f"CONNECT {host}:{target.port} HTTP/1.1\r\nhost: {host}:{target.port}\r\n"
    if proxy.authorization is not None:
        ask += f"proxy-authorization: {proxy.authorization}\r\n"
    await loop.sock_sendall(sock, f"{ask}\r\n".encode())
    reply = b""
    # The origin is silent until TLS starts, so the proxy's reply is all there is to read.
    while not reply.endswith(b"\r\n\r\n"):
        piece = await loop.sock_recv(sock, _MAX_TUNNEL_REPLY - len(reply))
        if not piece:
            raise ConnectFailed("The proxy closed the connection, or its reply is over 8 KiB.")
        reply += piece
    if reply.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectFailed("The proxy refused to connect; check its credentials and rules.")
