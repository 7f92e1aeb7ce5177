"""The gateway of `switchgear.testing.gateway` with what most tests want of it: their own plugins.toml, a model at an upstream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from switchgear.ambient import Ambient
from switchgear.testing import gateway as kit
from switchgear.testing.gateway import ADMIN_KEY, PROVIDER_KEY, SOURCE, eventually, serving
from switchgear.upstream.resolve import Lookup

__all__ = [
    "ADMIN_KEY",
    "PROVIDER_KEY",
    "SOURCE",
    "SQLITE",
    "Running",
    "Upstream",
    "configure",
    "eventually",
    "provision",
    "running",
]

SQLITE = "sqlite = { enabled = true }"

CONFIG = """
[gateway]
port = 0
drain_grace = 1.0
{gateway}
[gateway.egress]
allow = ["127.0.0.0/8"]
[gateway.routing]
retries = {retries}
{routing}
[gateway.timeouts]
connect = 10.0
first_byte = {first_byte}
idle = {idle}
total = {total}
[plugins]
{store}
memory = {{ enabled = true{memory} }}
api_keys = {{ enabled = true }}
limits = {{ enabled = true }}
usage = {{ enabled = true }}
discovery = {{ enabled = true }}
explain = {{ enabled = true }}
encrypted = {{ enabled = true }}
env = {{ enabled = true }}
openai = {{ enabled = true }}
anthropic = {{ enabled = true }}
openai_compatible = {{ enabled = true }}
echo = {{ enabled = true }}
routing = {{ enabled = true }}
{plugins}"""


class Upstream(Protocol):
    """Where the model `m` is."""

    @property
    def base_url(self) -> str: ...


class Running(kit.Running):
    """A serving gateway. The model `m` is at `upstream`, `echo` at nobody."""

    async def add_second(self, upstream: Upstream, **members: Any) -> None:
        """Make the provider `q` at another upstream, with the model `n`."""
        await self.create("credentials", id="d", type="openai", source=SOURCE)
        await self.create("providers", id="q", type="openai", base_url=upstream.base_url, credential_id="d")
        await self.create("models", id="n", provider_id="q", provider_model="other-model", **members)

    async def move(self, url: str, **members: Any) -> None:
        """Take the provider `p` elsewhere, which its credential must be entered again for."""
        await self.act("/credentials/c/enter", source=SOURCE, hosts=[url.removesuffix("/v1")])
        await self.patch("/providers/p", base_url=url, **members)


def configure(
    directory: Path,
    gateway: str,
    store: str,
    memory: str,
    plugins: str = "",
    retries: int = 0,
    routing: str = "",
    **timeouts: float,
) -> Path:
    """Write plugins.toml. Without `retries` a test's one failure is what its client sees."""
    file = directory / "plugins.toml"
    if (
        "overload" not in gateway
    ):  # the loop is the test's and its upstreams' too: how late it is says nothing of the gateway
        gateway += "\n[gateway.overload]\nmax_lag = 30.0"
    file.write_text(
        CONFIG.format(
            gateway=gateway, store=store, memory=memory, plugins=plugins, retries=retries, routing=routing, **timeouts
        )
    )
    return file


@asynccontextmanager
async def running(
    directory: Path,
    upstream: Upstream | None = None,
    *,
    gateway: str = "",
    store: str = SQLITE,
    memory: str = "",
    plugins: str = "",
    first_byte: float = 20.0,
    idle: float = 20.0,
    total: float = 60.0,
    retries: int = 0,
    routing: str = "",
    ambient: Ambient | None = None,
    lookup: Lookup | None = None,
    environ: dict[str, str] | None = None,
) -> AsyncIterator[Running]:
    """Serve a gateway over `directory`; give it a provider at `upstream`."""
    file = configure(
        directory, gateway, store, memory, plugins, retries, routing, first_byte=first_byte, idle=idle, total=total
    )
    async with serving(file, Running, ambient=ambient, lookup=lookup, environ=environ) as run:
        await provision(run, upstream)
        yield run


async def provision(run: Running, upstream: Upstream | None) -> None:
    """Make what the tests use, unless the directory held it already."""
    if upstream is not None and (await run.admin.get("/models/m")).status_code == 404:
        await run.create("credentials", id="c", type="openai", source=SOURCE)
        await run.create("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
        await run.create("models", id="m", provider_id="p", provider_model="upstream-model")
    await kit.provision(run)
