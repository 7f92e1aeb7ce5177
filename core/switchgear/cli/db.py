"""`switchgear db`: the store's schema."""

import asyncio
import os
from pathlib import Path

import click
import msgspec

from switchgear.cli.common import answer, booted, config_option, gateway_flags, json_option
from switchgear.config import load
from switchgear.contracts.store import BackedUp, Migratable, MigrationState, Movable, Store
from switchgear.errors import PluginError
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel


@click.group()
def db() -> None:
    """Show and migrate the schema of the store; copy it and bring a copy back."""


@db.command()
@config_option
@gateway_flags("data_dir")
@json_option
def migrate(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Apply pending migrations. `switchgear serve` does this too when it starts."""
    kernel = booted(path, flags)

    async def run() -> list[MigrationState]:
        store, migratable = _store(kernel)
        await store.open(kernel.migrations(store))
        await store.close()
        return await migratable.migration_status(kernel.migrations(store))

    _show(asyncio.run(run()), as_json=as_json)


@db.command()
@config_option
@gateway_flags("data_dir")
@json_option
def status(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """List migrations and whether each is applied. Changes nothing."""
    kernel = booted(path, flags)
    store, migratable = _store(kernel)
    _show(asyncio.run(migratable.migration_status(kernel.migrations(store))), as_json=as_json)


@db.command()
@click.argument("to", type=click.Path(path_type=Path))
@config_option
@gateway_flags("data_dir")
@json_option
def backup(*, to: Path, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Copy the store into the new file TO, also while gateways use it, and check the copy.

    Secrets in it stay encrypted: keep the master key elsewhere.
    """
    store = _backed_up(booted(path, flags))
    size = asyncio.run(store.backup(to))
    if as_json:
        answer({"file": str(to), "bytes": size})
    else:
        click.echo(f"{to}: {size} bytes, checked.")


@db.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--over-newer", is_flag=True, help="Also replace a store that was changed after the backup was made.")
@config_option
@gateway_flags("data_dir")
@json_option
def restore(*, source: Path, over_newer: bool, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Check the backup FILE and put it in the place of the store, which no gateway may have open.

    What was there is kept beside it under another name.
    """
    kernel = booted(path, flags)
    store = _backed_up(kernel)
    kept = asyncio.run(store.restore(source, kernel.migrations(store), over_newer=over_newer))
    if as_json:
        answer({"restored": str(source), "kept": None if kept is None else str(kept)})
    else:
        click.echo(f"{source} is in place." + ("" if kept is None else f" What was there is in {kept}."))


@db.command()
@click.option("--to", "target", type=click.Path(path_type=Path), help="The configuration of the store to fill.")
@click.option(
    "--with", "environ", multiple=True, metavar="NAME=VALUE", help="A variable that is another for it; may be empty."
)
@config_option
@gateway_flags("data_dir")
@json_option
def copy(
    *, target: Path | None, environ: tuple[str, ...], path: Path | None, flags: dict[str, str], as_json: bool
) -> None:
    """Copy all that the store holds into another, empty one, of whatever engine.

    Resources with all their versions, records, jobs and the tables of plugins. The other store is that of another configuration
    (`--to`), or of the same one with other variables: `--with DATABASE_URL=postgresql://...`, and back with
    `--with DATABASE_URL=`. Nothing else should write meanwhile: what comes later is not in the copy. Secrets stay encrypted,
    under the same master key.
    """
    if target is None and not environ:
        raise click.UsageError("Say where to: --to FILE, or --with NAME=VALUE.")
    if wrong := [one for one in environ if "=" not in one]:
        raise click.BadParameter(f"{wrong[0]!r} is no NAME=VALUE", param_hint="--with")
    known = {**os.environ, **dict(one.split("=", 1) for one in environ)}
    source = booted(path, flags)
    filled = Kernel(load(target or path, environ={name: value for name, value in known.items() if value}, flags=flags))
    filled.boot()
    counts = asyncio.run(_copied(source, filled))
    if as_json:
        answer(counts)
        return
    for name, count in counts.items():
        click.echo(f"{name}  {count}")


async def _copied(source: Kernel, target: Kernel) -> dict[str, int]:
    (old, migratable), (new, _) = _store(source), _store(target)
    for one in (old, new):
        if not isinstance(one, Movable):
            raise PluginError(f"a store of the type {type(one).__name__} cannot be copied.")
    assert isinstance(old, Movable)
    assert isinstance(new, Movable)
    if not all(line.state in {"applied", "idle"} for line in await migratable.migration_status(source.migrations(old))):
        raise PluginError(
            "the schema of the store to copy is not that of this code: run `switchgear db migrate` first."
        )
    await new.open(target.migrations(new))
    await new.close()
    return dict(await asyncio.to_thread(new.load, old.unload()))


def _backed_up(kernel: Kernel) -> BackedUp:
    bound = kernel.registry.one(Hooks.switchgear_stores)
    store = None if bound is None else kernel.make(bound)
    if not isinstance(store, BackedUp):
        raise PluginError("no store that can be copied is enabled: use the tools of the database that holds it.")
    return store


def _store(kernel: Kernel) -> tuple[Store, Migratable]:
    bound = kernel.registry.one(Hooks.switchgear_stores)
    if bound is None:
        raise PluginError("no store is enabled. Enable a plugin that offers one with `switchgear plugins enable NAME`.")
    store = kernel.make(bound)
    if not isinstance(store, Migratable):
        raise PluginError(f"the store `{bound.item.name}` has no schema, so there is nothing to migrate.")
    return store, store


def _show(states: list[MigrationState], *, as_json: bool) -> None:
    if as_json:
        answer(msgspec.to_builtins(states))
        return
    for state in states:
        click.echo(f"{state.namespace}/{state.number:04d}_{state.name}  {state.state}")
