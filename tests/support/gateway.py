"""A whole gateway in the test's own process and loop, over real sockets, provisioned as an operator would: by the admin API."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from support.stopwatch import Stopwatch
from switchgear.ambient import Ambient
from switchgear.config import load
from switchgear.gateway import Gateway
from switchgear.upstream.resolve import Lookup

ADMIN_KEY = "admin-key-of-the-tests"
PROVIDER_KEY = "sk-canary-provider-key-0123456789"
SQLITE = "sqlite = { enabled = true }"
SOURCE = {"backend": "encrypted", "values": {"api_key": PROVIDER_KEY}}
T = TypeVar("T")

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


class Running:
    """A serving gateway. `key` may use every model; the model `m` is at `upstream`, `echo` at nobody."""

    gateway: Gateway

    def __init__(self, gateway: Gateway | None, port: int) -> None:
        if gateway is not None:
            self.gateway = gateway
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.admin = httpx.AsyncClient(
            base_url=f"{self.url}/admin/v1", headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=60
        )
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.key = ""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def create(self, kind: str, **body: Any) -> dict[str, Any]:
        answer = await self.admin.post(f"/{kind}", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def new_key(self, **members: Any) -> tuple[str, str]:
        """Make a key that may use every model; return its id and secret."""
        made = await self.create("api-keys", **{"name": "k", "permissions": {"models": ["*"]}, **members})
        return made["id"], made["key"]

    async def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """Lay a merge patch over a resource."""
        merge = {"content-type": "application/merge-patch+json"}
        answer = await self.admin.patch(path, json=body, headers=merge)
        assert answer.status_code == 200, answer.text
        patched: dict[str, Any] = answer.json()
        return patched

    async def add_second(self, upstream: Upstream, **members: Any) -> None:
        """Make the provider `q` at another upstream, with the model `n`."""
        await self.create("credentials", id="d", type="openai", source=SOURCE)
        await self.create("providers", id="q", type="openai", base_url=upstream.base_url, credential_id="d")
        await self.create("models", id="n", provider_id="q", provider_model="other-model", **members)

    async def act(self, path: str, **body: Any) -> dict[str, Any]:
        """Run an action of a resource."""
        answer = await self.admin.post(path, json=body or None)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def move(self, url: str, **members: Any) -> None:
        """Take the provider `p` elsewhere, which its credential must be entered again for."""
        await self.act("/credentials/c/enter", source=SOURCE, hosts=[url.removesuffix("/v1")])
        await self.patch("/providers/p", base_url=url, **members)

    async def chat(self, content: str = "hi", **members: Any) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **members}
        return await self.http.post("/v1/chat/completions", json=body, headers=self.auth)

    async def usage(self, **filters: str) -> list[dict[str, Any]]:
        answer = await self.admin.get("/usage", params={"limit": "500", **filters})
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()["data"]
        return records

    async def all_usage(self) -> dict[str, dict[str, Any]]:
        """Return every usage record by request id."""
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        while True:
            params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
            page = (await self.admin.get("/usage", params=params)).json()
            found |= {record["request_id"]: record for record in page["data"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def usage_of(self, request_id: str) -> dict[str, Any]:
        [record] = await self.usage(request_id=request_id)
        return record


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
    environ = {"ADMIN_KEY": ADMIN_KEY, "SWITCHGEAR__GATEWAY__DATA_DIR": str(directory / "data"), **(environ or {})}
    reread = partial(load, file, environ=environ)
    made = Gateway(reread(), ambient=ambient, reread=reread, lookup=lookup)
    await made.start()
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(made.serve(port.set_result, stop))
    await asyncio.wait({serving, port}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    run = Running(made, await port)
    try:
        await provision(run, upstream)
        yield run
    finally:
        await run.admin.aclose()
        await run.http.aclose()
        stop.set()
        await serving
        await made.stop()


async def provision(run: Running, upstream: Upstream | None) -> None:
    """Make what the tests use, unless the directory held it already."""
    if (await run.admin.get("/models/echo")).status_code == 404:
        await run.create("providers", id="echo", type="echo")
        await run.create("models", id="echo", provider_id="echo", provider_model="echo")
    if upstream is not None and (await run.admin.get("/models/m")).status_code == 404:
        await run.create("credentials", id="c", type="openai", source=SOURCE)
        await run.create("providers", id="p", type="openai", base_url=upstream.base_url, credential_id="c")
        await run.create("models", id="m", provider_id="p", provider_model="upstream-model")
    made = await run.create("api-keys", name=f"tests-{secrets.token_hex(4)}", permissions={"models": ["*"]})
    run.key = made["key"]


async def eventually(check: Callable[[], Awaitable[T] | T], *, within: float = 5.0) -> T:
    """Return what `check` returns once it is true; fail with its last answer after `within` seconds by the stopwatch."""
    watch = Stopwatch()
    while True:
        found = check()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert watch.wall_s < within or watch.s < within, f"still {found!r} after {watch!r}"
        await asyncio.sleep(0.01)
