"""A message that was acknowledged is in its dialog, whenever the gateway dies."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from support.daemon import daemon
from support.dialogs import Client

ROUNDS = 12


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill_and_what_was_not_is_whole_or_unanswered(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with daemon(tmp_path, plugins="dialogs = { enabled = true }") as run:
        client = await Client.new(run)
        kept: dict[str, list[str]] = {}

        async def talk(id: str, *, stream: bool) -> None:
            for number in range(1000):
                text = f"{id} says {number}"
                try:
                    answer = await client.say(id, text, stream=stream)
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and (not stream or "[DONE]" in answer.text):
                    kept[id].append(text)

        for _ in range(ROUNDS):
            ids = [await client.begin("echo") for _ in range(4)]
            kept |= {id: [] for id in ids}
            talking = [asyncio.ensure_future(talk(id, stream=bool(n % 2))) for n, id in enumerate(ids)]
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            run.process.kill()
            await asyncio.wait(talking)
            await run.restart()
        assert any(kept.values())
        for id, texts in kept.items():
            found = await client.texts(id)
            said = [f"{who}: {text}" for text in texts for who in ("user", "assistant")]
            assert said == found[: len(said)]
            assert found[len(said) :] in (
                [],
                [f"user: {id} says {len(texts)}"],
                [f"user: {id} says {len(texts)}", f"assistant: {id} says {len(texts)}"],
            )
            shown = await client.read(id)
            assert len(found) == shown["message_count"]
            busy = await client.ask("POST", f"/{id}/messages", {"content": "more"})
            assert busy.status_code in {200, 409}, busy.text
