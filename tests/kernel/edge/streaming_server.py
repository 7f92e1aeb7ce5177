"""A server to send signals to: `python streaming_server.py GRACE` prints its port and what happens to it.

`/stream/N` sends an event every 20 ms for N seconds, or ends with an error event when told to; `/deaf` never ends; `/block`
keeps the loop busy for good.
"""

import asyncio
import sys
import time

import uvloop

from switchgear.edge.limits import EdgeLimits
from switchgear.edge.server import serve


def say(*words):
    print(*words, flush=True)  # noqa: T201 - how it is watched


async def main(grace):
    abort = asyncio.Event()

    async def app(scope, receive, send):
        _, kind, *rest = scope["path"].split("/")
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: begun\n\n", "more_body": True})
        if kind == "block":
            await asyncio.sleep(0.05)
            say("blocking")
            time.sleep(60)  # noqa: ASYNC251 - what a bad plugin does
        if kind == "deaf":
            await asyncio.Event().wait()
        end = time.monotonic() + float(rest[0])
        while time.monotonic() < end and not abort.is_set():
            await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
        last = b"data: server_draining\n\n" if abort.is_set() else b"data: [DONE]\n\n"
        await send({"type": "http.response.body", "body": last})

    def abort_streams():
        say("aborting")
        abort.set()

    await serve(
        app,
        host="127.0.0.1",
        port=0,
        limits=EdgeLimits(),
        grace=grace,
        on_drain=lambda: say("draining"),
        abort_streams=abort_streams,
        ready=lambda port: say("ready", port),
        on_hangup=lambda: say("hangup"),
    )
    say("stopped")


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
