"""The provider of a proof: it answers, breaks off and fails by chance, and writes down what it would bill."""

import re
from random import Random

from msgspec.structs import replace

from switchgear.testing.upstream import Entry, Script, ScriptedUpstream
from switchgear.testing.upstream.connection import Request

INPUT, OUTPUT = 1, 8
"""What a token costs, in microdollars."""
LONGEST = 40
"""Tokens of an answer, which are as many as may be asked for."""
_NUMBER = re.compile(rb"call-([0-9]+)")
_FEWEST_MS, _MOST_MS = 30, 200


class BillingUpstream(ScriptedUpstream):
    """Answers with `LONGEST` tokens. Of all answers so many parts are cut off, are errors, or never begin."""

    cuts, errors, hangs = 0.06, 0.04, 0.01

    def __init__(self, *, seed: int = 0, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(seed=seed, host=host, port=port)
        self._chance = Random(seed)  # noqa: S311 - a proof that can be repeated
        self.well = True
        """Whether it still breaks off and fails."""

    def choose(self, request: Request, model: str) -> Script | None:  # noqa: ARG002 - the shape of ScriptedUpstream
        """Choose what becomes of a request. What is no stream is billed whole when it is asked, whether it arrives or not."""
        dice, delay_ms = self._chance.random(), self._chance.uniform(_FEWEST_MS, _MOST_MS)
        streamed = b'"stream":true' in request.body.replace(b" ", b"")
        answer = Script(
            chunks=10,
            tokens_per_chunk=LONGEST // 10,
            delay_ms=delay_ms,
            chunk_delay_ms=delay_ms / 10,
            bill="wire" if streamed else "all",
        )
        if not self.well:
            return answer
        for share, script in (
            (self.cuts, replace(answer, cut_after_chunks=5 if streamed else 0, cut_how="rst")),
            (self.errors, Script(status=500, delay_ms=delay_ms)),
            (self.hangs, replace(answer, hang=True)),
        ):
            if dice < share:
                return script
            dice -= share
        return answer

    @property
    def billed_microusd(self) -> int:
        """What all of it comes to."""
        return sum(map(cost_of, self.ledger))

    def times_asked(self) -> dict[int, int]:
        """Return how often each call was billed, by its number."""
        found: dict[int, int] = {}
        for entry in self.ledger:
            match = _NUMBER.search(entry.body)
            if match is not None and entry.billed:
                found[int(match[1])] = found.get(int(match[1]), 0) + 1
        return found


def cost_of(entry: Entry) -> int:
    """Return what a provider bills for one request, in microdollars."""
    return INPUT * entry.prompt_tokens + OUTPUT * entry.completion_tokens
