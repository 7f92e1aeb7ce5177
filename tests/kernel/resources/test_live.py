"""What the request path sees: caches of kinds that are not resident, and the feed."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from kernel.resources.conftest import MakeEngine
from kernel.resources.toys import KINDS, TICKETS, hashed
from switchgear.contracts.principal import operator
from switchgear.contracts.resource import MISSING
from switchgear.contracts.store import Document
from switchgear.resources import PluginResources, ResourceEngine, Terms
from switchgear.resources.cache import LiveCache, Loaded
from switchgear.resources.compiler import Compiler
from switchgear.resources.sealing import Vault
from switchgear.resources.snapshot import Key

ME = Terms(operator("tester"))


async def until(condition: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


def doc(status: str) -> Loaded:
    return Loaded(("tickets", "t"), (("models", "gpt"),), status)


class Shelf:
    """A store whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.now: Loaded | None = doc("active")
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, value: str) -> Loaded | None:
        self.reads += 1
        found = self.now
        await self.gate.wait()
        return found


async def test_many_who_ask_at_once_read_once() -> None:
    shelf = Shelf()
    cache = LiveCache("tickets", shelf.read)
    assert cache.peek("k") is MISSING
    assert {await it for it in [asyncio.ensure_future(cache.load("k")) for _ in range(50)]} == {"active"}
    assert (shelf.reads, cache.peek("k")) == (1, "active")


@pytest.mark.parametrize("moved", [("tickets", "t"), ("models", "gpt")])
async def test_a_load_that_began_before_a_change_never_brings_the_old_version_back(moved: Key) -> None:
    shelf = Shelf()
    cache = LiveCache("tickets", shelf.read)
    shelf.gate.clear()
    early = asyncio.create_task(cache.load("k"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shelf.now = doc("revoked")
    cache.forget(moved)
    late = asyncio.create_task(cache.load("k"))
    shelf.gate.set()
    assert (await early, await late) == ("active", "revoked")
    assert cache.peek("k") == "revoked"


async def test_a_change_elsewhere_lets_a_load_be_kept() -> None:
    shelf = Shelf()
    cache = LiveCache("tickets", shelf.read)
    shelf.gate.clear()
    load = asyncio.create_task(cache.load("k"))
    await asyncio.sleep(0)
    cache.forget(("tickets", "another"))
    shelf.gate.set()
    await load
    assert cache.peek("k") == "active"
    cache.forget(("models", "gpt"))
    assert cache.peek("k") is MISSING


async def test_absence_is_remembered_until_something_is_made() -> None:
    shelf = Shelf()
    shelf.now = None
    cache = LiveCache("tickets", shelf.read, absent=10)
    for number in range(50):
        await cache.load(f"k{number}")
    assert (len(cache), cache.peek("k49"), cache.peek("k0")) == (10, None, MISSING)
    shelf.now = doc("active")
    cache.forget(("tickets", "t"))
    assert await cache.load("k49") == "active"


async def test_the_cache_stays_within_its_size_and_drops_the_least_used() -> None:
    async def read(value: str) -> Loaded:
        return Loaded(("tickets", value), (), value)

    cache = LiveCache("tickets", read, size=3)
    for value in "abc":
        await cache.load(value)
    cache.peek("a")
    await cache.load("d")
    assert (len(cache), cache.peek("a"), cache.peek("b")) == (3, "a", MISSING)
    assert set(cache._values) == {("tickets", value) for value in "acd"}


async def test_one_cancelled_waiter_does_not_cancel_the_others_and_errors_are_not_kept() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    cache = LiveCache("tickets", shelf.read)
    first, second = asyncio.create_task(cache.load("k")), asyncio.create_task(cache.load("k"))
    await asyncio.sleep(0)
    first.cancel()
    shelf.gate.set()
    assert await second == "active"

    async def fail(_: str) -> Loaded | None:
        raise ConnectionError

    failing = LiveCache("tickets", fail)
    with pytest.raises(ConnectionError):
        await failing.load("k")
    assert failing.peek("k") is MISSING


async def test_a_key_is_found_by_its_hash_and_gone_when_suspended_anywhere(make_engine: MakeEngine) -> None:
    here, there = await make_engine(), await make_engine()
    follower = asyncio.create_task(there.follow())

    async def followed() -> None:
        await until(lambda: here.feed.position == there.feed.position)

    made = await here.create("tickets", {"name": "n"}, ME)
    await followed()
    cache = PluginResources(there).cache("tickets", "ticket-hash")
    value = hashed(made.once["key"])
    live = await cache.load(value)
    assert live is not None
    assert live.spec.status == "active"
    await here.act("tickets", made.id, "suspend", None, ME)
    await followed()
    assert cache.peek(value) is MISSING
    again = await cache.load(value)
    assert again is not None
    assert again.spec.status == "suspended"
    await here.delete("tickets", made.id, ME)
    await followed()
    assert cache.peek(value) is MISSING
    assert await cache.load(value) is None
    assert cache.peek(value) is None
    follower.cancel()


async def test_other_replicas_follow_and_listeners_hear_after_the_swap(make_engine: MakeEngine) -> None:
    here, there = await make_engine(), await make_engine()
    heard: list[Any] = []
    face = PluginResources(there)
    face.on_change("credentials", lambda name, live: 1 / 0)
    face.on_change(
        "credentials", lambda name, live: heard.append((name, live is there.snapshot.live("credentials", name)))
    )
    face.on_change("tickets", lambda name, live: heard.append((name, live and live.spec.name)))
    follower = asyncio.create_task(there.follow())
    await here.create("credentials", {"id": "c", "source": {"backend": "vault", "path": "p"}}, ME)
    ticket = await here.create("tickets", {"name": "n"}, ME)
    await here.delete("credentials", "c", ME)
    await here.delete("tickets", ticket.id, ME)
    await until(lambda: (ticket.id, None) in heard)
    assert ("c", True) in heard
    assert there.snapshot.live("credentials", "c") is None
    assert there.feed.failures >= 1
    follower.cancel()


async def test_the_feed_survives_a_store_that_goes_away(make_engine: MakeEngine, store: Any) -> None:
    here, there = await make_engine(), await make_engine()
    follower = asyncio.create_task(there.follow())
    await here.create("credentials", {"id": "c", "source": {"backend": "vault", "path": "p"}}, ME)
    await until(lambda: there.snapshot.live("credentials", "c") is not None)
    await store.close()
    await until(lambda: there.feed.failures > 0)
    assert there.snapshot.live("credentials", "c") is not None
    await store.open()
    await here.patch("credentials", "c", {"note": "back"}, ME)
    await until(lambda: there.snapshot.live("credentials", "c").spec.note == "back")
    follower.cancel()


def documents(kind: str, count: int, spec: bytes) -> dict[Key, Document | None]:
    return {(kind, f"r{number}"): Document(kind, f"r{number}", 1, 1, spec, "api", 0, 0) for number in range(count)}


def test_a_change_costs_the_same_whatever_else_there_is(engine_kinds: Any) -> None:
    """Compiling is counted, not timed: one changed resource among many compiles itself and what names it."""
    compiled: list[str] = []
    kinds = engine_kinds(compiled)
    compiler = Compiler(kinds, Vault(None))
    credential = b'{"source":{"backend":"vault","path":"p"}}'
    compiler.adopt(compiler.stage(documents("credentials", 2, credential)), 1)
    models = documents("models", 3000, b'{"credential_id":"r1","upstream":"x"}')
    models["models", "r7"] = Document("models", "r7", 1, 1, b'{"credential_id":"r0","upstream":"x"}', "api", 0, 0)
    compiler.adopt(compiler.stage(models), 2)
    before = compiler.snapshot
    compiled.clear()
    changed = Document("credentials", "r0", 2, 3, credential, "api", 0, 0)
    compiler.adopt(compiler.stage({("credentials", "r0"): changed}), 3)
    assert compiled == ["credentials/r0", "models/r7"]
    assert compiler.snapshot.live("models", "r8") is before.live("models", "r8")
    assert compiler.snapshot.all("aliases") == {}


@pytest.fixture
def engine_kinds() -> Any:
    def make(compiled: list[str]) -> Any:
        def counting(kind: Any) -> Any:
            def compile_counted(resource: Any, view: Any) -> Any:
                compiled.append(f"{kind.name}/{resource.id}")
                return kind.compile(resource, view)

            return replace(kind, compile=compile_counted)

        return {kind.name: counting(kind) for kind in KINDS}

    return make


async def test_keys_that_do_not_compile_here_are_absent_and_listed(make_engine: MakeEngine) -> None:
    made = await (await make_engine()).create("tickets", {"name": "n"}, ME)

    def refuse(resource: Any, view: Any) -> Any:
        raise ValueError("not in this build")

    engine: ResourceEngine = await make_engine((replace(TICKETS, compile=refuse, references=()),))
    assert await PluginResources(engine).cache("tickets", "ticket-hash").load(hashed(made.once["key"])) is None
    assert engine.broken["tickets", made.id].reason == "not in this build"
