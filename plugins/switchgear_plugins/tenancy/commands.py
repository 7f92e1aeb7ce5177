"""`switchgear users`: people who sign in, without the admin API."""

import sys
from pathlib import Path
from typing import Any

import click

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear.errors import ConfigError
from switchgear_plugins.tenancy.people import ADMINISTRATORS
from switchgear_plugins.tenancy.roles import RANK
from switchgear_plugins.tenancy.setup import TEAM
from switchgear_plugins.tenancy.teams import KIND as TEAMS
from switchgear_plugins.tenancy.users import KIND, folded


@click.group()
def users() -> None:
    """Add and list users and set their passwords, in the store itself: no gateway needs to run, and one that runs sees it."""


@users.command()
@click.argument("username")
@click.option("--team", "team_id", default=ADMINISTRATORS, show_default=True, help="The team the user belongs to.")
@click.option(
    "--role",
    type=click.Choice(sorted(RANK, key=RANK.__getitem__, reverse=True)),
    help="Default: member, owner of administrators.",
)
@click.option("--email", help="The user's address.")
@config_option
@gateway_flags("data_dir")
@json_option
def add(
    *,
    username: str,
    team_id: str,
    role: str | None,
    email: str | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Add the user USERNAME. The password is asked for, or read from standard input where that is no terminal."""
    password = _password()
    body = {
        "username": username,
        "password": password,
        "team_id": team_id,
        "role": role or ("owner" if team_id == ADMINISTRATORS else "member"),
        "email": email,
    }

    async def work(it: Local) -> dict[str, Any]:
        if team_id == ADMINISTRATORS and it.resources.snapshot.live(TEAMS, ADMINISTRATORS) is None:
            await it.resources.create(TEAMS, None, TEAM, by=it.by)
        return dict(await it.resources.create(KIND, None, body, by=it.by))

    made = local(path, flags, work)
    if as_json:
        answer(made)
    else:
        click.echo(f"{made['id']}: {username} is {made['role']} of {team_id}.")


@users.command("list")
@config_option
@gateway_flags("data_dir")
@json_option
def list_(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """List users."""
    found = local(path, flags, lambda it: it.all_of(KIND))
    if as_json:
        answer(found)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("username", "team", "role", "status", "email"):
        table.add_column(title)
    for user in found:
        table.add_row(user["username"], user["team_id"], user["role"], user["status"], user["email"] or "")
    Console().print(table)


@users.command()
@click.argument("username")
@config_option
@gateway_flags("data_dir")
@json_option
def passwd(*, username: str, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Set the password of USERNAME, which ends the user's sessions. It is asked for, or read from standard input."""
    password = _password()

    async def work(it: Local) -> dict[str, Any]:
        everybody = it.resources.snapshot.all(KIND)
        id = next((id for id, user in everybody.items() if folded(user.username) == folded(username)), None)
        if id is None:
            raise ConfigError(f"there is no user {username!r}; `switchgear users list` shows who there is")
        return dict(await it.resources.update(KIND, id, {"password": password}, by=it.by))

    changed = local(path, flags, work)
    if as_json:
        answer(changed)
    else:
        click.echo(f"{username} has a new password.")


def _password() -> str:
    """Ask for a password. It is never an argument: those are seen by whoever lists processes."""
    if sys.stdin is not None and sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
