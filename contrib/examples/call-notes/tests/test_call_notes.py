import asyncio
import csv
import io
from pathlib import Path
from typing import Any

from support.daemon import daemon
from support.gateway import Running, eventually, running
from switchgear.ambient import Ambient

ENABLED = "call_notes = { enabled = true, keep_days = 1 }"


class LongAgo(Ambient):
    """Two days ago."""

    def now_us(self) -> int:
        return super().now_us() - 2 * 86_400_000_000


async def add(run: Running, **note: Any) -> dict[str, Any]:
    answer = await run.admin.post("/call-notes", json=note)
    assert 201 == answer.status_code, answer.text
    return answer.json()


async def export(run: Running, **query: Any) -> list[dict[str, str]]:
    answer = await run.admin.get("/call-notes.csv", params=query)
    assert 200 == answer.status_code, answer.text
    assert "text/csv; charset=utf-8" == answer.headers["content-type"]
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_notes_are_there_at_once_and_summed_up(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=ENABLED) as run:
        assert [] == await export(run)
        for rating in (1, 1, -1):
            await add(run, call="a", rating=rating, text='He said "so", twice,\nand left')
        note = await add(run, call="b")
        assert ("admin-key", 0, "") == (note["by"], note["rating"], note["text"])
        rows = await export(run)
        assert {name: str(value) for name, value in note.items()} == rows[0]
        assert ["b", "a", "a", "a"] == [row["call"] for row in rows]
        assert 'He said "so", twice,\nand left' == rows[1]["text"]
        assert 3 == len(await export(run, call="a"))
        assert [] == await export(run, since_us=note["at_us"] + 1)
        found = (await run.admin.get("/call-notes/summary")).json()["data"]
        assert [{"call": "a", "notes": 3, "rating": 1}, {"call": "b", "notes": 1, "rating": 0}] == found


async def test_more_than_a_page_is_exported_whole(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=ENABLED) as run:
        made = await asyncio.gather(*(add(run, call=f"call-{number}") for number in range(501)))
        rows = await export(run)
        assert {note["id"] for note in made} == {row["id"] for row in rows}
        assert 501 == len(rows)
        assert sorted((int(row["at_us"]) for row in rows), reverse=True) == [int(row["at_us"]) for row in rows]


async def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"]
    async with running(tmp_path, plugins=ENABLED) as run:
        for text in texts:
            await add(run, call="a", text=text)
        assert [f"'{text}" for text in reversed(texts)] == [row["text"] for row in await export(run)]


async def test_what_was_noted_survives_a_kill(tmp_path: Path) -> None:
    async with daemon(tmp_path, plugins=ENABLED) as run:
        note = await add(run, call="a")
        run.process.kill()
        await run.restart()
        assert [note["id"]] == [row["id"] for row in await export(run)]


async def test_old_notes_are_gone(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=ENABLED, ambient=LongAgo()) as run:
        await add(run, call="old")
        assert 1 == len(await export(run))
    async with running(tmp_path, plugins=ENABLED) as run:
        new = await add(run, call="new")

        async def left() -> bool:
            return [new["id"]] == [row["id"] for row in await export(run)]

        await eventually(left)


async def test_keys_of_clients_may_neither_write_nor_read(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=ENABLED) as run:
        for method, path in (("POST", "call-notes"), ("GET", "call-notes.csv"), ("GET", "call-notes/summary")):
            answer = await run.http.request(method, f"/admin/v1/{path}", headers=run.auth)
            assert answer.status_code in {401, 403}


async def test_a_note_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, plugins=ENABLED) as run:
        for note in ({}, {"call": ""}, {"call": "a", "rating": 2}, {"call": "a", "stars": 5}):
            assert 400 == (await run.admin.post("/call-notes", json=note)).status_code
