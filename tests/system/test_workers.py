"""`serve --workers N`: several processes at one address, watched over by one."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.process import Server, switchgear
from support.redis_server import RedisServer
from switchgear.telemetry.siblings import merged

pytestmark = pytest.mark.slow

WORKERS = 3


class Workers(Server):
    """A gateway of several workers over one directory."""

    def __init__(self, directory: Path, *flags: str, **environ: str) -> None:
        argv = switchgear("--data-dir", str(directory / "data"), "--workers", str(WORKERS), *flags)
        super().__init__(
            argv,
            env={**os.environ, "ADMIN_KEY": "k", "SWITCHGEAR__PLUGINS__REDIS__TIMEOUT": "20", **environ},
            cwd=directory,
        )

    def workers(self) -> list[int]:
        return [pid for pid in self.family() if pid != self.pid]

    def up(self) -> int:
        """Say how many workers answer each other."""
        try:
            text = httpx.get(f"{self.url}/metrics", timeout=5).text
        except httpx.HTTPError:
            return 0
        return len(re.findall(r"switchgear_worker_up\{.*\} 1", text))

    def all_up(self) -> None:
        self.until(lambda: self.up() == WORKERS, 60, "all workers")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(directory)
    server.start()
    yield server
    server.close()


def ask(server: Server, key: str) -> int:
    """Ask on a connection of its own, which any worker may get."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=20).status_code


def test_workers_share_one_address_one_limit_and_one_answer_to_who_scrapes(tmp_path: Path, redis: RedisServer) -> None:
    with Workers(tmp_path, REDIS_URL=redis.url) as server:
        server.wait_ready()
        server.all_up()
        made = httpx.post(
            f"{server.url}/admin/v1/api-keys",
            json={"name": "n", "permissions": {"models": ["echo"]}, "limits": {"requests_per_minute": 7}},
            headers={"authorization": "Bearer k"},
        )
        key = made.json()["key"]
        codes = [ask(server, key) for _ in range(21)]
        assert (7, 14) == (codes.count(200), codes.count(429)), "the limit is that of all workers together"
        body = {"username": "nobody", "password": "a guess"}
        codes = [httpx.post(f"{server.url}/admin/v1/auth/login", json=body, timeout=20).status_code for _ in range(12)]
        assert [401] * 10 + [429] * 2 == codes, "and so are failures to sign in"
        server.until(lambda: _counted(server) >= 21, 10, "all requests in the metrics of whichever is asked")
        server.until(lambda: _recorded(server) >= 21, 20, "the records of all workers in the store")
        assert 1 == server.output().count("Switchgear serves")
        assert 1 == server.output().count("Your first key")


def _recorded(server: Server) -> int:
    answer = httpx.get(f"{server.url}/admin/v1/usage?limit=100", headers={"authorization": "Bearer k"}, timeout=5)
    return len(answer.json()["data"])


def _counted(server: Server) -> int:
    text = httpx.get(f"{server.url}/metrics", timeout=5).text
    return sum(
        int(float(value)) for value in re.findall(r"^switchgear_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
    )


def test_a_worker_that_dies_is_named_and_started_again_and_all_end_in_order(tmp_path: Path, redis: RedisServer) -> None:
    with Workers(tmp_path, REDIS_URL=redis.url) as server:
        server.wait_ready()
        server.all_up()
        key = (tmp_path / "data" / "first-api-key").read_text().strip()
        first, *others = server.workers()
        os.kill(first, signal.SIGKILL)
        assert [200] * 6 == [ask(server, key) for _ in range(6)], "who comes to the one that died waits for the next"
        server.until(lambda: "a worker died and is started again" in server.output(), 20, "the line that says so")
        assert f'"pid":{first},"in_s":0.0,"signal":"SIGKILL"' in server.output()
        server.until(lambda: len(server.workers()) == WORKERS, 20, "another in its place")
        assert first not in server.workers()
        assert {*others} < {*server.workers()}
        server.all_up()
        os.kill(server.pid, signal.SIGHUP)
        server.until(
            lambda: server.output().count("configuration") >= WORKERS, 20, "each to read its configuration again"
        )
        all_of_them = server.workers()
        server.terminate()
        assert 0 == server.wait()
        assert [] == [pid for pid in all_of_them if Path(f"/proc/{pid}").exists()]


def test_workers_end_with_the_one_that_watches_over_them(tmp_path: Path, redis: RedisServer) -> None:
    with Workers(tmp_path, REDIS_URL=redis.url) as server:
        server.wait_ready()
        server.all_up()
        workers = server.workers()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        with Workers(tmp_path, REDIS_URL=redis.url) as again:
            again.wait_ready()
            again.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 20, "the end of the workers")


def test_what_processes_would_each_have_for_themselves_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with Workers(tmp_path) as server:
        assert 2 == server.wait()
        assert "3 processes must have one backend of counters together" in server.output()
        assert "Set REDIS_URL" in server.output()
        assert "Traceback" not in server.output()


def test_an_address_that_somebody_has_is_refused(tmp_path: Path, redis: RedisServer) -> None:
    server = Workers(tmp_path, REDIS_URL=redis.url)
    with socket.create_server(("127.0.0.1", server.port)), server:
        assert 2 == server.wait()
        assert "is in use" in server.output()


def test_the_metrics_of_workers_stay_apart_and_each_family_together() -> None:
    texts = [f'# HELP a A.\n# TYPE a gauge\na {n}.0\na_b{{x="{{y"}} 2.0\n'.encode() for n in (1, 2)]
    assert (
        "# HELP switchgear_worker_up Whether a worker answers.\n# TYPE switchgear_worker_up gauge\n"
        'switchgear_worker_up{worker="0"} 1.0\nswitchgear_worker_up{worker="1"} 1.0\nswitchgear_worker_up{worker="2"} 0.0\n'
        '# HELP a A.\n# TYPE a gauge\na{worker="0"} 1.0\na_b{worker="0",x="{y"} 2.0\n'
        'a{worker="1"} 2.0\na_b{worker="1",x="{y"} 2.0\n'
    ) == merged([*texts, None], "switchgear").decode()
