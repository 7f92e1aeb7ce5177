"""The metrics of all workers of one gateway, whichever of them is asked: each tells the others its own at a Unix socket."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from switchgear.telemetry.metrics import Metrics

_WITHIN_S = 1.0
_KEPT_S = 1.0
_MOST = 64 * 1024 * 1024


class Siblings:
    """One worker of `count`, and its way to the others in a directory that they share.

    Every sample is told with a label `worker`, like those of processes: the counters of one that died begin anew.
    """

    def __init__(
        self, directory: Path, index: int, count: int, metrics: Metrics, monotonic: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._index = index
        self._count = count
        self._metrics = metrics
        self._monotonic = monotonic
        self._server: asyncio.Server | None = None
        self._asked: asyncio.Task[bytes] | None = None
        self._until = 0.0

    async def start(self) -> None:
        """Be there for the others."""
        place = self._place(self._index)
        place.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._tell, place)

    async def close(self) -> None:
        """Be there no more."""
        if self._server is not None:
            self._server.close()
            self._place(self._index).unlink(missing_ok=True)

    async def expose(self) -> bytes:
        """Return the metrics of all that answer; asked again within a second, the same."""
        now = self._monotonic()
        if self._asked is None or (self._asked.done() and now >= self._until):
            self._until = now + _KEPT_S
            self._asked = asyncio.create_task(self._gather())
        return await asyncio.shield(self._asked)

    async def _gather(self) -> bytes:
        found = await asyncio.gather(*map(self._of, range(self._count)))
        return merged(found, self._metrics.prefix)

    async def _of(self, index: int) -> bytes | None:
        if index == self._index:
            return self._metrics.expose()
        try:
            async with asyncio.timeout(_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(self._place(index))
                try:
                    return await reader.read(_MOST) if writer.can_write_eof() else None
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return None

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._metrics.expose())
        try:
            async with asyncio.timeout(_WITHIN_S):
                await writer.drain()
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()

    def _place(self, index: int) -> Path:
        return self._directory / f"{index}.metrics"


def merged(texts: Iterable[bytes | None], prefix: str) -> bytes:
    """Put expositions together, each sample under its worker; None is one that did not answer."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    name = f"{prefix}_worker_up"
    up = families[name] = ([f"# HELP {name} Whether a worker answers.", f"# TYPE {name} gauge"], [])
    for index, text in enumerate(texts):
        up[1].append(f'{prefix}_worker_up{{worker="{index}"}} {float(text is not None)}')
        told: list[str] = []
        for line in (text or b"").decode().splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                headers, told = families.setdefault(name, ([], []))
                if line not in headers and len(headers) < 2:  # noqa: PLR2004 - its HELP and its TYPE
                    headers.append(line)
            elif line:
                told.append(_labelled(line, index))
    return "".join(f"{line}\n" for headers, samples in families.values() for line in (*headers, *samples)).encode()


def _labelled(sample: str, index: int) -> str:
    end = next(at for at, letter in enumerate(sample) if letter in "{ ")
    if sample[end] == "{":
        return f'{sample[:end]}{{worker="{index}",{sample[end + 1 :]}'
    return f'{sample[:end]}{{worker="{index}"}}{sample[end:]}'
