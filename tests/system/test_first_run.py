"""What a newcomer meets: `switchgear serve` in an empty directory, and the request it says to try (`switchgear_first_run`)."""

import json
import shlex
import stat
from pathlib import Path

import httpx
import pytest

from support.process import serving, switchgear

pytestmark = pytest.mark.slow


def start(directory: Path) -> list[str]:
    return switchgear("--data-dir", str(directory / "data"))


def test_the_request_that_the_first_start_prints_is_answered(tmp_path: Path) -> None:
    key_file = tmp_path / "data" / "first-api-key"
    with serving(start(tmp_path), cwd=tmp_path) as gateway:
        gateway.until(lambda: "To add providers" in gateway.output(), 10, "the welcome")
        printed = gateway.output()[gateway.output().index("curl ") : gateway.output().index("To add providers")]
        _, url, _, bearer, _, media, _, body = shlex.split(printed.replace("\\\n", " "))
        assert f"Authorization: Bearer $(cat '{key_file}')" == bearer
        headers = {
            "authorization": f"Bearer {key_file.read_text().strip()}",
            "content-type": media.removeprefix("Content-Type: "),
        }
        answer = httpx.post(url, content=body, headers=headers)
    assert 200 == answer.status_code, answer.text
    assert json.loads(body)["messages"][0]["content"] == answer.json()["choices"][0]["message"]["content"]
    assert 0o600 == stat.S_IMODE(key_file.stat().st_mode)


def test_a_later_start_makes_nothing_and_the_first_key_stays_good(tmp_path: Path) -> None:
    with serving(start(tmp_path), cwd=tmp_path):
        key = (tmp_path / "data" / "first-api-key").read_text().strip()
    with serving(start(tmp_path), cwd=tmp_path) as gateway:
        assert "first API key" not in gateway.output()
        answer = httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"})
    assert ["echo"] == [model["id"] for model in answer.json()["data"]]
