"""Names that do not resolve, resolve late or resolve to something else: through a whole gateway and real questions over UDP."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from faults.figures import Record
from support.daemon import daemon
from support.dns import NXDOMAIN, SERVFAIL, Known, NameServer, may_unshare
from support.faultup import FaultUpstream
from support.gateway import Running, eventually, running
from support.probe import measured, probing
from switchgear.testing.ambient import Ahead

HERE = Known("127.0.0.1")
LATE = Known("127.0.0.1", after_s=10.0)
ROW = "28 DNS"
ECHO = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with NameServer() as server:
        yield server


async def provide(gateway: Running, upstream: FaultUpstream, name: str) -> None:
    """Give the gateway a model `name` at the host `name.test`, and a chain `chain-name` that goes on to `m`."""
    base_url = f"http://{name}.test:{upstream.port}/v1"
    timeouts = {"connect": 2.0}
    await gateway.create("providers", id=name, type="openai_compatible", base_url=base_url, timeouts=timeouts)
    await gateway.create("models", id=name, provider_id=name, provider_model="x")
    steps = [{"target": name, "max_latency_ms": 500}, {"target": "m"}]
    await gateway.create("chains", id=f"chain-{name}", steps=steps)


@asynccontextmanager
async def asking(directory: Path, names: NameServer, upstream: FaultUpstream) -> AsyncIterator[Running]:
    """Serve a gateway that asks `names`: through the C library where a process may be given a resolv.conf, else as it does."""
    if may_unshare():
        async with daemon(directory, upstream, under=names.under(directory)) as made:
            yield made
    else:
        async with running(directory, upstream, lookup=names.lookup) as run:
            yield run


async def test_the_next_target_answers_at_once_for_a_name_that_does_not_resolve(
    tmp_path: Path, names: NameServer, upstream: FaultUpstream, figure: Record
) -> None:
    names.says |= {"gone.test": NXDOMAIN, "broken.test": SERVFAIL, "here.test": HERE}
    async with asking(tmp_path, names, upstream) as gateway:
        for name in ("gone", "broken", "here"):
            await provide(gateway, upstream, name)
        assert 200 == (await gateway.chat(model="here")).status_code
        took = []
        for name in ("gone", "broken"):
            alone = await gateway.chat(model=name)
            assert (502, "upstream_connect") == (alone.status_code, alone.json()["error"]["code"])
            assert ".test" not in alone.text
            for _ in range(20):
                began = time.monotonic()
                answer = await gateway.chat(model=f"chain-{name}")
                took.append(time.monotonic() - began)
                assert (200, "m") == (answer.status_code, answer.headers["x-switchgear-model"])
    assert names.asked["gone.test"] <= 4, "a failure is remembered for a second"
    assert max(took) < 5.0
    figure(ROW, "NXDOMAIN, SERVFAIL: slowest of 40 answers of the next target", f"{max(took) * 1e3:.0f} ms", "< 1 s")


@pytest.mark.slow
async def test_lookups_that_hang_hold_up_nobody_else(
    tmp_path: Path, names: NameServer, upstream: FaultUpstream, figure: Record
) -> None:
    hung = [f"late{number}" for number in range(8)]  # more than the default executor has threads on two cores
    names.says |= {f"{name}.test": LATE for name in hung}
    names.says |= {"here.test": HERE, "other.test": HERE}
    async with asking(tmp_path, names, upstream) as gateway:
        for name in (*hung, "here", "other"):
            await provide(gateway, upstream, name)
        assert 200 == (await gateway.chat(model="here")).status_code
        before = await measured(gateway.port, gateway.key, ECHO)
        async with probing(gateway.port, gateway.key, ECHO) as probe:
            waiting = [asyncio.create_task(gateway.chat(model=name)) for name in hung]
            await eventually(lambda: all(names.asked[f"{name}.test"] for name in hung))
            began = time.monotonic()
            fresh = await gateway.chat(model="other")
            fresh_s = time.monotonic() - began
            assert (200, 200) == (fresh.status_code, (await gateway.chat(model="here")).status_code)
            began = time.monotonic()
            rescued = await asyncio.gather(*(gateway.chat(model=f"chain-{name}") for name in hung))
            rescued_s = time.monotonic() - began
            answers = await asyncio.gather(*waiting)
        assert {"m"} == {answer.headers["x-switchgear-model"] for answer in rescued}
        assert {502} == {answer.status_code for answer in answers}
        assert {"upstream_connect", "upstream_connect_timeout"} >= {it.json()["error"]["code"] for it in answers}
        assert max(answer.elapsed.total_seconds() for answer in answers) < 8.0, "connect_timeout is 2 s"
        assert {200} == set(probe.statuses)
    assert fresh_s < 5.0, "a name that nobody asked for yet found a thread"
    assert rescued_s < 5.0, "max_latency_ms counts the lookup too"
    assert {1} == {names.asked[f"{name}.test"] for name in hung}, "one lookup a name, however many wait for it"
    figure(ROW, "8 hung lookups: another name's first answer", f"{fresh_s * 1e3:.0f} ms", "< 1 s")
    figure(ROW, "8 hung lookups: 8 chains answered by their next target", f"{rescued_s * 1e3:.0f} ms", "< 1 s")
    figure(ROW, "p99 of good traffic before, during 8 hung lookups", f"{before.p99_ms:.1f} ms, {probe.p99_ms:.1f} ms")


async def test_a_name_that_moves_is_followed(
    tmp_path: Path, names: NameServer, upstream: FaultUpstream, figure: Record
) -> None:
    clock = Ahead()
    async with (
        FaultUpstream(host="127.0.0.2", port=upstream.port) as moved,
        running(tmp_path, upstream, lookup=names.lookup, ambient=clock) as gateway,
    ):
        names.says["here.test"] = HERE
        await provide(gateway, upstream, "here")
        for _ in range(5):
            assert 200 == (await gateway.chat(model="here")).status_code
        assert (1, 5) == (names.asked["here.test"], len(upstream.ledger))
        # A TTL of 0 is not asked for each request; the change is seen when the answer is stale.
        names.says["here.test"] = Known("127.0.0.2")
        clock.skip(31.0)
        await eventually(lambda: _reaches(gateway, moved))
        seen = len(upstream.ledger)
        for _ in range(5):
            assert 200 == (await gateway.chat(model="here")).status_code
        assert seen == len(upstream.ledger), "connections to the old address are not used any more"
        # Where the old address is dead, the first failure is what looks the name up again.
        names.says["here.test"] = HERE
        clock.skip(2.0)
        moved.close_port()
        await moved.drop_connections()
        began = time.monotonic()
        failed = 0
        while (await gateway.chat(model="here")).status_code != 200:
            failed += 1
            assert failed < 100
        took = time.monotonic() - began
        assert seen < len(upstream.ledger)
    assert took < 5.0
    figure(ROW, "an address that died: until its successor is used", f"{took * 1e3:.0f} ms, {failed} failed", "< 1 s")


async def _reaches(gateway: Running, upstream: FaultUpstream) -> bool:
    assert 200 == (await gateway.chat(model="here")).status_code
    return len(upstream.ledger) > 0


async def test_the_last_good_address_serves_a_minute_while_the_name_server_is_away(
    tmp_path: Path, names: NameServer, upstream: FaultUpstream, figure: Record
) -> None:
    clock = Ahead()
    async with running(tmp_path, upstream, lookup=names.lookup, ambient=clock) as gateway:
        names.says["here.test"] = HERE
        await provide(gateway, upstream, "here")
        began = clock.monotonic()
        assert 200 == (await gateway.chat(model="here")).status_code
        names.says["here.test"] = SERVFAIL
        asked = served = 0
        while (into := clock.monotonic() - began) < 58.5:
            clock.skip(1.0 - into % 1.0)  # the time that the test itself takes is part of the minute
            await upstream.drop_connections()  # so that each request has to connect anew
            asked += 1
            served += (await gateway.chat(model="here")).status_code == 200
        clock.skip(began + 62.0 - clock.monotonic())
        assert 502 == (await gateway.chat(model="here")).status_code
        assert names.asked["here.test"] <= 35, "it is asked for once a second at most"
        names.says["here.test"] = HERE
        clock.skip(2.0)
        assert 200 == (await gateway.chat(model="here")).status_code, "the name server is back"
    assert 20 < asked == served
    figure(
        ROW, "name server away: served from the last good address", f"{served} of {asked} s", "all, and not after 60 s"
    )
