"""Routes of dialects, over real sockets: the example `doors`, and a dialect made to be asked the wrong things."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from backports import zstd

from support.distributions import installed
from support.gateway import Running, eventually, running
from switchgear.errors import PluginError

DOORS = Path(__file__).parents[2] / "contrib" / "examples" / "doors" / "switchgear_doors.py"
PROBE = """
    import asyncio
    import msgspec
    from switchgear import Offer
    from switchgear.contracts.dialect import Route, RouteReply

    class Probe(switchgear.Plugin):
        api = 1
        name = "probe"
        request_id_header = b"probe-id"
        retry_count_header = b""
        inference = ()

        def switchgear_dialects(self):
            return [Offer("probe", lambda: self)]

        def error(self, error, request_id):
            return msgspec.json.encode({"probe": error.code, "said": error.message})

        @property
        def routes(self):
            return (
                Route("GET", "/probe/open", self.open, open_to="everybody"),
                Route("GET", "/probe/models/{id}", self.open, action="use", kind="models", id="id"),
                Route("GET", "/probe/closed", self.open, action="read", kind="secrets"),
                Route("GET", "/probe/tail/{rest:path}/end", self.said, open_to="everybody"),
                Route("GET", "/probe/{name}:run", self.said, open_to="everybody"),
                Route("POST", "/probe/size", self.size, open_to="principals", max_body=200_000),
                Route("POST", "/probe/pieces", self.pieces, open_to="principals", takes=("application/json",)),
                Route("GET", "/probe/stream/{n}", self.stream, open_to="everybody", gives=("text/event-stream",)),
                Route("GET", "/probe/bug", self.bug, open_to="everybody"),
                Route("GET", "/probe/held", self.held, open_to="principals", counted=True, operation="hold"),
            )

        async def open(self, request):
            return RouteReply(msgspec.json.encode({"who": request.principal.kind, "q": dict(request.query)}))

        async def said(self, request):
            return RouteReply(msgspec.json.encode(dict(request.params)), headers=((b"x-probe", b"1"),))

        async def size(self, request):
            return RouteReply(b"%d" % len(await request.body()), media_type="text/plain")

        async def pieces(self, request):
            size = 0
            async for piece in request.pieces():
                size += len(piece)
            return RouteReply(b"%d" % size, 201, "text/plain")

        async def stream(self, request):
            return RouteReply(self.events(int(request.params["n"])), media_type="text/event-stream")

        async def events(self, n):
            for index in range(3):
                if index == n:
                    raise RuntimeError("no more")
                yield b"data: %d\\n\\n" % index

        async def bug(self, request):
            return None

        async def held(self, request):
            await asyncio.sleep(60)
"""


@asynccontextmanager
async def opened(tmp_path: Path, gateway: str = "") -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("doors", {"doors": "Doors"}, DOORS.read_text(), module="switchgear_doors")
        site.add("probe", {"probe": "Probe"}, PROBE)
        plugins = "doors = { enabled = true }\nprobe = { enabled = true }"
        async with running(tmp_path, plugins=plugins, gateway=gateway) as run:
            yield run


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with opened(tmp_path) as run:
        yield run


# The example


async def test_rerank_orders_documents_and_has_a_record_and_limits(gateway: Running) -> None:
    _, key = await gateway.new_key(limits={"requests_per_minute": 2}, permissions={"models": ["echo"]})
    auth = {"authorization": f"Bearer {key}"}
    body = {"model": "echo", "query": "green tea", "documents": ["coffee", "green tea", "tea"], "top_n": 2}
    answer = await gateway.http.post("/doors/rerank", json=body, headers=auth)
    assert 200 == answer.status_code, answer.text
    expected = [{"index": 1, "relevance_score": 1.0}, {"index": 2, "relevance_score": 0.5}]
    assert expected == answer.json()["results"]
    record = await gateway.usage_of(answer.headers["x-request-id"])
    said = {"dialect": "doors", "operation": "rerank", "model": "echo", "outcome": "complete", "status": 200}
    assert said.items() <= record.items()
    other = await gateway.http.post("/doors/rerank", json=body | {"model": "gpt"}, headers=auth)
    assert (404, "model_not_found") == (other.status_code, other.json()["code"])
    limited = await gateway.http.post("/doors/rerank", json=body, headers=auth)
    assert (429, "rate_limit_exceeded") == (limited.status_code, limited.json()["code"])
    assert "retry-after" in limited.headers
    outcomes = {it["status"]: it["outcome"] for it in (await gateway.all_usage()).values()}
    assert {200: "complete", 404: "rejected", 429: "rejected"} == outcomes


async def test_what_is_wrong_with_a_body_is_named(gateway: Running) -> None:
    body = {"model": "m", "query": "q", "documents": [3]}
    answer = await gateway.http.post("/doors/rerank", json=body, headers=gateway.auth)
    assert 400 == answer.status_code
    assert "documents[0]" in answer.json()["why"]
    form = {"content-type": "text/plain", **gateway.auth}
    assert 415 == (await gateway.http.post("/doors/files", content=b"x", headers=form)).status_code
    broken = {"content-type": "multipart/form-data; boundary=b", **gateway.auth}
    answer = await gateway.http.post("/doors/files", content=b"--b\r\nbroken", headers=broken)
    assert (400, "invalid_multipart") == (answer.status_code, answer.json()["code"])


async def test_a_file_is_uploaded_streamed_and_deleted(gateway: Running) -> None:
    data = bytes(range(256)) * 4096
    form = {"files": {"file": ("a.bin", data, "image/png")}, "data": {"purpose": "x" * 70_000}}
    made = await gateway.http.post("/doors/files", headers=gateway.auth, **form)
    assert 201 == made.status_code, made.text
    kept = made.json()
    assert {"filename": "a.bin", "media_type": "image/png", "bytes": len(data)}.items() <= kept.items()
    at = f"/doors/files/{kept['id']}"
    assert data == (await gateway.http.get(at, headers=gateway.auth)).content
    head = await gateway.http.head(at, headers=gateway.auth)
    assert (200, b"") == (head.status_code, head.content)
    _, other = await gateway.new_key()
    assert 404 == (await gateway.http.get(at, headers={"authorization": f"Bearer {other}"})).status_code
    gone = await gateway.http.delete(at, headers=gateway.auth)
    assert (204, b"") == (gone.status_code, gone.content)
    assert "content-length" not in gone.headers
    assert 404 == (await gateway.http.delete(at, headers=gateway.auth)).status_code


# What routes share with calls


async def test_who_asks_and_what_they_may_is_decided_before_the_handler(gateway: Running) -> None:
    ask = gateway.http.get
    assert {"who": "anybody", "q": {"a": "1", "b": ""}} == (await ask("/probe/open?a=1&a=2&b=")).json()
    _, key = await gateway.new_key(permissions={"models": ["a*"]})
    auth = {"authorization": f"Bearer {key}"}
    assert 401 == (await ask("/probe/models/abc")).status_code
    assert "key" == (await ask("/probe/models/abc", headers=auth)).json()["who"]
    assert (404, "model_not_found") == _told(await ask("/probe/models/xyz", headers=auth))
    assert (403, "not_permitted") == _told(await ask("/probe/closed", headers=auth))


async def test_parameters_are_within_a_segment_or_any_that_follow(gateway: Running) -> None:
    ask = gateway.http.get
    assert {"rest": "a/b c"} == (await ask("/probe/tail/a/b%20c/end")).json()
    answer = await ask("/probe/gemini-pro:run")
    assert {"name": "gemini-pro"} == answer.json()
    assert "1" == answer.headers["x-probe"]


async def test_what_is_not_there_is_answered_by_the_dialect_whose_path_is_nearest(gateway: Running) -> None:
    async def ask(method: str, path: str) -> httpx.Response:
        return await gateway.http.request(method, path, headers=gateway.auth)

    assert (404, "unknown_url") == _told(await ask("GET", "/probe/nothing/here"))
    wrong = await ask("DELETE", "/probe/open")
    assert (405, "method_not_allowed") == _told(wrong)
    assert "GET, HEAD" == wrong.headers["allow"]
    assert wrong.headers["probe-id"] == wrong.headers["x-request-id"]
    anthropic = (await ask("POST", "/v1/messages/nothing")).json()
    assert "error" == anthropic["type"]
    openai = (await ask("POST", "/v1/nothing")).json()
    assert "unknown_url" == openai["error"]["code"]
    twice = (await ask("POST", "/v1/v1/chat/completions")).json()["error"]["message"]
    assert twice.endswith("The base URL has /v1 already: /v1/chat/completions is meant.")
    slash = (await ask("POST", "/v1/chat/completions/")).json()["error"]["message"]
    assert slash.endswith("/v1/chat/completions is meant, without the slash at its end.")
    for path in ("/v1/v1/messages", "/v1/messages/", "/messages", "/v1//messages", "/openai/v1/messages/"):
        told = (await ask("POST", path)).json()
        if path.startswith("/openai"):
            assert "urn:switchgear:problem:not_found" == told["type"], "below a path of nobody's nothing is meant"
        else:
            assert ("error", True) == (told["type"], "/v1/messages is meant" in told["error"]["message"])
    get = await ask("GET", "/v1/embeddings")
    assert (405, "POST") == (get.status_code, get.headers["allow"])


async def test_a_stream_that_breaks_is_an_error_before_its_first_piece_and_cut_after(gateway: Running) -> None:
    whole = await gateway.http.get("/probe/stream/9")
    assert "data: 0\n\ndata: 1\n\ndata: 2\n\n" == whole.text
    assert "text/event-stream" == whole.headers["content-type"]
    assert (500, "internal_error") == _told(await gateway.http.get("/probe/stream/0"))
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.http.get("/probe/stream/2")
    assert (500, "internal_error") == _told(await gateway.http.get("/probe/bug"))


async def test_who_leaves_ends_its_request_and_frees_what_it_held(gateway: Running) -> None:
    _, key = await gateway.new_key(limits={"concurrent_requests": 1})
    auth = {"authorization": f"Bearer {key}"}
    held = asyncio.create_task(gateway.http.get("/probe/held", headers=auth))
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 1)
    assert 429 == (await gateway.http.get("/probe/held", headers=auth)).status_code
    held.cancel()
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    outcomes = [(it["operation"], it["outcome"]) for it in (await gateway.all_usage()).values()]
    assert ("hold", "client_gone") in outcomes


async def test_a_key_that_is_revoked_ends_its_requests(gateway: Running) -> None:
    id, key = await gateway.new_key()
    held = asyncio.create_task(gateway.http.get("/probe/held", headers={"authorization": f"Bearer {key}"}))
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 1)
    await gateway.act(f"/api-keys/{id}/revoke")
    assert (401, "invalid_api_key") == _told(await held)


async def test_a_key_that_may_do_other_things_keeps_its_requests_at_open_routes(gateway: Running) -> None:
    id, key = await gateway.new_key()
    auth = {"authorization": f"Bearer {key}"}
    held = asyncio.create_task(gateway.http.get("/probe/held", headers=auth))
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 1)
    await gateway.patch(f"/api-keys/{id}", permissions={"models": ["other"]})
    assert 404 == (await gateway.http.get("/probe/models/abc", headers=auth)).status_code
    assert not held.done()
    held.cancel()


# Compressed bodies

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello " * 30_000}]}


def deflated(data: bytes) -> bytes:
    inner = zlib.compressobj(wbits=-15)
    return inner.compress(data) + inner.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
        ("deflate", zlib.compress),
        ("deflate", deflated),
        ("zstd", zstd.compress),
        ("identity", bytes),
    ],
)
async def test_a_body_may_come_compressed(gateway: Running, coding: str, pack) -> None:
    plain = json.dumps(CHAT).encode()
    headers = {"content-encoding": coding, "content-type": "application/json", **gateway.auth}
    answer = await gateway.http.post("/v1/chat/completions", content=pack(plain), headers=headers)
    assert 200 == answer.status_code, answer.text
    assert CHAT["messages"][0]["content"] in answer.json()["choices"][0]["message"]["content"]
    for path, status in (("/probe/size", 200), ("/probe/pieces", 201)):
        answer = await gateway.http.post(path, content=pack(plain), headers=headers)
        assert (status, str(len(plain))) == (answer.status_code, answer.text)

    async def slowly():
        packed = pack(plain)
        for at in range(0, len(packed), 5000):
            yield packed[at : at + 5000]

    answer = await gateway.http.post("/probe/pieces", content=slowly(), headers=headers)
    assert str(len(plain)) == answer.text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/probe/pieces"])
@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        ("br", b"x", 415, "unsupported_content_encoding"),
        ("gzip, gzip", b"x", 415, "unsupported_content_encoding"),
        ("gzip", b"no gzip at all", 400, "invalid_content_encoding"),
        ("gzip", gzip.compress(b"{}" * 900)[:-9], 400, "invalid_content_encoding"),
        ("gzip", gzip.compress(b" " * 3_000_000), 413, "compression_ratio_exceeded"),
        ("zstd", zstd.compress(b" " * 3_000_000), 413, "compression_ratio_exceeded"),
        ("zstd", zstd.compress(b"{}" * 900)[:-9], 400, "invalid_content_encoding"),
    ],
    ids=[
        "unknown",
        "twice",
        "no-gzip",
        "gzip-cut",
        "gzip-bomb",
        "zstd-bomb",
        "zstd-cut",
    ],  # gzip says when it was packed
)
async def test_what_cannot_be_unpacked_is_refused(
    gateway: Running, path: str, coding: str, body: bytes, status: int, code: str
) -> None:
    headers = {"content-encoding": coding, "content-type": "application/json", **gateway.auth}
    answer = await gateway.http.post(path, content=body, headers=headers)
    told = answer.json()
    assert (status, code) == (answer.status_code, told["probe"] if "probe" in told else told["error"]["code"])


async def test_bodies_are_bounded_unpacked(gateway: Running) -> None:
    headers = {"content-encoding": "gzip", **gateway.auth}
    packed = gzip.compress(bytes(range(256)) * 1000)
    assert (413, "body_too_large") == _told(await gateway.http.post("/probe/size", content=packed, headers=headers))
    assert (413, "body_too_large") == _told(
        await gateway.http.post("/probe/size", content=b"x" * 200_001, headers=gateway.auth)
    )


# Clashes

TEMPLATE = """
    from litestar import get
    from switchgear import Offer
    from switchgear.contracts.dialect import Route

    async def handle(request): ...

    class Plug(switchgear.Plugin):
        api = 1
        name = "{name}"
        request_id_header = None
        retry_count_header = b""
        inference = ()
        routes = ({route},)

        def error(self, error, request_id): ...

        def switchgear_dialects(self):
            return [Offer("{name}", lambda: self)]
"""
OPEN = 'open_to="everybody"'


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (f'Route("POST", "/v1/chat/completions", handle, {OPEN})', "plugin `openai` of switchgear"),
        (f'Route("GET", "/v1/models/{{id}}/card", handle, {OPEN})', "/v1/models/{model:path}, which overlap"),
        (f'Route("GET", "/health/mine", handle, {OPEN})', "the gateway's own"),
        (f'Route("GET", "/{{any}}/x", handle, {OPEN})', "the gateway's own"),
        (f'Route("GET", "no/slash", handle, {OPEN})', "is no path with parameters"),
        ('Route("GET", "/x/y", handle)', "so nobody may use it"),
        ('Route("GET", "/x/{y}", handle, action="read", kind="x", id="z")', "no parameter of its path"),
        (f'Route("get", "/x/y", handle, {OPEN})', "is no method"),
        (f'Route("GET", "/x/y", lambda request: None, {OPEN})', "is no async function"),
        ("1 / 0", "raised ZeroDivisionError"),
    ],
)
async def test_a_path_that_cannot_be_served_refuses_to_start(tmp_path: Path, route: str, said: str) -> None:
    source = TEMPLATE.format(name="plug", route=route)
    if route == "1 / 0":
        source = TEMPLATE.format(name="plug", route="").replace("lambda: self", "lambda: 1 / 0").replace("(,)", "()")
    with installed(tmp_path / "site") as site:
        site.add("plug", {"plug": "Plug"}, source)
        with pytest.raises(PluginError, match=r"plugin `plug` of plug") as refused:
            async with running(tmp_path, plugins="plug = { enabled = true }"):
                pass
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/admin/v1/models", "the resource kind `models`"),
        ("/admin/v1/models/{id:str}", "the resource kind `models`"),
        ("/admin/v1/usage", "plugin `usage` of switchgear"),
        ("/health", "is not below /admin/v1"),
        ("/v1/extra", "is not below /admin/v1"),
    ],
)
async def test_an_admin_route_that_is_another_s_refuses_to_start(tmp_path: Path, path: str, said: str) -> None:
    source = f"""
        from litestar import get

        @get("{path}", opt={{"action": "read", "resource": "x"}})
        async def mine(id: str = "") -> str: ...

        class Plug(switchgear.Plugin):
            api = 1

            def switchgear_routes(self):
                return [mine]
    """
    with installed(tmp_path / "site") as site:
        site.add("plug", {"plug": "Plug"}, source)
        with pytest.raises(PluginError, match=r"plugin `plug` of plug") as refused:
            async with running(tmp_path, plugins="plug = { enabled = true }"):
                pass
    assert said in str(refused.value)


def _told(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    return answer.status_code, body["probe"]
