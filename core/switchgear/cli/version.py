import platform

import click

from switchgear import API, __version__
from switchgear.cli.common import answer, json_option


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Show the version of Switchgear, of Python and of the plugin API."""
    if as_json:
        answer({"switchgear": __version__, "python": platform.python_version(), "plugin_api": API})
    else:
        click.echo(f"switchgear {__version__} (Python {platform.python_version()}, plugin API {API})")
