import asyncio
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import click
from msgspec import Struct, structs

import switchgear
from switchgear.ambient import Ambient
from switchgear.cli.common import answer, config_option, gateway_flags, json_option, read_config
from switchgear.config import Config
from switchgear.discovery import Discovery, Installed, load
from switchgear.errors import BootError, PluginError, SwitchgearError
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel
from switchgear.settings import GatewaySettings

_EXTRA = re.compile(r"""^(?P<name>[A-Za-z0-9._-]+).*;.*\bextra\s*==\s*["'](?P<extra>[^"']+)["']""")
_STORE_TIMEOUT_S = 10.0


class Finding(Struct, frozen=True):
    """What one check found; `detail` says what is so, or what to do."""

    check: str
    ok: bool
    detail: str


@click.command()
@config_option
@gateway_flags("host", "port", "data_dir")
@json_option
def doctor(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Find what keeps the gateway from running on this machine: Python, clock, directories, port, plugins, store.

    Opens the store, and so migrates its schema. Exit code 1 if something is wrong.
    """
    findings = list(_examine(path, flags))
    healthy = all(finding.ok for finding in findings)
    if as_json:
        answer({"ok": healthy, "checks": [structs.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.secho("ok  " if finding.ok else "BAD ", fg="green" if finding.ok else "red", nl=False)
            click.echo(f"{finding.check}: {finding.detail}")
    raise SystemExit(0 if healthy else 1)


def _examine(path: Path | None, flags: dict[str, str]) -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} (3.11 or newer is needed)")
    yield _clock()
    try:
        config = read_config(path, flags)
    except BootError as error:
        yield Finding("config", False, str(error))
        return
    gateway = config.gateway
    yield _try("data directory", lambda: _writable(gateway.data_path))
    yield _try("journal", lambda: _writable(gateway.data_path / "journal"))
    yield _try("port", lambda: _bindable(gateway))
    yield from _extras(config)
    kernel = Kernel(config)
    try:
        kernel.boot()
    except BootError as error:
        yield from (Finding("config", False, failure) for failure in error.failures)
        return
    detail = f"{config.source or 'the default configuration'}, {len(kernel.plugins)} plugins enabled"
    yield Finding("config", True, "; ".join((detail, *kernel.warnings)))
    yield _try("store", lambda: asyncio.run(_open_store(kernel)))


def _try(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, True, look())
    except (ImportError, OSError, SwitchgearError, TimeoutError) as error:
        return Finding(check, False, str(error) or type(error).__name__)


def _clock() -> Finding:
    installed = Path(switchgear.__file__).stat().st_mtime
    now_s = Ambient().now_us() / 1e6
    ahead = now_s > installed
    return Finding(
        "clock",
        ahead,
        datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        + ("" if ahead else ", before this was installed: set it"),
    )


def _writable(directory: Path) -> str:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"x")
    return str(directory)


def _bindable(gateway: GatewaySettings) -> str:
    family, kind, proto, _, address = socket.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            reason = f"{gateway.host}:{gateway.port} cannot be bound ({error.strerror})"
            raise OSError(f"{reason}: a gateway runs already, or choose another --host or --port") from error
    return f"{gateway.host}:{gateway.port} is free"


def _extras(config: Config) -> Iterator[Finding]:
    """Look for what the extra of each enabled plugin's own name asks for: nothing wrong where it loads without that."""
    for installed in Discovery():
        if installed.name not in config.enabled:
            continue
        wanted = [
            found["name"]
            for line in metadata.requires(installed.distribution) or ()
            if (found := _EXTRA.match(line)) and found["extra"].replace("-", "_") == installed.name.replace("-", "_")
        ]
        missing = [name for name in wanted if not _is_installed(name)]
        if missing:
            yield Finding(
                "extras",
                _loads(installed),
                f"{', '.join(missing)} missing, for all of `{installed.name}`:"
                f" pip install '{installed.distribution}[{installed.name}]'",
            )
        elif wanted:
            yield Finding("extras", True, f"{installed.name}: {', '.join(wanted)}")


def _loads(installed: Installed) -> bool:
    try:
        load(installed)
    except PluginError:
        return False
    return True


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


async def _open_store(kernel: Kernel) -> str:
    bound = kernel.registry.one(Hooks.switchgear_stores)
    if bound is None:
        return "no plugin offers one: nothing is kept"
    store = kernel.make(bound)
    async with asyncio.timeout(_STORE_TIMEOUT_S):
        await store.open(kernel.migrations(store))
        try:
            await store.ping()
        finally:
            await store.close()
    return f"`{bound.item.name}` opens and answers"
