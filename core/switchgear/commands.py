"""What commands of plugins are made with, and the kernel's own too: the options every command has, and a gateway to work on.

def switchgear_commands(self):
    return [count]

@click.command()
@config_option
@gateway_flags("data_dir")
@json_option
def count(*, path, flags, as_json):
    async def work(it: Local) -> int:
        data, _ = await it.resources.page("models", limit=500)
        return len(data)

    found = local(path, flags, work)
    answer(found) if as_json else click.echo(found)

`it.plugins["my_plugin"]` is the started plugin, with its settings and its context: its tables, records, jobs, calls from inside.
The plugin that declares the command (`self` above) is another one, made to know its commands, and never started.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from switchgear.cli.common import answer, config_option, gateway_flags, json_option, require_output

if TYPE_CHECKING:
    import httpx

    from switchgear.config import Config
    from switchgear.contracts.declared import Declarations
    from switchgear.contracts.dry_run import DryRun
    from switchgear.contracts.principal import Principal
    from switchgear.contracts.resource import Resources
    from switchgear.contracts.store import Store
    from switchgear.gateway import Gateway
    from switchgear.plugin import Plugin

__all__ = ["Local", "answer", "client", "config_option", "gateway_flags", "json_option", "local", "require_output"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Local:
    """A started gateway without a socket: its store is open and its plugins run.

    `plugins` are the enabled ones by name, each with its settings and context; `by` is who runs the command.
    """

    config: "Config"
    store: "Store"
    resources: "Resources"
    dry_run: "DryRun"
    declarations: "Declarations"
    by: "Principal"
    plugins: "Mapping[str, Plugin[Any]]"

    async def all_of(self, kind: str) -> list[dict[str, Any]]:
        """Return every resource of a kind as the admin API shows it, in id order."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            data, cursor = await self.resources.page(kind, cursor=cursor, limit=500)
            found += map(dict, data)
            if cursor is None:
                return found


def local(path: Path | None, flags: dict[str, str], work: Callable[[Local], Awaitable[T]]) -> T:
    """Start a gateway that serves nobody, do the work on it, stop it. Raises `BootError`, and what `work` raises.

    `path` and `flags` are what `config_option` and `gateway_flags` give. Replicas that serve see a change within a second.
    """
    from switchgear.cli.local import CLI, with_gateway  # noqa: PLC0415 - the whole gateway, for which help has no use
    from switchgear.resources.declarations import ResourceDeclarations  # noqa: PLC0415 - likewise

    async def run(gateway: "Gateway") -> T:
        declarations = ResourceDeclarations(gateway.resources)
        plugins = {item.installed.name: item.plugin for item in gateway.kernel.plugins}
        return await work(
            Local(gateway.kernel.config, gateway.store, gateway.face, gateway.dry_run, declarations, CLI, plugins)
        )

    return with_gateway(path, flags, run)


@asynccontextmanager
async def client(**options: Any) -> "AsyncIterator[httpx.AsyncClient]":
    """Lend a command an HTTP client without a gateway. It goes wherever whoever runs the command says, private networks too.

    `options` are httpx's own; `max_body` is how many bytes an answer may have.
    """
    from switchgear.ambient import Ambient  # noqa: PLC0415 - help has no use for any of it
    from switchgear.upstream.client import Upstream  # noqa: PLC0415
    from switchgear.upstream.egress import EgressPolicy  # noqa: PLC0415

    upstream = Upstream(EgressPolicy(("0.0.0.0/0", "::/0")), Ambient())
    try:
        yield upstream.http(**options)
    finally:
        await upstream.close()
