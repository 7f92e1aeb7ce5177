"""Which configuration a process works by, and reading it again: whole, or not at all."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from support.faultup import FaultUpstream
from support.gateway import Running, eventually, running
from switchgear.errors import StoreUnavailable
from switchgear.resources.feed import Feed


async def version(gateway: Running) -> dict[str, Any]:
    answer = await gateway.admin.get("/config/version")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_write_moves_the_version_here_at_once_and_elsewhere_soon(
    tmp_path: Path, upstream: FaultUpstream
) -> None:
    async with running(tmp_path, upstream) as gateway, running(tmp_path, upstream) as replica:
        before = await version(gateway)
        await gateway.patch("/models/m", tags=["x"])
        after = await version(gateway)
        assert before["revision"] < after["revision"]
        assert before["live_us"] < after["live_us"]

        async def moved() -> bool:
            return after["revision"] == (await version(replica))["revision"]

        await eventually(moved)


async def test_a_replica_that_is_told_to_reload_need_not_wait(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream) as gateway, running(tmp_path, upstream) as replica:
        await gateway.patch("/models/m", tags=["x"])
        answer = await replica.admin.post("/config/reload")
        assert 200 == answer.status_code, answer.text
        assert (await version(gateway))["revision"] == answer.json()["version"]["revision"]
        assert [] == answer.json()["refused"]


async def test_what_is_stored_and_cannot_be_used_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, plugins="gigachat = { enabled = true }") as gateway:
        await gateway.create("providers", id="g", type="gigachat")
        await gateway.create("models", id="chat", provider_id="g", provider_model="x")
        assert 0 == (await version(gateway))["broken"]
    async with running(tmp_path) as gateway:
        assert 2 == (await version(gateway))["broken"]
        answer = (await gateway.admin.post("/config/reload")).json()
        assert {("providers", "g"), ("models", "chat")} == {(it["kind"], it["id"]) for it in answer["refused"]}
        explained = (await gateway.admin.post("/explain", json={"request": {"model": "chat"}})).json()
        assert "broken" == explained["refused"]["reason"]
        [name] = explained["names"]
        assert name["broken"] in explained["refused"]["detail"]


async def test_a_bad_file_is_refused_whole_and_the_last_good_state_stays(
    tmp_path: Path, upstream: FaultUpstream
) -> None:
    async with running(tmp_path, upstream) as gateway:
        file = tmp_path / "plugins.toml"
        good = file.read_text()
        before = await version(gateway)
        assert (str(file), True, []) == (
            before["file"]["path"],
            before["file"]["is_current"],
            before["file"]["failures"],
        )
        file.write_text(
            good.replace("[plugins]", "[plugins]\nlimits = 7", 1).replace("drain_grace = 1.0", "drain_grace = -1")
        )
        assert (await version(gateway))["file"]["is_current"] is False
        answer = await gateway.admin.post("/config/reload")
        assert (422, "urn:switchgear:problem:bad_configuration") == (answer.status_code, answer.json()["type"])
        named = [error["detail"] for error in answer.json()["errors"]]
        assert named
        after = await version(gateway)
        assert (named, before["file"]["read_us"], False) == (
            after["file"]["failures"],
            after["file"]["read_us"],
            after["file"]["is_current"],
        )
        assert before["revision"] == after["revision"]
        assert 200 == (await gateway.chat()).status_code
        file.write_text(good)
        assert 200 == (await gateway.admin.post("/config/reload")).status_code
        mended = await version(gateway)
        assert (True, [], []) == tuple(mended["file"][name] for name in ("is_current", "failures", "takes_a_restart"))


async def test_every_failure_is_named_by_itself(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream) as gateway:
        file = tmp_path / "plugins.toml"
        file.write_text(file.read_text().replace("drain_grace = 1.0", "drain_grace = -1\nlog_level = 'loud'"))
        errors = (await gateway.admin.post("/config/reload")).json()["errors"]
        assert [True, True] == [
            any(word in error["detail"] for error in errors) for word in ("drain_grace", "log_level")
        ]
        assert len(errors) >= 2


async def test_what_takes_a_restart_is_named_until_it_is_undone(tmp_path: Path, upstream: FaultUpstream) -> None:
    async with running(tmp_path, upstream) as gateway:
        file = tmp_path / "plugins.toml"
        good = file.read_text()
        file.write_text(good.replace("drain_grace = 1.0", "drain_grace = 2.0"))
        for _ in range(2):
            answer = await gateway.admin.post("/config/reload")
            assert ["gateway"] == answer.json()["version"]["file"]["takes_a_restart"]
        file.write_text(good)
        answer = await gateway.admin.post("/config/reload")
        assert [] == answer.json()["version"]["file"]["takes_a_restart"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"#" * 2_000_000], ids=["no text", "too deep", "too large"]
)
async def test_whatever_the_file_is_by_mistake_is_refused(tmp_path: Path, content: bytes) -> None:
    async with running(tmp_path) as gateway:
        (tmp_path / "plugins.toml").write_bytes(content)
        answer = await gateway.admin.post("/config/reload")
        assert (422, "urn:switchgear:problem:bad_configuration") == (answer.status_code, answer.json()["type"])
        [failure] = (await version(gateway))["file"]["failures"]
        assert "plugins.toml" in failure


async def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        file = tmp_path / "plugins.toml"
        file.unlink()
        os.mkfifo(file)
        async with asyncio.timeout(5):
            answer = await gateway.admin.post("/config/reload")
        assert 422 == answer.status_code


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('["127.0.0.0/8"]', '["10.0.0.0/99", "localhost"]', ["10.0.0.0/99", "localhost"]),
        ("echo = {", "nobody_wrote_it = { enabled = true }\necho = {", ["nobody_wrote_it"]),
    ],
)
async def test_what_the_next_start_would_refuse_is_refused_now(
    tmp_path: Path, old: str, new: str, named: list[str]
) -> None:
    async with running(tmp_path) as gateway:
        file = tmp_path / "plugins.toml"
        file.write_text(file.read_text().replace(old, new, 1))
        answer = await gateway.admin.post("/config/reload")
        assert 422 == answer.status_code, answer.text
        [error] = answer.json()["errors"]
        assert error["detail"].startswith(f"{file}:"), "the place is named"
        assert all(name in error["detail"] for name in named)
        assert (await version(gateway))["file"]["is_current"] is False


async def test_a_hangup_has_the_file_read_though_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(feed: Feed) -> None:
        raise StoreUnavailable("the database is away")

    async with running(tmp_path) as gateway:
        monkeypatch.setattr(Feed, "catch_up", away)
        assert 503 == (await gateway.admin.post("/config/reload")).status_code
        file = tmp_path / "plugins.toml"
        file.write_text(file.read_text().replace("drain_grace = 1.0", "drain_grace = 2.0"))
        gateway.gateway._configuration.on_hangup()

        async def is_read() -> bool:
            return ["gateway"] == (await version(gateway))["file"]["takes_a_restart"]

        await eventually(is_read)
