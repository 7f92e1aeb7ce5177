"""Lines leave in order, nobody who logs waits, and what was dropped is said."""

import io
import json
import os
import threading
import time

from switchgear.telemetry.logs import Logs
from switchgear.telemetry.outflow import Outflow


def read_to_end(fd: int) -> bytes:
    found = b""
    while piece := os.read(fd, 1 << 20):
        found += piece
    return found


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_what_was_dropped_is_said() -> None:
    read, write = os.pipe()
    dropped = 0

    def count() -> None:
        nonlocal dropped
        dropped += 1

    with os.fdopen(write, "w") as stream:
        logs = Logs(renderer="json", stream=stream)
        logs.write_aside(count)
        log = logs.logger()
        longest = 0.0
        for number in range(10_000):
            began = time.monotonic()
            log.info("a line of some length, as those of refused calls are", number=number, padding="x" * 1000)
            longest = max(longest, time.monotonic() - began)
        assert longest < 0.5
        assert 0 < dropped < 10_000
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(read_to_end(read)))
        reader.start()
        log.info("after it")
        logs.flush()
    lines = [json.loads(line) for line in _lines(reader, found)]
    numbers = [line["number"] for line in lines if "number" in line]
    assert numbers == sorted(numbers)
    told = sum(line.get("lines", 0) for line in lines)
    assert dropped == told
    assert 10_000 - dropped == len(numbers)


def _lines(reader: threading.Thread, found: list[bytes]) -> list[bytes]:
    reader.join(10)
    return found[0].splitlines()


def test_who_ends_waits_only_so_long_for_a_reader() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        flow = Outflow(stream, str, lambda: None)
        for _ in range(100):
            flow.put("x" * 10_000)
        began = time.monotonic()
        flow.close(0.2)
        assert time.monotonic() - began < 2
        assert not flow.put("late")
    os.set_blocking(read, False)
    assert os.read(read, 10).startswith(b"x")
    os.close(read)


def test_a_stream_without_a_file_and_one_that_broke() -> None:
    text = io.StringIO()
    flow = Outflow(text, str, lambda: None)
    flow.put("one")
    flow.put("two")
    flow.close(5)
    assert "one\ntwo\n" == text.getvalue()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        broken = Outflow(stream, str, lambda: None)
        broken.put("nobody is there")
        broken.close(5)
        assert 1 == broken.lost
