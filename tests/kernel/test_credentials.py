import asyncio
import io
import time

import pytest

from switchgear.ambient import Ambient
from switchgear.catalogue import Catalogue
from switchgear.catalogue.live import LiveCredential
from switchgear.contracts.credential import Secret, SecretHandle
from switchgear.contracts.upstream import Timeouts
from switchgear.credentials import CredentialState, KeeperSettings, SecretKeeper
from switchgear.errors import SecretUnavailable
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.exchange.meters import ExchangeMeters
from switchgear.offer import Offer
from switchgear.telemetry.logs import Logs
from switchgear.telemetry.metrics import Metrics
from switchgear.testing.ambient import START_US


class ScriptedBackend:
    """Answers each fetch with what was put into `answers` for it; waits until there is something."""

    def __init__(self):
        self.answers = asyncio.Queue()
        self.fetches = 0

    def put(self, *answers):
        for answer in answers:
            self.answers.put_nowait(answer)
        return self

    async def fetch(self, credential_id, source):
        self.fetches += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Secret) else Secret({"api_key": answer})


def down(why="vault is sealed"):
    return SecretUnavailable(why)


@pytest.fixture
def log_text():
    return io.StringIO()


@pytest.fixture
async def keeper(ambient, log_text):
    made = SecretKeeper(ambient, Metrics(), Logs(renderer="json", stream=log_text).logger())
    yield made
    await made.close()


@pytest.fixture
def backend():
    return ScriptedBackend()


async def settled(condition):
    """Let the loop turn until something that is under way has happened."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def test_nothing_is_fetched_until_somebody_needs_it_and_then_once(keeper, backend):
    handle: SecretHandle = keeper.handle("c", backend, "source")
    assert (None, 0) == (handle.peek(), backend.fetches)
    backend.put("k1")
    assert "k1" == (await handle.get())["api_key"]
    for _ in range(100):
        assert "k1" == handle.peek()["api_key"] == (await handle.get())["api_key"]
    assert 1 == backend.fetches


async def test_all_who_wait_share_one_fetch_and_one_who_leaves_does_not_end_it(keeper, backend):
    handle = keeper.handle("c", backend, "source")
    waiting = [asyncio.create_task(handle.get()) for _ in range(50)]
    await settled(lambda: backend.fetches)
    waiting[0].cancel()
    backend.put("k1")
    got = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(got[0], asyncio.CancelledError)
    assert {"k1"} == {secret["api_key"] for secret in got[1:]}
    assert 1 == backend.fetches


async def test_it_is_renewed_in_the_background_from_four_fifths_of_its_time(keeper, backend, ambient):
    handle = keeper.handle("c", backend.put("k1"), "source")
    await handle.get()
    ambient.advance(239.9)
    assert ("k1", 1) == (handle.peek()["api_key"], backend.fetches)
    ambient.advance(0.2)
    assert "k1" == handle.peek()["api_key"]
    await settled(lambda: backend.fetches == 2)
    assert "k1" == handle.peek()["api_key"] == (await handle.get())["api_key"]
    backend.put("k2")
    await settled(lambda: handle.peek()["api_key"] == "k2")
    assert 2 == backend.fetches


async def test_one_nobody_used_for_long_is_fetched_before_it_is_used_again(keeper, backend, ambient):
    handle = keeper.handle("c", backend.put("k1", "k2"), "source")
    await handle.get()
    ambient.advance(301)
    assert handle.peek() is None
    assert "k2" == (await handle.get())["api_key"]


async def test_the_last_good_value_stays_while_the_backend_fails_and_tries_are_spaced_out(keeper, backend, ambient):
    handle = keeper.handle("c", backend.put("k1"), "source")
    await handle.get()
    ambient.advance(1000)
    tried = []
    for _ in range(120):
        before = backend.fetches
        if backend.answers.empty():
            backend.put(down())
        assert "k1" == (await handle.get())["api_key"]
        await settled(lambda: backend.answers.empty() or handle._fetching is None)
        if backend.fetches > before:
            tried.append(ambient.monotonic() - 2000)
        ambient.advance(1)
    assert [0, 1, 3, 7, 15, 31, 61, 91] == tried
    assert 8 == keeper.failures.child("c").value
    while not backend.answers.empty():
        backend.answers.get_nowait()
    backend.put("k2")
    ambient.advance(60)
    handle.peek()
    await settled(lambda: handle.peek()["api_key"] == "k2")
    assert ["good"] == [state.status for state in keeper.states()]


async def test_without_any_value_the_error_is_remembered_between_tries(keeper, backend, ambient):
    handle = keeper.handle("c", backend.put(down("MISSING is not set")), "source")
    for _ in range(10):
        with pytest.raises(SecretUnavailable, match="MISSING is not set"):
            await handle.get()
    assert 1 == backend.fetches
    ambient.advance(1.1)
    backend.put("k1")
    assert "k1" == (await handle.get())["api_key"]


async def test_health_says_how_each_stands_and_since_when(keeper, backend, ambient):
    other = ScriptedBackend().put(down("gone"))
    handle, failing = keeper.handle("a", backend.put("k1"), 1), keeper.handle("b", other, 1)
    keeper.handle("c", backend, 1)
    await handle.get()
    with pytest.raises(SecretUnavailable):
        await failing.get()
    ambient.advance(250)
    backend.put(down("sealed"))
    handle.peek()
    await settled(lambda: keeper.states()[0].status == "failing")
    assert [
        CredentialState("a", "failing", START_US, START_US + 250_000_000, "sealed"),
        CredentialState("b", "unavailable", None, START_US, "gone"),
        CredentialState("c", "unused"),
    ] == keeper.states()


async def test_the_beginning_and_end_of_an_outage_are_logged_and_announced_once(keeper, backend, ambient, log_text):
    announced = []
    keeper.announce = lambda name, data: announced.append((name, data))
    handle = keeper.handle("c", backend.put("k1"), 1)
    await handle.get()
    for answer in (down(), down(), down(), "k1"):
        ambient.advance(300)
        backend.put(answer)
        handle.peek() or await handle.get()
        await settled(lambda: handle._fetching is None)
    assert ["credential cannot be fetched", "credential is available again"] == [
        line.split('"event":"')[1].split('"')[0] for line in log_text.getvalue().splitlines()
    ]
    failing = ("credentials.failing", {"id": "c", "why": "vault is sealed", "kept": True})
    assert [failing, ("credentials.recovered", {"id": "c"})] == announced


async def test_refresh_brings_a_rotated_secret_even_if_an_older_fetch_is_under_way(keeper, backend):
    handle = keeper.handle("c", backend, 1)
    waiting = asyncio.create_task(handle.get())
    await settled(lambda: backend.fetches == 1)
    refreshing = [asyncio.create_task(keeper.refresh("c")) for _ in range(3)]
    await asyncio.sleep(0)
    backend.put("before", "after")
    await asyncio.gather(waiting, *refreshing)
    assert ("after", 2) == (handle.peek()["api_key"], backend.fetches)


async def test_refresh_says_when_it_failed_and_keeps_the_value(keeper, backend):
    handle = keeper.handle("c", backend.put("k1", down("sealed")), 1)
    await handle.get()
    with pytest.raises(SecretUnavailable, match="sealed"):
        await keeper.refresh("c")
    assert "k1" == handle.peek()["api_key"]
    with pytest.raises(SecretUnavailable, match="no credential nobody"):
        await keeper.refresh("nobody")


async def test_an_unchanged_credential_keeps_its_handle_and_a_changed_one_gets_a_new_one(keeper, backend):
    handle = keeper.handle("c", backend.put("old"), {"path": "a"})
    await handle.get()
    assert handle is keeper.handle("c", backend, {"path": "a"})
    changed = keeper.handle("c", backend.put("new"), {"path": "b"})
    assert changed.peek() is None
    assert "new" == (await changed.get())["api_key"]
    assert "old" == handle.peek()["api_key"]
    assert changed is not keeper.handle("c", ScriptedBackend(), {"path": "b"})
    keeper.forget("c")
    assert [] == keeper.states()


async def test_a_fetch_for_the_old_source_never_reaches_the_new_handle(keeper, backend):
    old = keeper.handle("c", backend, "a")
    waiting = asyncio.create_task(old.get())
    await settled(lambda: backend.fetches == 1)
    new = keeper.handle("c", ScriptedBackend().put("new"), "b")
    backend.put("old")
    await waiting
    assert new.peek() is None
    assert "new" == (await new.get())["api_key"]


async def test_the_version_changes_with_the_values_and_only_with_them(keeper, backend):
    handle = keeper.handle("c", backend.put("k1", "k1", "k2"), 1)
    versions = [(await handle.get()).version]
    for _ in range(2):
        await keeper.refresh("c")
        versions.append(handle.peek().version)
    assert versions[0] == versions[1] != versions[2]
    assert all(versions)


async def test_a_backends_own_version_is_kept(keeper, backend):
    handle = keeper.handle("c", backend.put(Secret({"a": "1"}, "v7"), Secret({"a": "1"}, "v8")), 1)
    assert "v7" == (await handle.get()).version
    await keeper.refresh("c")
    assert "v8" == handle.peek().version


async def test_a_broken_backend_is_named_and_its_words_are_not_repeated(keeper, backend, log_text):
    handle = keeper.handle("c", backend.put(KeyError("canary-secret")), 1)
    with pytest.raises(SecretUnavailable, match="the backend of credential c is broken: it raised KeyError") as caught:
        await handle.get()
    assert "canary" not in str(caught.value) + log_text.getvalue()


async def test_a_backend_that_never_answers_is_given_up(ambient, backend):
    keeper = SecretKeeper(ambient, Metrics(), Logs(stream=io.StringIO()).logger(), KeeperSettings(fetch_timeout_s=0.02))
    with pytest.raises(SecretUnavailable, match=r"did not answer in 0\.02 s"):
        await keeper.handle("c", backend, 1).get()


async def test_close_ends_what_is_being_fetched(keeper, backend):
    waiting = asyncio.create_task(keeper.handle("c", backend, 1).get())
    await settled(lambda: backend.fetches == 1)
    await keeper.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not keeper._running


async def test_looking_at_a_warm_secret_takes_no_time(backend):
    keeper = SecretKeeper(Ambient(), Metrics(), Logs(stream=io.StringIO()).logger())
    handle = keeper.handle("c", backend.put("k"), 1)
    await handle.get()
    began = time.process_time()
    for _ in range(20_000):
        handle.peek()
    assert (time.process_time() - began) / 20_000 < 10e-6


class TradesForATokenProvider:
    wires = frozenset()

    def __init__(self, config):
        self.config = config

    def prepare(self, call, model, secret): ...

    def token_request(self, secret): ...

    def token(self, secret, head, body): ...


class Wire:
    """A connection that nothing goes over."""


@pytest.fixture
def catalogue(keeper):
    return Catalogue(
        providers={"trader": Offer("trader", TradesForATokenProvider)},
        backends={},
        credentials=keeper,
        connect=lambda settings: Wire(),
        timeouts=Timeouts(),
        verify_tls=True,
        meters=ExchangeMeters(Metrics()),
        health=HealthRegistry(RoutingSettings(), Ambient(), Metrics()),
    )


async def test_trying_a_credential_leaves_nothing_behind_that_health_would_show(catalogue, keeper, backend):
    provider = catalogue.stand_in(LiveCredential("trader", keeper.handle("c", backend, "s"), ()))
    assert provider.secret is not provider.credential
    assert ["c"] == [state.credential_id for state in keeper.states()]


async def test_a_secret_bound_elsewhere_is_not_tried_at_its_types_own_address(catalogue, keeper, backend):
    bound = LiveCredential("trader", keeper.handle("c", backend, "s"), ("https://gateway.test:443",))
    with pytest.raises(ValueError, match=r"https://gateway\.test:443"):
        catalogue.stand_in(bound)
