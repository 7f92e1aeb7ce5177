"""What plugins offer to one that defined a kind of offer for them, as `Context.offers` returns it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from switchgear.contracts.resource import Problem
from switchgear.offer import Offer

T = TypeVar("T")


class Offered(Protocol[T]):
    """An offer of a plugin."""

    @property
    def plugin(self) -> str:
        """The name of the plugin."""
        ...

    @property
    def offer(self) -> Offer[T]:
        """What it brought."""
        ...

    def problems(self, settings: Mapping[str, Any], pointer: str = "/settings") -> Sequence[Problem]:
        """Say what is wrong with settings that somebody wrote, naming every bad field: for `ResourceKind.validate`."""
        ...

    def make(self, settings: Mapping[str, Any] | None = None) -> T:
        """Call the factory with settings, validated. Raises ValueError for those that do not have the offer's shape."""
        ...
