"""`python -m switchgear.testing.costs NAME [CONFIG]`: what a plugin's policies cost, measured in this process, as JSON.

Each phase that a policy has is run many times over an exchange with nothing in it, made outside of a gateway.
"""

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from switchgear.contracts.exchange import Outcome
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import Answer
from switchgear.errors import ApiError, BootError
from switchgear.phrasing import raised
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.offered import Offered
from switchgear.testing.policy_suite import PHASES, WatchedCounters, make_exchange

_ROUNDS = 2000
_BEST_OF = 5
_MEASURED = ("prepare", "reserve", "admit", "reads", "answered", "settle")
"""Phases that need nothing of a target or a decision."""


def costs(name: str, config: Path | None) -> list[dict[str, Any]]:
    """Return the phases of each policy, with the microseconds of one call where it can be measured, else why not."""
    offered = Offered(name, config)
    found: list[dict[str, Any]] = []
    for offer in offered.offers("policies", WatchedCounters(), FixedAmbient()):
        lent = {"counters": WatchedCounters(), "ambient": FixedAmbient()}
        why = offered.why_not("policies", offer.name, **lent)
        policy = None if why is not None else offered.make("policies", offer.name, **lent)
        kind = type(policy)
        phases = [it for it in PHASES if policy is not None and getattr(kind, it) is not getattr(Policy, it)]
        row: dict[str, Any] = {"policy": offer.name, "phases": phases, "us": {}, "not_measured": {}}
        if why is not None:
            row["not_measured"]["every phase"] = why
        for phase in phases:
            if phase not in _MEASURED:
                row["not_measured"][phase] = "it needs a target or a decision"
                continue
            try:
                row["us"][phase] = round(asyncio.run(_measured(policy, phase)), 2)
            except Exception as error:  # noqa: BLE001 - said instead of a number
                row["not_measured"][phase] = f"it raised {raised(error)}"
        found.append(row)
    return found


async def _measured(policy: Any, phase: str) -> float:
    """Return the microseconds of one call, best of several rounds. An `ApiError` is an answer like another."""
    x = make_exchange(Principal("key_1", "key"))
    x.outcome = Outcome.COMPLETE
    arguments = (x, Answer(b"{}")) if phase == "answered" else (x,)
    call: Callable[..., Any] = getattr(policy, phase)
    best = float("inf")
    for _ in range(_BEST_OF):
        began = time.perf_counter_ns()
        for _ in range(_ROUNDS // _BEST_OF):
            try:
                result = call(*arguments)
                if inspect.isawaitable(result):
                    await result
            except ApiError:
                pass
        best = min(best, (time.perf_counter_ns() - began) / (_ROUNDS // _BEST_OF) / 1000)
    return best


def main() -> None:
    """Run as a program."""
    name, config = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        found: Any = costs(name, Path(config) if config else None)
    except BootError as error:
        found = {"errors": list(error.failures)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
