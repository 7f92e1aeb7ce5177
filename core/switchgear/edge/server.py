"""Serving: sockets, signals and an orderly end, inside the loop that is already running.

The end never cancels a request, which would lose its usage: what is in flight may finish, and what is still there after
the grace period is asked to stop by the caller's own means.
"""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from uvicorn._types import ASGI3Application
from uvicorn.config import Config

from switchgear.ambient import Ambient
from switchgear.edge.limits import Calls, EdgeLimits, EdgeState, NoCalls
from switchgear.edge.overload import Overload
from switchgear.edge.protocol import EdgeProtocol
from switchgear.edge.settings import OverloadSettings
from switchgear.errors import BootError

_BACKLOG = 2048
# Bytes the operating system keeps unsent for one reader, beside the write buffer of EdgeLimits.
_UNSENT = 128 * 1024
# How long bytes already on their way are waited for before silent connections are closed.
_LAST_CALL = 0.1
# What aborted streams get to say that they end.
_FAREWELL = 2.0
_POLL = 0.02


async def serve(
    app: ASGI3Application,
    *,
    host: str,
    port: int,
    limits: EdgeLimits,
    grace: float,
    on_drain: Callable[[], None],
    abort_streams: Callable[[], None],
    ready: Callable[[int], None],
    sockets: Sequence[socket.socket] | None = None,
    on_hangup: Callable[[], None] | None = None,
    on_refused: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    ambient: Ambient | None = None,
    overload: Overload | None = None,
    calls: Calls | None = None,
    root_path: str = "",
) -> None:
    """Serve `app` until SIGTERM, SIGINT or `stop`, then drain and return; a second signal ends the process at once.

    `ready` is told the bound port once connections are accepted (`port` may be 0). `sockets`, bound and owned by the
    caller until now, take the place of host and port. Draining calls `on_drain`, accepts nothing more, closes idle
    connections and lets the rest finish for `grace` seconds; then it calls `abort_streams`, waits two seconds more and
    cuts what is left. `on_hangup` is called on SIGHUP, `on_refused` with the code of every request or connection that
    the edge turns away. `overload` says how much may be in flight; `calls` are answered without ASGI. Paths below
    `root_path` are those below nothing. Raises `BootError` when the address cannot be bound.
    """
    listeners = list(sockets) if sockets is not None else bind(host, port)
    ambient = ambient or Ambient()
    overload = overload or Overload(OverloadSettings(), ambient=ambient)
    state = EdgeState(limits, ambient, on_refused or _ignore, overload, calls or NoCalls(), root_path.encode())
    stop = stop or asyncio.Event()
    _allow_open_files()
    config = _config(app)
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    overload.start(state.tasks)
    try:
        for listener in listeners:
            _tune(listener)
            servers.append(
                await loop.create_server(lambda: EdgeProtocol(config, state, {}, loop), sock=listener, backlog=_BACKLOG)
            )
        with _signals(loop, stop, on_hangup):
            ready(listeners[0].getsockname()[1])
            await _until_stopped(stop, state)
            on_drain()
            await _drain(servers, state, grace, abort_streams)
    finally:
        overload.stop()
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.transport.abort()


def _ignore(_code: str) -> None:
    """Nobody counts refusals."""


def _config(app: ASGI3Application) -> Config:
    config = Config(
        app,
        http=EdgeProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    return config


async def _until_stopped(stop: asyncio.Event, state: EdgeState) -> None:
    while not stop.is_set():
        state.refresh_date()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)


async def _drain(
    servers: Sequence[asyncio.Server], state: EdgeState, grace: float, abort_streams: Callable[[], None]
) -> None:
    state.draining = True
    for server in servers:
        server.close()
    await asyncio.sleep(min(_POLL, grace))  # for connections that are just being accepted
    await _finished(state, min(_LAST_CALL, grace))
    for connection in list(state.connections):
        connection.shutdown()
    if await _finished(state, grace):
        return
    state.log.warning("%d requests outlasted the grace period of %g s and are ended", len(state.tasks), grace)
    abort_streams()
    if not await _finished(state, _FAREWELL):
        state.log.error("%d requests did not end when told to; their connections are cut", len(state.tasks))


async def _finished(state: EdgeState, within: float) -> bool:
    """Wait for every connection and request to end; say whether they did."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while state.connections or state.tasks:
        left = deadline - loop.time()
        if left <= 0:
            return False
        state.refresh_date()
        await asyncio.sleep(min(_POLL, left))
    return True


@contextlib.contextmanager
def _signals(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, on_hangup: Callable[[], None] | None
) -> Iterator[None]:
    """Handle signals while serving; does nothing outside the main thread, where there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            # Neither a busy loop nor a stuck plugin may hold this up: what was acknowledged is in the journal.
            os._exit(128 + number)
        seen.append(number)
        loop.call_soon_threadsafe(stop.set)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if on_hangup is None and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        numbers.append(signal.SIGHUP)  # a terminal that closes must not cut every stream; under nohup it is ignored
    before = {number: signal.signal(number, handle) for number in numbers}
    if on_hangup is not None:
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        if on_hangup is not None:
            loop.remove_signal_handler(signal.SIGHUP)
        for number, handler in before.items():
            signal.signal(number, handler)


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Bind every address of `host`; with port 0 the first address chooses for all. Nobody is listened to yet.

    A `shared` one may be bound again by this user: whoever connects comes to one of those that listen there.

    Raises `BootError` with what to do.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise BootError(
            f"{host!r} is not an address of this machine ({error.strerror}): choose another --host"
        ) from error
    bound: list[socket.socket] = []
    for family, kind, protocol, _, found_address in dict.fromkeys(found):
        address = found_address
        if bound and not port:
            address = (address[0], bound[0].getsockname()[1], *address[2:])
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.setblocking(False)
        except OSError as error:
            for other in (listener, *bound):
                other.close()
            raise BootError(_why(error, host, port)) from error
        bound.append(listener)
    return bound


def listen(listeners: Sequence[socket.socket]) -> None:
    """Let connections wait until they are served. Raises `BootError` where somebody else was faster."""
    for listener in listeners:
        try:
            listener.listen(_BACKLOG)
        except OSError as error:
            host, port = listener.getsockname()[:2]
            raise BootError(_why(error, host, port)) from error


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: stop what listens there or choose another --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges this process lacks: choose a --port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: choose another --host, 0.0.0.0 for all"
    return f"cannot listen on {host} port {port} ({error.strerror}): choose another --host or --port"


def _tune(listener: socket.socket) -> None:
    """Set what accepted connections inherit."""
    if listener.family != getattr(socket, "AF_UNIX", None):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)


def _allow_open_files() -> None:
    """Raise the soft limit of open files to the hard one: a connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Where the hard limit says "unlimited" but the system has another bound (macOS), the soft one stays as it is.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
