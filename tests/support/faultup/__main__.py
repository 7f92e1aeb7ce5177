"""`python -m support.faultup --port 0 --seed 0`: prints its port, serves until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal

from support.faultup.server import FaultUpstream


async def main() -> None:
    options = argparse.ArgumentParser(prog="faultup", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with FaultUpstream(seed=chosen.seed, host=chosen.host, port=chosen.port) as upstream:
        print(upstream.port, flush=True)  # noqa: T201 - the caller reads its first line
        await stop.wait()


asyncio.run(main())
