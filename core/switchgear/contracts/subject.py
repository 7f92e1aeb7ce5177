"""What test cases try besides models: a plugin offers what it runs, under the name of its kind.

def switchgear_offers(self):
    return [Offer("workflows", lambda settings: Workflows(self.context), kind="test_subjects")]
"""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from switchgear.contracts.principal import Principal

KIND = "test_subjects"
"""The kind of offer. Its names are `workflows` and whatever else test cases learn to name."""


class Tried(Struct, frozen=True):
    """What came of it: the output, as JSON can say it, and what all of it took. A cost of None is unknown."""

    output: Any
    request_id: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = None


class Subject(Protocol):
    """Something that has an input and an output, by id."""

    def exists(self, id: str) -> bool:
        """Say whether there is such a thing now."""
        ...

    async def run(self, id: str, input: Mapping[str, Any], *, principal: Principal, labels: Mapping[str, str]) -> Tried:
        """Run it to its end in the name of somebody; `labels` go into the records of the calls it makes. Raises `ApiError`."""
        ...
