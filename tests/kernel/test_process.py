"""The process helper starts, waits for, measures and kills a real server."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from support.process import Child, Server, serving, switchgear

STAND_IN = """
import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    polls = 0
    def do_GET(self):
        Handler.polls += 1
        self.send_response(503 if Handler.polls < 3 else 200)
        self.end_headers()
    def log_message(self, *args): pass
port, *rest = sys.argv[1:]
if rest: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("listening on", port, flush=True)
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
ARGV = [sys.executable, "-c", STAND_IN, "{port}"]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(ARGV) as one:
        yield one


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_dead(pid: int) -> None:
    deadline = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_waits_until_the_server_is_ready_and_keeps_its_output(server: Server) -> None:
    assert server.is_ready()
    assert f"listening on {server.port}\n" == server.output()
    assert f"listening on {server.port}" == server.first_line()
    assert 0 < server.started_in_s < 20


def test_what_it_uses_is_read_from_proc(server: Server) -> None:
    assert 5 << 20 < server.rss_bytes() < 200 << 20
    # Its standard streams and its listener: the connection that asked whether it is ready is closed a little later.
    server.until(lambda: server.open_fds() == 4, 5, "the descriptors of an idle server")
    before = server.open_fds(), server.cpu_seconds()
    held = HTTPConnection("127.0.0.1", server.port)
    held.connect()
    server.until(lambda: server.open_fds() > before[0], 5, "one more descriptor")
    held.close()
    server.until(lambda: server.is_ready() and server.cpu_seconds() > before[1], 20, "processor time")


def test_kill_is_a_crash_and_terminate_a_request(server: Server) -> None:
    server.kill()
    assert (-signal.SIGKILL, False) == (server.wait(), server.running)
    server.restart()
    server.terminate()
    assert -signal.SIGTERM == server.wait()


def test_a_frozen_server_hangs_and_thaws(server: Server) -> None:
    server.freeze()
    held = HTTPConnection("127.0.0.1", server.port, timeout=0.1)
    held.connect()
    held.request("GET", "/")
    with pytest.raises(TimeoutError):
        held.getresponse()
    held.close()
    server.thaw()
    server.wait_ready()


def test_a_server_that_dies_while_starting_is_an_error_that_shows_its_output() -> None:
    with pytest.raises(RuntimeError, match="no such plugin"), serving([sys.executable, "-c", "exit('no such plugin')"]):
        pass


def test_a_server_that_is_never_ready_is_killed_at_the_deadline() -> None:
    child: list[int] = []
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"

    def start() -> None:
        with Server([sys.executable, "-c", code]) as server:
            child.append(int(server.first_line()))
            server.wait_ready(0.1)

    with pytest.raises(RuntimeError, match="no 200 from /ready"):
        start()
    assert [False] == [alive(pid) for pid in child]


def test_descendants_are_counted_and_killed_whatever_happens() -> None:
    family: list[int] = []

    def fail() -> None:
        with serving([*ARGV, "with a child"]) as server:
            server.until(lambda: len(server.family()) == 2, 5, "a child")
            family.extend(server.family())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    for pid in family:
        until_dead(pid)


def test_a_child_dies_with_a_killed_parent() -> None:
    code = (
        "import sys, time; from support.process import Child\n"
        "child = Child([sys.executable, '-c', 'import time; time.sleep(60)']); child.start()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with Child([sys.executable, "-c", code], env=environment) as parent:
        orphan = int(parent.first_line())
        os.kill(parent.pid, signal.SIGKILL)
        until_dead(orphan)


def test_the_gateway_is_started_on_loopback_by_the_command_of_this_environment() -> None:
    command, *rest = switchgear("--data-dir", "d")
    assert "switchgear" == Path(command).name
    assert ["serve", "--host", "127.0.0.1", "--port", "{port}", "--data-dir", "d"] == rest
