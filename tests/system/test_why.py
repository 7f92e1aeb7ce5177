"""What a usage record tells of the way a request took, and of work that may have been done twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.faultup import FaultUpstream, Script
from support.gateway import Running, running


@pytest.fixture
async def gateway(tmp_path: Path, upstream: FaultUpstream) -> AsyncIterator[Running]:
    """The chain `c` asks `m`, then `echo`."""
    async with running(tmp_path, upstream, first_byte=0.3) as run:
        await run.create("chains", id="c", steps=[{"target": "m"}, {"target": "echo"}])
        yield run


async def told(gateway: Running, model: str, **members: bool) -> tuple[list[str], bool]:
    answer = await gateway.chat(model=model, **members)
    record = await gateway.usage_of(answer.headers["x-request-id"])
    return record["why"], record["possible_duplicate"]


async def test_where_there_is_no_choice_there_is_nothing_to_say(gateway: Running, upstream: FaultUpstream) -> None:
    assert ([], False) == await told(gateway, "m")
    upstream.script(Script(status=500))
    assert ([], False) == await told(gateway, "m"), "the record's own cause says it"
    assert ([], False) == await told(gateway, "nobody")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plan_with_reasons_leaves_them(gateway: Running, stream: bool) -> None:
    why, twice = await told(gateway, "c", stream=stream)
    assert (3, "c is a chain: m, then echo", False) == (len(why), why[0], twice)


async def test_each_attempt_that_failed_is_told_of(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(cause="rate_limit"))
    why, twice = await told(gateway, "c")
    assert why[-1].startswith("m at p: rate_limit (429) after 0.")
    assert why[-1].endswith(" s")
    assert (4, False) == (len(why), twice), "who was told to come back later did no work"


@pytest.mark.parametrize(
    ("script", "cause"),
    [(Script(hang=True), "first_byte_timeout"), (Script(cut_at=0, cut_of="raw", cut_how="rst"), "connection")],
)
async def test_an_attempt_that_may_have_run_before_another_is_a_possible_duplicate(
    gateway: Running, upstream: FaultUpstream, script: Script, cause: str
) -> None:
    upstream.script(script)
    why, twice = await told(gateway, "c")
    assert f"m at p: {cause} after " in why[-1]
    assert twice
    upstream.script(script)
    assert ([], False) == await told(gateway, "m"), "nobody was asked after it"


async def test_an_attempt_that_never_reached_its_provider_is_not(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.close_port()
    why, twice = await told(gateway, "c")
    assert "m at p: connect after " in why[-1]
    assert not twice


async def test_a_target_that_was_passed_over_is_told_of(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=429, headers={"retry-after": "30"}))
    await told(gateway, "c")
    why, _ = await told(gateway, "c")
    assert (4, "m at p: asked last, it wants a pause or a slower pace") == (len(why), why[-1])


async def test_so_is_one_that_was_the_only_one(gateway: Running, upstream: FaultUpstream) -> None:
    upstream.script(Script(status=429, headers={"retry-after": "30"}))
    await told(gateway, "m")
    why, _ = await told(gateway, "m")
    assert ["model m is at provider p", "m at p: not asked (rate_limit)"] == why, "no attempt tells whose limit it was"


async def test_so_is_one_of_those_that_share_a_name(gateway: Running, upstream: FaultUpstream) -> None:
    """`echo` answers whatever the draw says, as it is the only one that wants no pause of this key."""
    await gateway.patch("/providers/p", model_mapping={"shared": "x"}, weight=1_000_000)
    await gateway.create("providers", id="says", type="echo", model_mapping={"shared": "y"}, weight=1e-6)
    upstream.script(Script(status=429, headers={"retry-after": "30"}))
    await told(gateway, "shared")
    why, _ = await told(gateway, "shared")
    assert why[0].endswith("p 1e+06, says 1e-06")
    assert any("p" in line and "429" not in line for line in why[1:]), why
