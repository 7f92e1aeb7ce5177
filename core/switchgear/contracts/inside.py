"""Calls from inside: what `Context.call` gives to plugins that have models called themselves."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Protocol, Self, overload

from msgspec import Struct

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import StreamEvent
from switchgear.contracts.usage import Usage

MOST_DEEP = 8
"""How many calls may be made within each other: the call of a client, and those from inside."""


class InsideAnswer(Struct, frozen=True):
    """A whole answer, in the wire format that was asked for. `id` is that of its exchange; a cost of None is unknown."""

    id: str
    body: bytes
    usage: Usage | None = None
    cost_microusd: int | None = None


class InsideStream(Protocol):
    """An answer that has begun, event by event.

    Those of a chat say, as a provider's do, what they show (`content`), whether they are the end (`terminal`, `last`) and the
    usage that they carry; of other wire formats there are `data` and `name`. Iterating raises the `ApiError` by which the
    stream broke off. Whoever stops before the end closes it (`async with`, or `aclose`), which ends the exchange. `usage` and
    `cost_microusd` are known once it has ended.
    """

    @property
    def id(self) -> str:
        """The id of its exchange."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What it consumed."""
        ...

    @property
    def cost_microusd(self) -> int | None:
        """What that cost; None if unknown."""
        ...

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """Return the events."""
        ...

    async def __anext__(self) -> StreamEvent:
        """Return the next event."""
        ...

    async def aclose(self) -> None:
        """End the exchange, unless it has ended."""
        ...

    async def __aenter__(self) -> Self:
        """Return the stream."""
        ...

    async def __aexit__(self, *raised: object) -> None:
        """End the exchange, unless it has ended."""
        ...


class CallInside(Protocol):
    """Makes calls from inside: a whole exchange each, with its policies, limits, routing, cost and record."""

    @overload
    async def __call__(
        self,
        operation: str,
        body: Mapping[str, Any] | bytes,
        *,
        principal: Principal,
        parent: Exchange | None = None,
        model: str | None = None,
        stream: Literal[False] = False,
        headers: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> InsideAnswer: ...

    @overload
    async def __call__(
        self,
        operation: str,
        body: Mapping[str, Any] | bytes,
        *,
        principal: Principal,
        parent: Exchange | None = None,
        model: str | None = None,
        stream: Literal[True],
        headers: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> InsideStream: ...

    async def __call__(
        self,
        operation: str,
        body: Mapping[str, Any] | bytes,
        *,
        principal: Principal,
        parent: Exchange | None = None,
        model: str | None = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> InsideAnswer | InsideStream:
        """Have a model called in the name of `principal`.

        operation  `chat` or `embedding`, for their canonical forms; else an endpoint's wire format (`messages`) or path
        body       what a client would send; its `stream` is left out of account, its `model` too where `model` is given
        parent     the exchange that this is a part of: slots that it holds are not taken again, its trace goes on, and the
                   usage record has its id as the label `parent`. It counts towards `MOST_DEEP`
        headers    those of a client's that the endpoint looks at
        labels     further texts for the usage record

        A streamed answer is returned once it begins. Cancelling whoever waits for the call, or for its next event, ends it.
        Raises the `ApiError` that a client would be answered with, and `InvalidRequest` (`calls_too_deep`).
        """
        ...
