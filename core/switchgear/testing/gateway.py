"""A whole gateway in the test's own process and loop, over real sockets, provisioned as an operator would: by the admin API.

    async def test_mine(gateway, upstream):
        async with upstream, gateway(plugins={"mine": {"greeting": "hello"}}) as run:
            await run.add_model("m", "mine", upstream.url)              # a model at a provider of a type of mine
            upstream.script(Script(body='{"text": "Hello", "done": true}'))
            answer = await run.chat("Hi", model="m")                    # as a client, through everything
            assert "Hello" == answer.json()["choices"][0]["message"]["content"]

`gateway` and `upstream` are fixtures that pytest finds by itself. The builtin plugins that are on by default are, over a store of
the test's own directory; the model `echo` is there, and `run.key` may use every model.
"""

import asyncio
import secrets
import ssl
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import tomli_w

from switchgear.ambient import Ambient
from switchgear.config import default_source, load
from switchgear.gateway import Gateway
from switchgear.testing.stopwatch import Stopwatch
from switchgear.upstream.resolve import Lookup

ADMIN_KEY = "admin-key-of-the-tests"
PROVIDER_KEY = "sk-canary-provider-key-0123456789"
SOURCE = {"backend": "encrypted", "values": {"api_key": PROVIDER_KEY}}
"""Where the credential of a provider is, unless a test says otherwise. What it holds must be nowhere but upstream."""
T = TypeVar("T")

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What clients of plain HTTP are made with: by default each would read all certificates of the machine, which takes long."""


class Running:
    """A gateway that serves.

    gateway   the gateway itself
    admin     a client of the admin API, below /admin/v1, with the admin key
    http      a client without a key; `auth` are the headers with `key`, which may use every model
    base_url  what a vendor's SDK takes as its base URL
    """

    gateway: Gateway

    def __init__(self, gateway: Gateway | None, port: int) -> None:
        if gateway is not None:
            self.gateway = gateway
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.admin = httpx.AsyncClient(
            base_url=f"{self.url}/admin/v1", headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=60, verify=_TLS
        )
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60, verify=_TLS)
        self.key = ""

    @property
    def base_url(self) -> str:
        """Where clients speak to it."""
        return f"{self.url}/v1"

    @property
    def auth(self) -> dict[str, str]:
        """Headers with the key."""
        return {"authorization": f"Bearer {self.key}"}

    async def create(self, kind: str, **body: Any) -> dict[str, Any]:
        """Make a resource, which must be accepted."""
        return _checked(await self.admin.post(f"/{kind}", json=body), 201)

    async def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """Lay a merge patch over a resource."""
        merge = {"content-type": "application/merge-patch+json"}
        return _checked(await self.admin.patch(path, json=body, headers=merge), 200)

    async def act(self, path: str, **body: Any) -> dict[str, Any]:
        """Run an action of a resource."""
        return _checked(await self.admin.post(path, json=body or None), 200)

    async def new_key(self, **members: Any) -> tuple[str, str]:
        """Make a key that may use every model; return its id and secret."""
        made = await self.create("api-keys", **{"name": "k", "permissions": {"models": ["*"]}, **members})
        return made["id"], made["key"]

    async def add_model(
        self,
        id: str,
        type: str,
        base_url: str | None = None,
        *,
        provider_model: str = "upstream-model",
        source: Mapping[str, Any] | None = SOURCE,
        provider: Mapping[str, Any] | None = None,
        **members: Any,
    ) -> None:
        """Make a model at a provider of a type, with a credential from a source; both have the model's id.

        `provider` are members of the provider (`settings`), the others are of the model. Without `source` there is no credential.
        """
        made: dict[str, Any] = {"id": id, "type": type, **(provider or {})}
        if source is not None:
            await self.create("credentials", id=id, type=type, source=source)
            made["credential_id"] = id
        if base_url is not None:
            made["base_url"] = base_url
        await self.create("providers", **made)
        await self.create("models", id=id, provider_id=id, provider_model=provider_model, **members)

    async def chat(self, content: str = "hi", **members: Any) -> httpx.Response:
        """Ask as a client does; `model` is `m` unless said otherwise."""
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **members}
        return await self.http.post("/v1/chat/completions", json=body, headers=self.auth)

    async def usage(self, **filters: str) -> list[dict[str, Any]]:
        """Return usage records, newest first."""
        found: list[dict[str, Any]] = _checked(await self.admin.get("/usage", params={"limit": "500", **filters}), 200)[
            "data"
        ]
        return found

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
        """Return the usage record of a request, by its `x-request-id`."""
        [record] = await self.usage(request_id=request_id)
        return record

    async def aclose(self) -> None:
        """Close the clients."""
        await self.admin.aclose()
        await self.http.aclose()


R = TypeVar("R", bound=Running)


def _checked(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


@asynccontextmanager
async def serving(
    file: Path,
    made_of: type[R],
    *,
    ambient: Ambient | None = None,
    lookup: Lookup | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[R]:
    """Serve what a plugins.toml says, with the data beside it, until the block is over; give a `made_of`."""
    given = {"ADMIN_KEY": ADMIN_KEY, "SWITCHGEAR__GATEWAY__DATA_DIR": str(file.parent / "data"), **(environ or {})}
    reread = partial(load, file, environ=given)
    made = Gateway(reread(), ambient=ambient, reread=reread, lookup=lookup)
    await made.start()
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(made.serve(port.set_result, stop))
    begun: tuple[asyncio.Future[Any], ...] = (serving, port)
    await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    run = made_of(made, await port)
    try:
        yield run
    finally:
        await run.aclose()
        stop.set()
        await serving
        await made.stop()


@asynccontextmanager
async def running(
    directory: Path,
    *,
    plugins: Mapping[str, Mapping[str, Any]] | None = None,
    gateway: Mapping[str, Any] | None = None,
    ambient: Ambient | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """Serve a gateway over `directory`, with the default plugins and more, each with its settings.

    A plugin must be installed, as it is where a gateway runs (`pip install -e .`). `{"enabled": False}` leaves one of the default
    plugins out. `gateway` are settings of the gateway, as the table of that name has them; upstreams on loopback are allowed.
    """
    chosen: dict[str, Any] = dict(tomllib.loads(default_source())["plugins"])
    for name, settings in (plugins or {}).items():
        chosen[name] = {"enabled": True, **settings}
    own: dict[str, Any] = {
        "port": 0,
        "drain_grace": 1.0,
        "egress": {"allow": ["127.0.0.0/8"]},
        "overload": {"max_lag": 30.0},  # the loop is the test's and its upstreams' too: how late it is says nothing
        **(gateway or {}),
    }
    file = directory / "plugins.toml"
    file.write_text(tomli_w.dumps({"gateway": own, "plugins": chosen}))
    async with serving(file, Running, ambient=ambient, environ=environ) as run:
        await provision(run)
        yield run


async def provision(run: Running) -> None:
    """Make the model `echo`, unless the directory held it already, and a key."""
    if (await run.admin.get("/models/echo")).status_code == 404:
        await run.create("providers", id="echo", type="echo")
        await run.create("models", id="echo", provider_id="echo", provider_model="echo")
    _, run.key = await run.new_key(name=f"tests-{secrets.token_hex(4)}")


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
