"""The public kit: a whole gateway as a fixture, as third parties use it."""

import asyncio
import gc
from weakref import ref

from switchgear.testing.upstream import Script


async def test_a_client_asks_a_model_at_an_upstream_that_does_what_it_is_told(gateway, upstream):
    async with upstream, gateway() as run:
        await run.add_model("m", "openai_compatible", upstream.base_url)
        upstream.script(Script(content="Hello there"), Script(status=503), Script(cut_after_chunks=1))
        answer = await run.chat("Hi")
        assert "Hello there" == answer.json()["choices"][0]["message"]["content"]
        [entry] = await upstream.ledger.settled()
        assert b"Hi" in entry.body
        assert 2 == (await run.usage_of(answer.headers["x-request-id"]))["output_tokens"]


async def test_settings_plugins_and_time_are_the_tests_own(gateway, clock):
    plugins = {"limits": {"enabled": False}, "echo": {}}
    async with gateway(plugins=plugins, gateway={"drain_grace": 0.1}, ambient=clock) as run:
        before = (await run.create("models", id="a", provider_id="echo", provider_model="x"))["created_at"]
        clock.skip(86_400.0)
        after = (await run.create("models", id="b", provider_id="echo", provider_model="x"))["created_at"]
        assert before[:10] < after[:10]
        assert "limits" not in {it.installed.name for it in run.gateway.kernel.plugins}


async def test_an_upstream_without_a_wire_of_its_own_refuses_in_the_canonical_form(gateway, upstream):
    async with upstream, gateway(gateway={"routing": {"retries": 0}}) as run:
        await run.add_model("m", "openai_compatible", upstream.base_url)
        for script, status in (
            (Script(cause="rate_limit"), 429),
            (Script(cause="overloaded"), 503),
            (Script(cause="auth"), 502),
        ):
            upstream.script(script)
            assert status == (await run.chat("Hi")).status_code


async def test_nothing_holds_a_gateway_that_has_stopped(gateway):
    async with gateway() as run:
        assert (await run.chat(model="echo")).status_code == 200
        held = ref(run.gateway)
    del run
    await asyncio.sleep(0)  # the loop forgets what it ran last
    gc.collect()
    assert held() is None
