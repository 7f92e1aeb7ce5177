"""What a request may use and cost, before anybody is asked."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import COUNT, Call
from switchgear.contracts.usage import INPUT, MOST, OUTPUT, REQUEST, Pricing, Usage
from switchgear.errors import InvalidRequest
from switchgear.tokens import TokenEstimator

if TYPE_CHECKING:
    from switchgear.contracts.exchange import Target

SEVERAL = ("n", "best_of")
"""Members that ask for more than one answer, to each prompt."""
_PROMPTS = ("prompt", "prompt_embeds")
"""Members that hold a prompt, or a list of them, each of which is answered."""


class Estimate(Struct, frozen=True):
    """What one attempt at answering a request may use, in tokens and microusd (millionths of a US dollar); None: not known.

    input_tokens       by what the model's provider said of requests before
    max_output_tokens  the most that it may answer: as the client says, else the model's defaults, else `max_output_tokens`
    input_microusd     price of the input
    worst_microusd     price of the input, all of it written into a cache if that is dearer, and of the longest answer
    """

    input_tokens: int
    max_output_tokens: int | None = None
    input_microusd: int | None = None
    worst_microusd: int | None = None


def writes_tokens(call: Call) -> bool:
    """Say whether the answer to a call is text that is paid for by its tokens."""
    return call.operation == "chat" or call.max_tokens is not None


def untold(call: Call, shown: int) -> Usage:
    """Estimate what an answer consumed whose provider does not say: `call` was asked, and `shown` bytes of text came.

    For wires that must say it; zeros would look as if they were true.
    """
    estimator = TokenEstimator()
    return Usage.plain(estimator.input(call.members), estimator.output(shown, min(shown, 1)), estimated=True)


def service_of(call: Call) -> str | None:
    """Return the service tier that a call asks for."""
    if "service_tier" not in call.members:
        return None
    try:
        return call.member("service_tier", str)
    except InvalidRequest:  # the provider will say so
        return None


def estimate(call: Call, target: "Target", *, fitted: bool = False) -> Estimate:
    """Estimate a request at one target; `fitted` says that the call is in its form already. Counting tokens is free."""
    read = target.estimator.input(call.members)
    if target.preamble is not None and not fitted:
        read += target.estimator.input({"system": Raw(msgspec.json.encode(target.preamble))})
    written = _longest(call, target)
    if call.operation == COUNT:
        return Estimate(read, 0, 0, 0)
    pricing = target.pricing
    if pricing is None:
        return Estimate(read, written)
    if pricing.services:
        pricing = pricing.serving(service_of(call))
    price, worst = pricing.price(INPUT), None if written is None else _worst(pricing, read, written)
    return Estimate(read, written, None if price is None else _microusd(read * price), worst)


def worst(call: Call, targets: "Iterable[Target]") -> Estimate:
    """Estimate a request at the worst of several targets, member by member; None where it is not known of one of them."""
    found = [estimate(call, target) for target in dict.fromkeys(targets)]
    if not found:
        return Estimate(0, 0, 0, 0)
    return Estimate(
        max(it.input_tokens for it in found),
        _most(it.max_output_tokens for it in found),
        _most(it.input_microusd for it in found),
        _most(it.worst_microusd for it in found),
    )


def _most(counts: Iterable[int | None]) -> int | None:
    most = 0
    for count in counts:
        if count is None:
            return None
        most = max(most, count)
    return most


def _worst(pricing: Pricing, read: int, written: int) -> int | None:
    total = pricing.units.get(REQUEST, 0)
    for unit, count in ((INPUT, read), (OUTPUT, written)):
        price = pricing.dearest(unit)
        if price is None and count:
            return None
        total += count * (price or 0)
    return _microusd(total)


def _longest(call: Call, target: "Target") -> int | None:
    """Return the most tokens that may be written in all answers together."""
    if not writes_tokens(call):
        return 0
    bound = call.max_tokens
    if bound is None:
        default = target.model.defaults.get("max_tokens")
        bound = target.model.max_output_tokens if default is None else msgspec.json.decode(default, type=int)
    return None if bound is None else min(max(bound, 0) * answers(call), MOST)


def answers(call: Call) -> int:
    """Return how many answers a call asks for: to each of its prompts `n`, or `best_of` where that is more."""
    most = 1
    for name in SEVERAL:
        if name in call.members:
            with suppress(InvalidRequest):  # the provider will say so
                most = max(most, call.member(name, int) or 1)
    prompts = sum(_prompts(call.members[name]) for name in _PROMPTS if name in call.members)
    return most * max(prompts, 1)


def _prompts(value: Raw) -> int:
    """Count prompts: a list of numbers is one, of tokens."""
    if not bytes(value).lstrip().startswith(b"["):
        return 1
    try:
        found = msgspec.json.decode(value, type=list[Raw])
    except (ValueError, RecursionError):  # the provider will say so
        return 1
    return sum(bytes(it).startswith((b'"', b"[", b"{")) for it in found) or 1


def _microusd(total: int) -> int:
    return min(-(-total // 1_000_000), MOST)  # rounded up
