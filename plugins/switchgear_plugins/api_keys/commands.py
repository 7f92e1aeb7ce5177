"""`switchgear keys`: API keys without the admin API."""

import sys
from pathlib import Path
from typing import Any

import click

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local, require_output
from switchgear.errors import ConfigError
from switchgear_plugins.api_keys.resources import KIND


@click.group()
def keys() -> None:
    """Create, list, rotate, suspend and revoke API keys in the store itself: no gateway needs to run, one that runs sees it."""


@keys.command()
@click.argument("name")
@click.option(
    "--model", "models", multiple=True, help="A model the key may use; may be given again. Default: every model."
)
@click.option("--team", "team_id", help="The team the key belongs to.")
@click.option("--owner", "owner_id", help="The id of the user who owns the key.")
@click.option("--test", is_flag=True, help="Make a key for tests, which reaches the model echo alone.")
@click.option("--admin", is_flag=True, help="Let the key into the admin API.")
@click.option("--rpm", type=click.IntRange(min=1), help="Most requests per minute. Default: no limit.")
@click.option("--tpm", type=click.IntRange(min=1), help="Most tokens per minute. Default: no limit.")
@click.option("--concurrent", type=click.IntRange(min=1), help="Most requests at the same time. Default: no limit.")
@config_option
@gateway_flags("data_dir")
@json_option
def create(
    *,
    name: str,
    models: tuple[str, ...],
    team_id: str | None,
    owner_id: str | None,
    test: bool,
    admin: bool,
    rpm: int | None,
    tpm: int | None,
    concurrent: int | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Create an API key called NAME and show it. It cannot be shown again."""
    permissions = {"models": list(models) or ["*"], "admin": admin}
    limits = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "concurrent_requests": concurrent}
    body: dict[str, Any] = {"name": name, "permissions": permissions}
    given = {"team_id": team_id, "owner_id": owner_id, "test": test or None}
    body |= {field: value for field, value in given.items() if value is not None}
    if any(limits.values()):
        body["limits"] = {field: value for field, value in limits.items() if value is not None}

    async def work(it: Local) -> None:
        made = dict(await it.resources.create(KIND, None, body, by=it.by))
        try:
            if as_json:
                answer(made)
            else:
                click.echo(f"{made['id']}\n{made['key']}")
            sys.stdout.flush()
        except OSError as error:
            await it.resources.delete(KIND, made["id"], by=it.by)
            raise ConfigError(f"the key could not be shown ({error.strerror}), so there is none") from None

    require_output("the key")
    local(path, flags, work)
    if not as_json:
        click.echo("This is the only time the key is shown.", err=True)


@keys.command("list")
@config_option
@gateway_flags("data_dir")
@json_option
def list_(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """List API keys. Their secrets are not stored and so not shown."""
    found = local(path, flags, lambda it: it.all_of(KIND))
    if as_json:
        answer(found)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table(box=None, header_style="bold", pad_edge=False)
    # An id that is cut off revokes nothing.
    table.add_column("id", min_width=max((len(key["id"]) for key in found), default=0))
    for title in ("name", "key", "status", "models", "expires", "last used"):
        table.add_column(title)
    for key in found:
        models = ", ".join(key["permissions"].get("models", ())) or "none"
        table.add_row(
            key["id"],
            key["name"],
            f"{key['prefix']}…{key['last4']}",
            key["status"],
            models,
            key["expires_at"] or "never",
            key["last_used_at"] or "never",
        )
    Console().print(table)


@keys.command()
@click.argument("id")
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    default=0,
    help="Seconds for which the old secret stays good beside the new one. Default: it is refused at once.",
)
@config_option
@gateway_flags("data_dir")
@json_option
def rotate(*, id: str, overlap: int, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Give the API key with this ID a new secret and show it. It cannot be shown again."""
    require_output("the key")
    rotated = _act(path, flags, id, "rotate", {"overlap_seconds": overlap})
    if as_json:
        answer(rotated)
    else:
        click.echo(rotated["key"])
        click.echo("This is the only time the key is shown.", err=True)


@keys.command()
@click.argument("id")
@config_option
@gateway_flags("data_dir")
@json_option
def suspend(*, id: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Suspend the API key with this ID, until it is activated again. Running gateways refuse it within about a second."""
    _done(_act(path, flags, id, "suspend"), f"{id} is suspended.", as_json=as_json)


@keys.command()
@click.argument("id")
@config_option
@gateway_flags("data_dir")
@json_option
def activate(*, id: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Accept the suspended API key with this ID again."""
    _done(_act(path, flags, id, "activate"), f"{id} is active.", as_json=as_json)


@keys.command()
@click.argument("id")
@config_option
@gateway_flags("data_dir")
@json_option
def revoke(*, id: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Revoke the API key with this ID, for good. Running gateways refuse it within about a second."""
    _done(_act(path, flags, id, "revoke"), f"{id} is revoked.", as_json=as_json)


def _act(path: Path | None, flags: dict[str, str], id: str, action: str, body: Any = None) -> dict[str, Any]:
    async def work(it: Local) -> dict[str, Any]:
        return dict(await it.resources.act(KIND, id, action, body, by=it.by))

    return local(path, flags, work)


def _done(changed: dict[str, Any], said: str, *, as_json: bool) -> None:
    if as_json:
        answer(changed)
    else:
        click.echo(said)
