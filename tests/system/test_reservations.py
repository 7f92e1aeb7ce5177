"""Policies of third parties that count, beside the key's limits: one reservation, told apart, exact under any rush."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.distributions import installed
from support.faultup import FaultUpstream, Script
from support.gateway import Running, eventually, running
from support.talk import Talk, call
from switchgear.errors import PluginError

CAP = """
    from switchgear import Offer
    from switchgear.contracts.counters import Bucket
    from switchgear.contracts.policy import Policy
    from switchgear.errors import RateLimited

    DAY_US = 86_400_000_000

    class Settings(__import__("msgspec").Struct, frozen=True, forbid_unknown_fields=True):
        tokens_per_day: int = 100
        worst_case: int = 10
        keys: list[str] = []

    class Cap(Policy):
        sorts = frozenset({"period"})

        def __init__(self, settings, ambient):
            self.settings, self.ambient = settings, ambient

        def reserve(self, x):
            start_us = self.ambient.now_us() // DAY_US * DAY_US
            key = f"cap:{x.principal.name}"
            return [
                Bucket(key, "period", self.settings.tokens_per_day, self.settings.worst_case, 86_400.0, start_us=start_us)
            ] if x.principal.name.startswith("capped") else []

        def reserved(self, x, rooms):
            x.headers.append((b"x-cap-left", b"%d" % rooms[0].remaining))

        def refused(self, x, index, room, retry_after_s):
            return RateLimited("The day's tokens are spent.", code="cap_reached", retry_after=retry_after_s)

        def used(self, x):
            return [x.usage.input_tokens + x.usage.output_tokens if x.usage else 0]

    class Plugin(switchgear.Plugin):
        api = 1
        settings_type = Settings

        def switchgear_policies(self):
            return [Offer("cap", lambda: Cap(self.settings, self.context.ambient))]

    class Windows(switchgear.Plugin):
        api = 1
        sorts = frozenset({"window", "slots"})

        def switchgear_counters(self):
            return [Offer("windows", lambda: self)]

        def reserve(self, id, buckets, lease_s): ...

        def settle(self, id, actual=None): ...

        def peek(self, buckets): ...

        def seed(self, bucket, epoch, total): ...

    class Hidden(switchgear.Plugin):
        api = 1

        def switchgear_policies(self):
            return [Offer("hidden", type("Undeclared", (Cap,), {"sorts": frozenset(), "__init__": lambda self: None}))]
"""


@pytest.fixture
async def upstream() -> AsyncIterator[FaultUpstream]:
    async with FaultUpstream() as up:
        up.register("endless", Script(chunks=500, chunk_delay_ms=20))
        yield up


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("cap", {"cap": "Plugin"}, CAP)
        async with running(tmp_path, upstream, plugins="cap = { enabled = true }") as run:
            await run.create("models", id="endless", provider_id="p", provider_model="fault-endless")
            yield run


async def test_a_cap_takes_the_worst_case_and_settles_what_was_used(gateway: Running) -> None:
    _, secret = await gateway.new_key(name="capped-a", limits={"requests_per_minute": 1000, "concurrent_requests": 2})
    left = 100
    while left >= 10:
        answer = (await call(gateway.port, secret, model="m", stream=False)).answer
        assert 200 == answer.status
        shown = {name: int(answer.headers[name]) for name in ("x-cap-left", "x-ratelimit-limit-requests")}
        assert {"x-cap-left": left - 10, "x-ratelimit-limit-requests": 1000} == shown
        usage = answer.json["usage"]
        left -= usage["total_tokens"]
    minute = int(answer.headers["x-ratelimit-remaining-requests"])
    for _ in range(3):
        answer = (await call(gateway.port, secret, model="m", stream=False)).answer
        assert (429, "cap_reached") == (answer.status, answer.json["error"]["code"])
        assert 60 < int(answer.headers["retry-after"]) <= 86_400
        assert minute == int(answer.headers["x-ratelimit-remaining-requests"]), (
            "one policy's refusal takes nothing of another's"
        )


async def test_neither_of_two_policies_stands_in_the_others_way(gateway: Running) -> None:
    """Both reserve for one exchange: each is held to, whichever has less room."""
    _, narrow = await gateway.new_key(name="capped-b", limits={"requests_per_minute": 3})
    assert [200, 200, 200, 429] == [(await call(gateway.port, narrow, model="echo")).answer.status for _ in range(4)]
    _, wide = await gateway.new_key(name="capped-c", limits={"requests_per_minute": 1000})
    found = Counter([(await call(gateway.port, wide, model="m")).answer.status for _ in range(40)])
    assert 0 < found[200] < 40
    assert 40 == found[200] + found[429]


async def test_of_two_hundred_at_once_exactly_as_many_as_the_cap_has_room_for_get_through(gateway: Running) -> None:
    _, secret = await gateway.new_key(name="capped-d", limits={"concurrent_requests": 150})
    talks = [await Talk.begin(gateway.port, secret, model="endless") for _ in range(200)]

    async def answered(talk: Talk) -> int:
        while not talk.answer.status:
            assert await talk._read()
        return talk.answer.status

    assert Counter({200: 10, 429: 190}) == Counter(await asyncio.gather(*map(answered, talks)))
    for talk in talks:
        talk.close()
    await eventually(lambda: gateway.gateway.exchanges_in_flight == 0)
    counters = gateway.gateway.kernel._shared.services.counters
    assert (0, 0) == (counters.size()[1], counters.size()[4]), "nothing is held"


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        (
            {"cap": "Plugin", "windows": "Windows"},
            "the policy `cap` counts in buckets of the sort `period`, and the counters `windows` (plugin `windows` of acme) know",
        ),
        (
            {"hidden": "Hidden", "windows": "Windows"},
            "the policy `hidden` overrides `reserve` and does not say in which sorts of bucket it counts.",
        ),
    ],
)
async def test_a_sort_that_the_counters_do_not_know_is_refused_before_a_socket_opens(
    tmp_path: Path, plugins: dict[str, str], said: str
) -> None:
    with installed(tmp_path / "site") as site:
        site.add("acme", plugins, CAP)
        enabled = "\n".join(f"{name} = {{ enabled = true }}" for name in plugins)
        with pytest.raises(PluginError) as caught:
            async with running(tmp_path, memory=", counters = false", plugins=enabled):
                pass
        assert said in str(caught.value).replace("\n", " ")
