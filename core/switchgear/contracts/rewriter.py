"""Providers that ask in another wire format than the one they are asked in."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Rewriter(Protocol):
    """A provider that takes calls in a wire format that a model is not spoken to in, and asks it in another.

    `rewrites` leads from the one to the other. Answers come back in the form the call had, as ever.
    """

    rewrites: Mapping[str, str]
