"""How a refusal looks."""

import json
import re
from collections.abc import Sequence

import click

_PLACE = re.compile(
    r"^(?P<place>(?:\S+:\d+|environment \S+|flag \S+|default)(?:: \[[^\]]*\](?: \S+?)?)?): (?P<what>.*)$", re.DOTALL
)


def refuse(failures: Sequence[str], *, as_json: bool) -> None:
    """Print what is wrong: to stdout as JSON for machines, else to stderr with each place on a line of its own."""
    if as_json:
        click.echo(json.dumps({"ok": False, "failures": list(failures)}, indent=2))
        return
    for failure in failures:
        if said := _PLACE.match(failure):
            click.secho(said["place"], err=True, fg="red", bold=True)
            click.echo(f"  {said['what']}", err=True)
        else:
            click.secho(failure, err=True, fg="red")
    if len(failures) > 1:
        click.echo(f"{len(failures)} things to mend.", err=True)
