"""Commands that work on the store itself, whether or not a gateway serves it: replicas see the change within a second."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from switchgear.cli.common import read_config
from switchgear.contracts.principal import operator
from switchgear.gateway import Gateway
from switchgear.telemetry.logs import Logs

T = TypeVar("T")
CLI = operator("cli")
"""Who works on the store from the command line."""


def with_gateway(path: Path | None, flags: dict[str, str], work: Callable[[Gateway], Awaitable[T]]) -> T:
    """Start a gateway that serves nobody, do the work, stop it."""

    async def run() -> T:
        config = read_config(path, flags)
        Logs(level="warning").install()
        gateway = Gateway(config)
        await gateway.start()
        try:
            return await work(gateway)
        finally:
            await gateway.stop()

    return asyncio.run(run())
