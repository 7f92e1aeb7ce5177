"""`switchgear db`: the store's schema."""

import asyncio
from pathlib import Path

import click
import msgspec

from switchgear.cli.common import answer, booted, config_option, gateway_flags, json_option
from switchgear.contracts.store import Migratable, MigrationState, Store
from switchgear.errors import PluginError
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel


@click.group()
def db() -> None:
    """Show and migrate the schema of the store."""


@db.command()
@config_option
@gateway_flags("data_dir")
@json_option
def migrate(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Apply pending migrations. `switchgear serve` does this too when it starts."""
    kernel = booted(path, flags)

    async def run() -> list[MigrationState]:
        store, migratable = _store(kernel)
        await store.open(kernel.migrations)
        await store.close()
        return await migratable.migration_status(kernel.migrations)

    _show(asyncio.run(run()), as_json=as_json)


@db.command()
@config_option
@gateway_flags("data_dir")
@json_option
def status(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """List migrations and whether each is applied. Changes nothing."""
    kernel = booted(path, flags)
    _, migratable = _store(kernel)
    _show(asyncio.run(migratable.migration_status(kernel.migrations)), as_json=as_json)


def _store(kernel: Kernel) -> tuple[Store, Migratable]:
    bound = kernel.registry.one(Hooks.switchgear_stores)
    if bound is None:
        raise PluginError("no store is enabled. Enable a plugin that offers one with `switchgear plugins enable NAME`.")
    store = bound.item.factory()
    if not isinstance(store, Migratable):
        raise PluginError(f"the store `{bound.item.name}` has no schema, so there is nothing to migrate.")
    return store, store


def _show(states: list[MigrationState], *, as_json: bool) -> None:
    if as_json:
        answer(msgspec.to_builtins(states))
        return
    for state in states:
        click.echo(f"{state.namespace}/{state.number:04d}_{state.name}  {state.state}")
