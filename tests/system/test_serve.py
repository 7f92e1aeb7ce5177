"""`switchgear serve` as a newcomer meets it: an empty home, an empty directory, no configuration."""

import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.ports import free_port
from support.process import Server

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).with_name("switchgear"))
ECHO = '"content":"Hello"'


class Newcomer:
    """A user with nothing: what they start sees their home and the path, and nothing else of this environment."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd = root / "home", root / "here"
        self.home.mkdir()
        self.cwd.mkdir()
        self.environ = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    @property
    def data(self) -> Path:
        return self.home / ".local" / "share" / "switchgear"

    def server(self, *flags: str, **environ: str) -> Server:
        argv = [PROGRAM, "serve", *(flags or ("--port", "{port}"))]
        return Server(argv, env=self.environ | environ, cwd=self.cwd)

    def refusal(self, *flags: str, **environ: str) -> tuple[int, str]:
        """Start it where it cannot; return the exit code and what it said."""
        argv = [PROGRAM, "serve", *flags]
        run = subprocess.run(
            argv, env=self.environ | environ, cwd=self.cwd, capture_output=True, text=True, timeout=30, check=False
        )
        assert "Traceback" not in run.stderr
        return run.returncode, run.stderr

    def bash(self, line: str) -> str:
        """Run a line as somebody who pastes it."""
        run = subprocess.run(
            ["bash", "-c", line], env=self.environ, cwd=self.cwd, capture_output=True, text=True, timeout=30, check=True
        )
        return run.stdout


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def said(output: str) -> str:
    """Return the command that the first start proposes."""
    found = re.search(r"^ *(curl .*?[^\\])$", output, re.MULTILINE | re.DOTALL)
    assert found, output
    return found[1]


def test_the_line_it_prints_answers_when_pasted(newcomer: Newcomer) -> None:
    began = time.monotonic()
    with newcomer.server() as gateway:
        gateway.wait_ready()
        gateway.until(lambda: "ADMIN_KEY" in gateway.output(), 10, "the whole welcome")
        output = gateway.output()
        assert ECHO in newcomer.bash(said(output)).replace(" ", "")
        sys.stdout.write(f"from nothing to the first answer: {time.monotonic() - began:.2f} s\n")
        file = newcomer.data / "first-api-key"
        assert str(file) in output
        key = file.read_text().strip()
        assert key not in output
        assert 0o600 == stat.S_IMODE(file.stat().st_mode)
        assert 0o700 == stat.S_IMODE(newcomer.data.stat().st_mode)
        assert [] == list(newcomer.cwd.iterdir())
        gateway.terminate()
        assert 0 == gateway.wait()
    with newcomer.server() as again:
        again.wait_ready()
        headers = {"authorization": f"Bearer {key}"}
        assert 200 == httpx.get(f"{again.url}/v1/models", headers=headers).status_code
        again.terminate()
        assert 0 == again.wait()
        assert "curl" not in again.output()
        assert "key" not in again.output().lower()


@pytest.mark.parametrize("command", ["serve", "api"])
def test_on_sighup_it_reads_its_configuration_again_and_stays_as_it_was_if_that_is_wrong(
    newcomer: Newcomer, command: str
) -> None:
    file = newcomer.cwd / "plugins.toml"
    file.write_text("[plugins]\nsqlite = { enabled = true }\necho = { enabled = true }\n")
    server = newcomer.server("--port", "{port}")
    server.argv[1] = command
    with server as gateway:
        gateway.wait_ready()
        file.write_text("[gateway]\nhots = 1\n")
        os.kill(gateway.pid, signal.SIGHUP)
        gateway.until(lambda: "Did you mean `host`?" in gateway.output(), 10, "the refusal")
        file.write_text("[plugins]\nsqlite = { enabled = true }\n")
        os.kill(gateway.pid, signal.SIGHUP)
        gateway.until(lambda: '"takes_a_restart":["echo"]' in gateway.output(), 10, "the new configuration")
        assert gateway.is_ready()


def test_a_plugins_toml_that_comes_after_the_start_is_the_one_it_works_by(newcomer: Newcomer) -> None:
    file = newcomer.cwd / "plugins.toml"
    with newcomer.server("--port", "{port}", ADMIN_KEY="k") as gateway:
        gateway.wait_ready()

        def said(method: str, path: str) -> Any:
            answer = httpx.request(
                method, f"{gateway.url}/admin/v1/config/{path}", headers={"authorization": "Bearer k"}
            )
            assert 200 == answer.status_code, answer.text
            return answer.json()

        assert said("GET", "version")["file"]["path"] is None
        file.write_text("[gateway]\n")
        state = said("POST", "reload")["version"]["file"]
        assert ("plugins.toml", True) == (Path(state["path"]).name, state["is_current"])
        file.write_text("[gateway]\n# changed\n")
        assert said("GET", "version")["file"]["is_current"] is False


def test_on_a_terminal_it_shows_the_key(newcomer: Newcomer) -> None:
    port, (screen, terminal) = free_port(), pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", str(port)],
        env=newcomer.environ, cwd=newcomer.cwd, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        shown = b""
        deadline = time.monotonic() + 30
        while b"ADMIN_KEY" not in shown:
            assert select.select([screen], [], [], deadline - time.monotonic())[0], shown
            shown += os.read(screen, 4096)
        text = shown.decode().replace("\r\n", "\n")
        [key] = set(re.findall(r"sg_live_[\w-]{43}", text))
        assert f"Bearer {key}" in said(text)
        assert ECHO in newcomer.bash(said(text)).replace(" ", "")
        assert not (newcomer.data / "first-api-key").exists()
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_what_flags_and_variables_say_is_done(newcomer: Newcomer, tmp_path: Path) -> None:
    config = tmp_path / "elsewhere.toml"
    config.write_text("[gateway]\nport = 1\n[plugins]\nsqlite = { enabled = true }\necho = { enabled = true }\n")
    data = tmp_path / "d a t a"
    flags = ("--host", "127.0.0.1", "--port", "{port}", "--data-dir", str(data), "--config", str(config))
    with newcomer.server(*flags, PORT="2") as gateway:
        gateway.wait_ready()
        assert f"Switchgear serves {gateway.url} (data in {data})" in gateway.output()
        assert data.is_dir()
        assert not newcomer.data.exists()
        assert 401 == httpx.get(f"{gateway.url}/admin/v1/models").status_code
    with newcomer.server("--config", str(config), PORT=str(gateway.port), ADMIN_KEY="k" * 20) as other:
        other.port = gateway.port
        other.wait_ready()
        headers = {"authorization": "Bearer " + "k" * 20}
        assert 200 == httpx.get(f"{other.url}/admin/v1/models", headers=headers).status_code


def test_it_is_not_opened_to_the_world_without_an_admin_key(newcomer: Newcomer) -> None:
    for host in ("0.0.0.0", "::"):
        code, words = newcomer.refusal("--host", host, "--port", "0")
        assert (2, True, True) == (code, "--allow-open-bind" in words, "ADMIN_KEY" in words)
    assert not newcomer.data.exists()
    with newcomer.server("--host", "0.0.0.0", "--port", "{port}", "--allow-open-bind") as gateway:
        gateway.wait_ready()


def test_with_an_admin_key_it_is_opened(newcomer: Newcomer) -> None:
    with newcomer.server("--host", "0.0.0.0", "--port", "{port}", ADMIN_KEY="an-admin-key-of-the-tests") as gateway:
        gateway.wait_ready()


def test_a_port_in_use_is_said_and_not_a_crash(newcomer: Newcomer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = newcomer.refusal("--port", str(port))
    assert (2, True) == (code, f"port {port} of 127.0.0.1 is in use" in words)


@pytest.mark.parametrize("flags", [("--port", "x"), ("--port", "70000"), ("--config", "absent.toml")])
def test_what_makes_no_sense_is_refused_with_its_place(newcomer: Newcomer, flags: tuple[str, str]) -> None:
    code, words = newcomer.refusal(*flags)
    assert 2 == code
    assert flags[1] in words or flags[0] in words


def test_without_any_plugin_it_lives_and_says_what_is_missing(newcomer: Newcomer) -> None:
    (newcomer.cwd / "plugins.toml").write_text("[plugins]\n")
    with newcomer.server() as gateway:
        gateway.until(lambda: "Switchgear serves" in gateway.output(), 20, "a welcome")
        assert "no plugin is enabled" in gateway.output()
        assert 200 == httpx.get(f"{gateway.url}/live").status_code
        assert {"status": "store unavailable"} == httpx.get(f"{gateway.url}/ready").json()
        for path in ("/v1/chat/completions", "/v1/models"):
            answer = httpx.post(f"{gateway.url}{path}", json={"model": "echo"}, headers={"authorization": "Bearer x"})
            assert answer.status_code in (404, 503), answer.text
            assert answer.json()
            assert answer.headers["x-request-id"]
        assert 200 == httpx.get(f"{gateway.url}/metrics").status_code
        gateway.terminate()
        assert 0 == gateway.wait()
        assert "Traceback" not in gateway.output()
