"""The process ends in its time, whatever a plugin leaves behind, and says whose that was."""

import asyncio
from pathlib import Path

import pytest

from support.daemon import daemon
from support.distributions import installed

HEADER = """
    import asyncio, threading, time
    from switchgear.contracts.kernel import Task

    async def heedless():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    class Lingering(switchgear.Plugin):
        api = 1
"""
LEFT = {
    "a task that swallows its cancellation": (
        'def switchgear_tasks(self): return [Task("stay", 1.0, heedless)]',
        "stay",
    ),
    "work that was spawned": ('async def start(self): self.context.spawn("stay", heedless)', "stay"),
    "a task that nobody knows of": ("async def start(self): self.it = asyncio.create_task(heedless())", "heedless"),
    "a thread that is no daemon": (
        'async def start(self): threading.Thread(target=time.sleep, args=(3600,), name="stay").start()',
        "thread stay",
    ),
    "a thread of the loop's": (
        "async def start(self): asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)",
        "thread uvloop_0",
    ),
    "a stop that hangs": ("async def stop(self): await asyncio.sleep(3600)", "stop"),
    "a stop that swallows its cancellation": ("async def stop(self): await heedless()", "stop"),
    "a stop that blocks the loop": ("async def stop(self): time.sleep(3600)", "the event loop"),
}


@pytest.mark.slow
@pytest.mark.parametrize("left", LEFT)
async def test_what_is_left_behind_is_named_and_holds_up_nobody(
    tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, what = LEFT[left]
    with installed(tmp_path / "site") as site:
        site.add("lingering", {"lingering": "Lingering"}, f"{HEADER}        {body}\n")
        monkeypatch.setenv("PYTHONPATH", str(site.root))
        async with daemon(
            tmp_path, gateway="plugin_timeout = 1.0", plugins="lingering = { enabled = true }"
        ) as gateway:
            gateway.process.terminate()
            await asyncio.to_thread(gateway.process.wait, 30.0)
            said = gateway.process.output()
    lines = [line for line in said.splitlines() if '"plugin failed"' in line]
    assert [line for line in lines if what in line], said
    assert "Traceback" not in said.replace("\\n", "")
