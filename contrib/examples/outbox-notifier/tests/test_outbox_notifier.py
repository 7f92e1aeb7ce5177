import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.daemon import Daemon, daemon
from support.gateway import eventually, running
from support.ports import free_port


class Receiver:
    """Takes events. While it `hangs` it reads them and answers nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told: list[tuple[str, dict]] = []
        self.hangs = False
        self.status = 204
        self._server: asyncio.Server | None = None

    @property
    def enabled(self) -> str:
        url = f"http://127.0.0.1:{self.port}/events"
        return f'outbox_notifier = {{ enabled = true, url = "{url}", every = 0.05, timeout = 0.5 }}'

    @property
    def texts(self) -> list[str]:
        return [body["notice"]["text"] for _, body in self.told]

    @property
    def ids(self) -> set[str]:
        return {id for id, _ in self.told}

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.told.append((headers["idempotency-key"], body))
        if self.hangs:
            await reader.read()  # until the gateway dies
        else:
            writer.write(f"HTTP/1.1 {self.status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    yield made
    await made.close()


async def put(run: Daemon, id: str, text: str) -> str:
    answer = await run.admin.put(f"/notices/{id}", json={"text": text})
    assert 200 == answer.status_code, answer.text
    return answer.json()["event"]


async def test_what_was_written_before_a_kill_is_told_after_it(tmp_path: Path, receiver: Receiver) -> None:
    async with daemon(tmp_path, plugins=receiver.enabled) as run:
        ids = [await put(run, "n", f"text {number}") for number in range(5)]
        run.process.kill()
        await receiver.open()
        await run.restart()
        await eventually(lambda: len(receiver.told) >= 5, within=20)
        assert ids == [id for id, _ in receiver.told]
        assert [f"text {number}" for number in range(5)] == receiver.texts
        [notice] = (await run.admin.get("/notices")).json()["data"]
        assert "text 4" == notice["text"]


async def test_what_was_told_and_not_noted_is_told_again_under_the_same_id(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hangs = True
    await receiver.open()
    async with daemon(tmp_path, plugins=receiver.enabled.replace("0.5 ", "3 ")) as run:
        id = await put(run, "n", "once")
        await eventually(lambda: len(receiver.told) == 1, within=20)
        run.process.kill()
        receiver.hangs = False
        await run.restart()
        await eventually(lambda: len(receiver.told) >= 2, within=40)
        assert {id} == receiver.ids


async def test_of_two_replicas_on_one_store_one_tells_each_once(tmp_path: Path, receiver: Receiver) -> None:
    await receiver.open()
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    shared = {"SWITCHGEAR__PLUGINS__SQLITE__PATH": str(tmp_path / "shared.db")}
    async with (
        daemon(one, plugins=receiver.enabled, environ=shared) as first,
        daemon(two, plugins=receiver.enabled, environ=shared) as second,
    ):
        ids = await asyncio.gather(*(put((first, second)[number % 2], f"n{number}", "text") for number in range(40)))
        await eventually(lambda: len(receiver.told) >= 40, within=20)
        assert Counter(ids) == Counter(id for id, _ in receiver.told)
        first.process.kill()
        ids += [await put(second, "last", "text")]
        await eventually(lambda: receiver.ids == set(ids), within=20)


async def test_a_receiver_that_fails_is_asked_again_and_nothing_overtakes(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 503
    await receiver.open()
    async with running(tmp_path, plugins=receiver.enabled) as run:
        for text in ("first", "second"):
            await put(run, "n", text)
        await eventually(lambda: len(receiver.told) >= 2)
        assert {"first"} == set(receiver.texts)
        receiver.status = 204
        await eventually(lambda: receiver.texts[-1:] == ["second"], within=20)


async def test_without_a_receiver_events_wait(tmp_path: Path, receiver: Receiver) -> None:
    await receiver.open()
    async with running(tmp_path, plugins="outbox_notifier = { enabled = true }") as run:
        await put(run, "n", "early")
        assert 400 == (await run.admin.put("/notices/n", json={"text": ""})).status_code
    async with running(tmp_path, plugins=receiver.enabled):
        await eventually(lambda: receiver.texts == ["early"])
