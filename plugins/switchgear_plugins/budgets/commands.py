"""`switchgear budgets`: how budgets stand, without the admin API."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear_plugins.budgets.spec import KIND
from switchgear_plugins.budgets.status import shown

if TYPE_CHECKING:
    from switchgear_plugins.budgets.plugin import BudgetsPlugin


@click.group()
def budgets() -> None:
    """See how budgets stand. What calls in flight hold is known here where the counters are in Redis."""


@budgets.command("list")
@config_option
@gateway_flags("data_dir")
@json_option
def list_(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """List budgets with what is spent, reserved and left of each in its present period."""

    async def work(it: Local) -> list[dict[str, Any]]:
        plugin = cast("BudgetsPlugin", it.plugins["budgets"])
        found: list[dict[str, Any]] = []
        for budget in sorted(it.resources.snapshot.all(KIND).values(), key=lambda one: one.id):
            found += shown(await plugin.standing(budget))
        return found

    found = local(path, flags, work)
    if as_json:
        answer(found)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("id", "whose", "mode", "USD", "spent", "reserved", "left", "resets"):
        table.add_column(title)
    for line in found:
        money = [f"{line[name] / 1e6:.6f}" for name in _MONEY]
        table.add_row(line["id"], line["whose"] or "", line["mode"], *money, line["resets_at"] or "never")
    Console().print(table)


_MONEY = ("amount_microusd", "spent_microusd", "reserved_microusd", "left_microusd")
