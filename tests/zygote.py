"""Processes that are killed in the middle of their work, started by fork so that fifty of them take seconds.

A script ends with `serve(life)`: for each argument line on its standard input it forks, and the child runs `life(argument,
acknowledge)` until it is killed. `Zygote` is the other end, in the test.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self


def serve(life: Callable[[str, Callable[[str], None]], None]) -> None:
    # Whatever is printed or logged goes to standard error, so that words are the only thing the test reads.
    words = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.write(words, f"{os.getpid()}\n".encode())
            life(line.strip(), lambda text: os.write(words, f"{text}\n".encode()))
            os._exit(1)
        os.waitpid(pid, 0)
        os.write(words, b"dead\n")


class Zygote:
    def __init__(self, script: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)

    def live_and_die(self, argument: str, longest_s: float) -> list[str]:
        """Start a life, kill it at a random moment after its first word, return its words that were whole."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{argument}\n".encode())
        output = b""
        kill_at: float | None = None
        give_up_at = time.monotonic() + 60
        killed = False
        while not output.endswith(b"dead\n"):
            now = time.monotonic()
            assert now < give_up_at, output[-200:]
            wait = 0.05 if kill_at is None else max(0.0, kill_at - now)
            if select.select([self.process.stdout], [], [], 1.0 if killed else wait)[0]:
                part = os.read(self.process.stdout.fileno(), 1 << 20)
                assert part, "the script ended: its standard error says why"
                output += part
            if kill_at is None and output.count(b"\n") > 1:
                kill_at = time.monotonic() + self.random.uniform(0, longest_s)
            if kill_at is not None and not killed and time.monotonic() >= kill_at:
                os.kill(int(output.split(b"\n", 1)[0]), signal.SIGKILL)
                killed = True
        assert killed, output[-200:]
        return output.decode().split("\n")[1:-2]
