"""`switchgear ui`: the console for a gateway that is somewhere else."""

import asyncio
import socket

import click
import uvicorn

from switchgear.commands import client
from switchgear_plugins.ui.proxy import Proxy


@click.command()
@click.option("--api-url", required=True, help="Where the gateway is, as https://llm.example.com or …/below/a/path.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the console listens.")
@click.option(
    "--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="Likewise; 0: any that is free."
)
def ui(*, api_url: str, host: str, port: int) -> None:
    """Serve the console on this machine for a gateway elsewhere, whose own may be off (`switchgear api`).

    What the console asks goes on to the gateway, which decides who may do what. Whoever signs in here has a session there.
    """
    if not api_url.startswith(("http://", "https://")):
        raise click.BadParameter("Begin it with http:// or https://.", param_hint="--api-url")
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"The console for {api_url} is here: http://{shown}:{listener.getsockname()[1]}/ui/")
    asyncio.run(_serve(api_url.rstrip("/"), listener))


async def _serve(api_url: str, listener: socket.socket) -> None:
    async with client(timeout=None, max_body=1 << 40) as http:
        config = uvicorn.Config(Proxy(http, api_url), log_level="warning", lifespan="off", ws="none")
        await uvicorn.Server(config).serve([listener])
