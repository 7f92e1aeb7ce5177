"""The gateway of these tests: every provider of the matrix at one fault upstream. Models are named `provider/model`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from matrix.providers import Row, rows
from matrix.run import PLUGINS
from matrix.scenarios import CASES
from support.faultup import Entry, FaultUpstream, Script
from support.gateway import Running, running

WITHOUT_IMAGES = ("gigachat",)  # images are uploaded as files there
WITHOUT_EMBEDDINGS = ("anthropic", "vertex_claude")


class Served:
    """The gateway, the upstream and the providers."""

    def __init__(self, run: Running, upstream: FaultUpstream) -> None:
        self.run, self.upstream = run, upstream
        self.rows: dict[str, Row] = rows(upstream)

    async def provision(self) -> None:
        """Make the providers and register what they say."""
        for name, case in CASES.items():
            self.upstream.register(name, case.script)
        self.upstream.register("vectors", Script(strict=True))
        await asyncio.gather(*(self._provider(name, row) for name, row in self.rows.items()))

    async def _provider(self, name: str, row: Row) -> None:
        source = {"backend": "encrypted", "values": row.secret}
        await self.run.create("credentials", id=name, type=row.type, source=source)
        url = f"{self.upstream.url}{row.base}"
        members = {"type": row.type, "base_url": url, "credential_id": name, "settings": row.settings}
        await self.run.create("providers", id=name, **members)

    def model(self, provider: str, case: str) -> str:
        """Name the model of a provider that plays a case."""
        return f"{provider}/{self.rows[provider].prefix}fault-{case}"

    @property
    def last(self) -> Entry:
        """What the upstream was asked last."""
        return self.upstream.ledger.entries[-1]


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Served]:
    """Serve it over `directory`."""
    async with FaultUpstream() as upstream, running(directory, plugins=PLUGINS) as run:
        made = Served(run, upstream)
        await made.provision()
        yield made
