"""What goes wrong while it starts costs nothing: no key, no signal, no word."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from support.gateway import ADMIN_KEY
from support.ports import free_port
from support.process import switchgear

pytestmark = pytest.mark.slow

TOOL = switchgear()[0]


def serve(directory: Path, port: int, *more: str) -> list[str]:
    return [part.replace("{port}", str(port)) for part in switchgear("--data-dir", str(directory / "data"), *more)]


def run(argv: list[str], directory: Path, **options: int) -> tuple[int, str]:
    done = subprocess.run(argv, cwd=directory, check=False, capture_output=not options, timeout=60, **options)
    return done.returncode, "" if options else (done.stdout + done.stderr).decode()


def answers(port: int, key: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return httpx.get(
                f"http://127.0.0.1:{port}/v1/models", headers={"authorization": f"Bearer {key}"}
            ).is_success
        except httpx.TransportError:
            time.sleep(0.05)
    return False


def first_key_is_good(directory: Path) -> bool:
    port = free_port()
    process = subprocess.Popen(serve(directory, port), cwd=directory, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        file = directory / "data" / "first-api-key"
        while time.monotonic() < deadline and not (file.exists() and file.read_text().startswith("sg")):
            time.sleep(0.05)
        return answers(port, file.read_text().strip())
    finally:
        process.terminate()
        process.wait(15)


def test_a_port_that_is_taken_costs_no_first_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = run(serve(tmp_path, taken.getsockname()[1]), tmp_path)
    assert 2 == code
    assert "is in use" in said
    assert not (tmp_path / "data" / "sqlite" / "switchgear.db").exists(), "nothing was begun"
    assert first_key_is_good(tmp_path)


def test_a_first_start_that_was_cut_short_makes_the_key_again(tmp_path: Path) -> None:
    assert first_key_is_good(tmp_path)
    file = tmp_path / "data" / "first-api-key"
    lost = file.read_text().strip()
    file.write_bytes(b" " * 4095 + b"\n")  # as it is until the key is made
    assert first_key_is_good(tmp_path)
    assert lost != file.read_text().strip()
    listed = run([TOOL, "keys", "list", "--json", "--data-dir", str(tmp_path / "data")], tmp_path)[1]
    assert 1 == listed.count('"name": "first"')


@pytest.mark.parametrize("output", ["closed", "full"])
def test_without_an_output_it_serves_and_the_key_is_in_its_file(tmp_path: Path, output: str) -> None:
    port = free_port()
    redirect = ">&-" if output == "closed" else ">/dev/full"
    command = " ".join([*(f"'{part}'" for part in serve(tmp_path, port)), redirect])
    process = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], cwd=tmp_path)
    try:
        file = tmp_path / "data" / "first-api-key"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (file.exists() and file.read_text().startswith("sg")):
            time.sleep(0.05)
        assert answers(port, file.read_text().strip())
        process.terminate()
        assert 0 == process.wait(15)
    finally:
        process.kill()


@pytest.mark.parametrize("redirect", [">&-", ">/dev/full"])
def test_a_key_that_cannot_be_shown_is_not_made(tmp_path: Path, redirect: str) -> None:
    data = tmp_path / "data"
    code, said = run(["/bin/sh", "-c", f"'{TOOL}' keys create lost --data-dir '{data}' {redirect}"], tmp_path)
    assert 2 == code
    assert "shown" in said
    assert run([TOOL, "keys", "list", "--json", "--data-dir", str(data)], tmp_path)[1].startswith("[]\n")


@pytest.mark.parametrize("after_s", [0.12, 0.2, 0.3, 0.5, 0.8])
def test_a_hangup_while_it_starts_does_not_end_it(tmp_path: Path, after_s: float) -> None:
    port = free_port()
    environ = {**os.environ, "ADMIN_KEY": ADMIN_KEY}
    process = subprocess.Popen(serve(tmp_path, port), cwd=tmp_path, env=environ, stderr=subprocess.PIPE)
    try:
        time.sleep(after_s)
        if not _handles(process.pid, signal.SIGHUP):
            _until(lambda: _handles(process.pid, signal.SIGHUP))
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            process.send_signal(number)
        _until(lambda: answers(port, ADMIN_KEY) is not None)
        assert process.poll() is None
        process.terminate()
        assert 0 == process.wait(15)
        assert process.stderr is not None
        assert b"the configuration was read again" in process.stderr.read()
    finally:
        process.kill()


def test_an_end_while_it_starts_ends_it_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(serve(tmp_path, free_port()), cwd=tmp_path, stderr=subprocess.PIPE)
    _until(lambda: _handles(process.pid, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (0, False) == (process.returncode, b"Traceback" in said), said


def _handles(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.002)
