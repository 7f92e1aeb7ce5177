"""`switchgear serve`: the gateway itself."""

import asyncio
import contextlib
import faulthandler
import gc
import ipaddress
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from switchgear.ambient import Ambient
from switchgear.cli import EARLY
from switchgear.cli.common import config_option, gateway_flags, read_config
from switchgear.cli.leaving import Leaving
from switchgear.cli.signals import Early
from switchgear.contracts.kernel import Serving
from switchgear.errors import ConfigError
from switchgear.first_run import FirstRun
from switchgear.gateway import Gateway
from switchgear.memory import give_back, keep_large_apart
from switchgear.settings import GatewaySettings
from switchgear.telemetry.logs import Logs

if TYPE_CHECKING:
    from switchgear.cli.workers import Worker

_SHORTEST_KEY = 16
_FEWEST_LETTERS = 6
_GC_THRESHOLD = 10_000
"""Containers made, less those freed, before the collector looks at the youngest."""


def _serving(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what every way to serve may be told."""
    option = click.option(
        "--allow-open-bind", is_flag=True, help="Listen beyond loopback although ADMIN_KEY is not set."
    )
    return config_option(gateway_flags("host", "port", "data_dir", "log_level", "workers")(option(command)))


@click.command()
@_serving
def serve(**options: Any) -> None:
    """Run the gateway until SIGTERM or Ctrl-C: /v1 for clients, /admin/v1 for operators, /docs to read about the latter.

    Flags override the environment, which overrides plugins.toml; SIGHUP reads all of it again, for plugins that can
    take new settings while running.
    """
    _serve(**options)


@click.command()
@_serving
def api(**options: Any) -> None:
    """Run the gateway as `serve` does, without the files and pages of plugins: there is no console at /ui/."""
    _serve(pages=False, **options)


@click.command()
@config_option
@gateway_flags("data_dir", "log_level")
def worker(*, path: Path | None, flags: dict[str, str]) -> None:
    """Run background jobs until SIGTERM or Ctrl-C, and listen nowhere: beside gateways that share its store, any number of them.

    What it has begun when it ends is put back for others.
    """
    early: Early = click.get_current_context().meta.get(EARLY) or Early()
    config = read_config(path, flags)
    logs = Logs(level=config.gateway.log_level)
    logs.install()
    gateway = Gateway(config)
    leaving = Leaving(gateway.kernel.faults, logs.flush, gateway.kernel.ambient.monotonic)
    _run_loop(_work(gateway, early, leaving))


async def _work(gateway: Gateway, early: Early, leaving: Leaving) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    early.on_end(lambda: loop.call_soon_threadsafe(stop.set))
    await gateway.start()
    try:
        _begin_collecting()
        gateway.work()
        with contextlib.suppress(OSError):
            click.echo(f"Switchgear works on background jobs (data in {gateway.settings.data_path})")
        await stop.wait()
    finally:
        leaving.begin(gateway.settings.drain_grace + gateway.settings.plugin_timeout)
        await gateway.stop()
    await leaving.end()


def _serve(*, path: Path | None, flags: dict[str, str], allow_open_bind: bool, pages: bool = True) -> None:
    early: Early = click.get_current_context().meta.get(EARLY) or Early()
    if sys.__stderr__ is not None:  # SIGABRT, with which supervisors end what hangs, says where it hung
        faulthandler.enable(sys.__stderr__, all_threads=False)
    keep_large_apart()
    config = read_config(path, flags)
    logs = Logs(level=config.gateway.log_level)
    logs.install()
    worker: Worker | None = None
    if config.gateway.workers > 1:
        if not allow_open_bind:
            _refuse_open_bind(config.gateway)
        from switchgear.cli.workers import Supervisor  # noqa: PLC0415 - most gateways are one process

        gc.enable()  # it watches for as long as they live
        worker = Supervisor(config.gateway.host, config.gateway.port, config.gateway.workers, Ambient()).run()
        early = Early()
        config = read_config(path, flags)
    gateway = Gateway(
        config,
        reread=lambda: read_config(path, flags),
        pages=pages,
        listeners=None if worker is None else worker.listeners,
        siblings=None if worker is None else (worker.directory, worker.index),
    )
    dropped = gateway.kernel.metrics.counter("log_lines_dropped", "Log lines that nobody read in time.").child()
    logs.write_aside(dropped.inc)
    if not allow_open_bind:
        _refuse_open_bind(config.gateway)
    leaving = Leaving(gateway.kernel.faults, logs.flush, gateway.kernel.ambient.monotonic)
    _run_loop(_run(gateway, early, leaving, worker))


def _begin_collecting() -> None:
    """Enable the garbage collector once the gateway has started.

    What is alive then lives as long as the process, so the collector need not look at it again. What comes later is mostly
    freed as its exchange ends, without the collector, which therefore need not look often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    gc.enable()


def _run_loop(work: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop  # noqa: PLC0415 - not on Windows

        uvloop.run(work)


async def _run(gateway: Gateway, early: Early, leaving: Leaving, worker: "Worker | None") -> None:
    await _start_and_serve(gateway, early, leaving, worker)
    await leaving.end()


async def _start_and_serve(gateway: Gateway, early: Early, leaving: Leaving, worker: "Worker | None") -> None:
    starting = asyncio.create_task(_start(gateway))
    loop = asyncio.get_running_loop()
    early.on_end(lambda: loop.call_soon_threadsafe(starting.cancel))
    try:
        await starting
    except asyncio.CancelledError:
        if early.ended:
            return
        raise
    await _serve_until_stopped(gateway, early, leaving, worker)


async def _start(gateway: Gateway) -> None:
    try:
        gateway.bind()
        await gateway.start(first_run=True)
    except BaseException:
        await gateway.stop()
        raise


async def _serve_until_stopped(gateway: Gateway, early: Early, leaving: Leaving, worker: "Worker | None") -> None:
    settings = gateway.settings

    def draining() -> None:
        leaving.begin(settings.drain_grace + settings.plugin_timeout)

    telling: list[asyncio.Task[None]] = []

    def ready(port: int) -> None:
        if worker is None or worker.announces:
            _announce(gateway, port)
        if worker is not None:
            worker.began()
        early.serving()
        telling.append(asyncio.create_task(_tell(gateway, port)))

    giving_back = asyncio.create_task(give_back())
    try:
        _begin_collecting()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        early.on_end(lambda: loop.call_soon_threadsafe(stop.set))
        if worker is not None:
            loop.add_reader(worker.watched, stop.set)  # the one that watches is gone
        await gateway.serve(ready, stop, draining)
    finally:
        giving_back.cancel()
        await gateway.stop()


def _announce(gateway: Gateway, port: int) -> None:
    with contextlib.suppress(OSError):  # nobody may be there to read it, or the disk be full: it serves all the same
        _say_hello(gateway, port)


async def _tell(gateway: Gateway, port: int) -> None:
    is_seen = sys.stdout is not None and sys.stdout.isatty()
    async for text in gateway.notices(Serving(_url(gateway, port), is_seen)):
        with contextlib.suppress(OSError):
            click.echo(text)


def _url(gateway: Gateway, port: int) -> str:
    host = gateway.settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{gateway.settings.root_path}"


def _say_hello(gateway: Gateway, port: int) -> None:
    settings = gateway.settings
    url = _url(gateway, port)
    click.echo(f"Switchgear serves {url} (data in {settings.data_path})")
    for warning in gateway.kernel.warnings:
        click.echo(f"Note: {warning}")
    if gateway.first_run is not None:
        _welcome(gateway.first_run, url, settings)


def _welcome(first: FirstRun, url: str, settings: GatewaySettings) -> None:
    """Show the first key once: on a terminal, else it stays in a file that only this user can read."""
    key = first.once.get("key")
    if key is None:
        return
    if sys.stdout is not None and sys.stdout.isatty():
        click.echo(f"\nYour first key, shown once: {key}")
        sys.stdout.flush()
        first.file.unlink()  # it has been seen
        bearer = key
    else:
        click.echo(f"Your first key is in {first.file}")
        bearer = f"$(cat '{first.file}')"
    if first.model is not None:
        body = f'{{"model": "{first.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
        click.echo(
            "Try it:\n"
            f'  curl {url}/v1/chat/completions -H "Authorization: Bearer {bearer}" \\\n'
            f"    -H 'Content-Type: application/json' -d '{body}'"
        )
    for provider in first.found:
        click.echo(f'Found a key for {provider} in the environment: ask for its models as "{provider}/<model>".')
    if settings.admin_key:
        click.echo(f"Add providers and keys over the admin API: {url}/docs")
    else:
        click.echo("To add providers and keys over the admin API, start with ADMIN_KEY=… in the environment.")
    if sys.stdout is not None:
        sys.stdout.flush()


def _refuse_open_bind(settings: GatewaySettings) -> None:
    if _is_loopback(settings.host):
        return
    if settings.admin_key:
        if len(settings.admin_key) < _SHORTEST_KEY or len(set(settings.admin_key)) < _FEWEST_LETTERS:
            raise ConfigError(
                f"[gateway] admin_key: {settings.host} can be reached from other machines, and this admin key can be guessed: "
                f"take one of at least {_SHORTEST_KEY} characters, as `openssl rand -hex 24` makes."
            )
        return
    raise ConfigError(
        f"[gateway] host: {settings.host} can be reached from other machines and there is no admin key, so the admin side"
        " could only be entered with keys of its own. Set ADMIN_KEY in the environment, or pass --allow-open-bind."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
