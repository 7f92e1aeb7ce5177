"""Has assertions looked at: those that take a library by a process of its own, which ends within seconds whatever it is given."""

import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from switchgear_plugins.test_cases.assertions import (
    JUDGED,
    Assertion,
    Measured,
    Verdict,
    as_task,
    needs_judge,
    plain_verdict,
    type_of,
)

_SECONDS = 15.0
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "LANG", "VIRTUAL_ENV")
"""What the process is told of its surroundings: no secrets."""
_EXTRA = "pip install 'switchgear[test_cases]'"


class _Judged(msgspec.Struct):
    passed: bool
    detail: str


def lacking(assertions: Sequence[Assertion]) -> dict[int, str]:
    """Say which assertions cannot be looked at since their library is not installed, by their place."""
    return {
        place: f"assertions of the type `{type_of(it)}` need the extra `test_cases`: {_EXTRA}"
        for place, it in enumerate(assertions)
        if (module := JUDGED.get(type(it))) is not None and find_spec(module) is None
    }


async def verdicts(assertions: Sequence[Assertion], found: Measured) -> list[Verdict]:
    """Return the verdict on each, in order."""
    without = lacking(assertions)
    tasks = [it for place, it in enumerate(assertions) if type(it) in JUDGED and place not in without]
    judged = iter(await _judged(tasks, found.text) if needs_judge(tasks) else ())
    return [
        Verdict(type_of(it), passed=False, detail=without[place])
        if place in without
        else next(judged)
        if type(it) in JUDGED
        else plain_verdict(it, found)
        for place, it in enumerate(assertions)
    ]


async def _judged(assertions: Sequence[Assertion], text: str) -> list[Verdict]:
    asked = msgspec.json.encode({"text": text, "assertions": [as_task(it) for it in assertions]})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "switchgear_plugins.test_cases.judge",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(asked), _SECONDS)
        told = msgspec.json.decode(out, type=list[_Judged])
    except (TimeoutError, msgspec.DecodeError, OSError):
        told = []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if len(told) != len(assertions):
        if len(assertions) == 1:
            return [
                Verdict(type_of(assertions[0]), passed=False, detail="to look at it takes too long, or too much memory")
            ]
        # One of them was too much: each alone, so that the others have their verdict.
        return [verdict for it in assertions for verdict in await _judged([it], text)]
    return [Verdict(type_of(it), one.passed, one.detail) for it, one in zip(assertions, told, strict=True)]
