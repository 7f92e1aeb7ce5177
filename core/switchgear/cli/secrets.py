"""`switchgear secrets`: what is encrypted in the store."""

from pathlib import Path

import click

from switchgear.cli.common import answer, config_option, gateway_flags, json_option
from switchgear.cli.local import CLI, with_gateway
from switchgear.errors import PluginError
from switchgear.gateway import Gateway


@click.group("secrets")
def group() -> None:
    """Change the master key that secrets in the store are encrypted with."""


@group.command()
@config_option
@gateway_flags("data_dir")
@json_option
def rotate(*, path: Path | None, flags: dict[str, str], as_json: bool) -> None:
    """Encrypt every stored secret anew that was encrypted with an older master key.

    Earlier versions of resources keep the older key's secrets: restoring one needs that key.
    """

    async def work(gateway: Gateway) -> int:
        if gateway.resources.vault.sealer is None:
            raise PluginError(
                "nothing can encrypt: enable a plugin that offers a sealer with `switchgear plugins enable`"
            )
        return await gateway.resources.reseal(CLI)

    changed = with_gateway(path, flags, work)
    if as_json:
        answer({"resealed": changed})
    else:
        click.echo(f"{changed} resources were encrypted anew.")
