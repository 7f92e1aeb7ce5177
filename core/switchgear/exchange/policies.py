"""The policies of the gateway, compiled so that a phase nobody overrides costs an empty loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, cast

import msgspec
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from switchgear.contracts.counters import Counters
from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Answer, StreamEvent
from switchgear.errors import ApiError, Unavailable
from switchgear.exchange.faults import PolicyStop
from switchgear.exchange.reservation import Reservations
from switchgear.telemetry.metrics import Metrics

_PHASES = ("prepare", "reserve", "admit", "on_event", "settle")


class PolicyView(Struct, frozen=True):
    """A policy that would run, its phases, and what it says of an exchange; `failed` where it broke and cannot say."""

    name: str
    phases: tuple[str, ...]
    says: dict[str, Any] | None = None
    failed: bool = False


class _Bound:
    """One policy in one phase."""

    __slots__ = ("bit", "call", "name", "policy")

    def __init__(self, name: str, policy: Policy, call: Callable[..., Any], bit: int) -> None:
        self.name = name
        self.policy = policy
        self.call = call
        self.bit = bit


class PolicyChain:
    """Runs the phases of every policy in order; `counters` are those that they reserve in, if any does."""

    __slots__ = (
        "_admit", "_errors", "_explain", "_log", "_phases", "_reservations", "_settle", "_unconditional", "on_event", "preparing",
    )  # fmt: skip

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        metrics: Metrics,
        log: FilteringBoundLogger,
        counters: Counters | None = None,
    ) -> None:
        self._errors = metrics.counter("policy_errors", "Policies that raised or ran over their budget.", ("policy",))
        for name, _ in policies:
            self._errors.child(name)
        self._log = log

        def bound(phase: str) -> tuple[_Bound, ...]:
            return tuple(
                _Bound(name, policy, getattr(policy, phase), 1 << index)
                for index, (name, policy) in enumerate(policies)
                if _has(policy, phase)
            )

        self.preparing = bound("prepare")
        self._admit = bound("admit")
        self.on_event = bound("on_event")
        self._settle = bound("settle")[::-1]
        self._explain = {one.name: one for one in bound("explain")}
        self._phases = {name: tuple(phase for phase in _PHASES if _has(policy, phase)) for name, policy in policies}
        deciding = {one.bit for one in self._admit}
        self._reservations = Reservations(policies, counters, self._note)
        self._unconditional = sum(one.bit for one in self._settle if one.bit not in deciding)

    def begin(self, x: Exchange) -> None:
        """Mark the policies to settle whatever comes: those that have nothing to decide."""
        x.admitted = self._unconditional

    async def prepare(self, x: Exchange) -> None:
        """Let policies rewrite the call. Raises `ApiError`."""
        for one in self.preparing:
            await self._run(one, x)

    async def admit(self, x: Exchange) -> Answer | None:
        """Reserve what the policies want counted, then ask them in order until one answers. Raises `ApiError` if one refuses.

        `x.admitted` marks those to settle: a policy that was interrupted may hold something and is among them, one that
        refused holds nothing and is not.
        """
        if (waiting := self._reservations.reserve(x)) is not None:
            await waiting
        for one in self._admit:
            x.admitted |= one.bit
            try:
                result = one.call(x)
                if result is not None and isawaitable(result):
                    result = await _within(one.policy.budget_s, result)
            except ApiError:
                x.admitted &= ~one.bit
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(one, error)
                continue
            if result is not None:
                return cast("Answer", result)
        return None

    async def watch(self, x: Exchange, event: StreamEvent) -> None:
        """Show an event to those who asked to see events. Raises `PolicyStop`."""
        for one in self.on_event:
            try:
                await self._run(one, x, event)
            except ApiError as error:
                raise PolicyStop(error) from error

    async def settle(self, x: Exchange) -> None:
        """Settle what is reserved, then let each policy whose `admit` ran account for what happened, in reverse order.

        A failure stops none of them, and a cancellation waits until all are done.
        """
        cancelled: asyncio.CancelledError | None = None
        if x.reservation is not None and (waiting := self._reservations.settle(x)) is not None:
            try:
                await shielded(waiting)
            except asyncio.CancelledError as error:
                cancelled = error
        for one in self._settle:
            if x.admitted & one.bit:
                try:
                    result = one.call(x)
                    if result is not None and isawaitable(result):
                        await shielded(_within(one.policy.budget_s, result))
                except asyncio.CancelledError as error:
                    cancelled = error
                except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                    self._note(one.name, error)
        if cancelled is not None:
            raise cancelled

    async def explain(self, x: Exchange) -> list[PolicyView]:
        """Say which policies would run, and what they know of an exchange that goes nowhere."""
        return [await self._view(name, phases, x) for name, phases in self._phases.items()]

    async def _view(self, name: str, phases: tuple[str, ...], x: Exchange) -> PolicyView:
        one = self._explain.get(name)
        if one is None:
            return PolicyView(name, phases)
        try:
            said = one.call(x)
            if said is not None and isawaitable(said):
                said = await _within(one.policy.budget_s, said)
            return PolicyView(name, phases, None if said is None else msgspec.to_builtins(said, str_keys=True))
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._note(one.name, error)
            return PolicyView(name, phases, failed=True)

    async def _run(self, one: _Bound, *args: Any) -> None:
        try:
            result = one.call(*args)
            if result is not None and isawaitable(result):
                await _within(one.policy.budget_s, result)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._broken(one, error)

    def _broken(self, one: _Bound, error: Exception) -> None:
        """Count and log a bug in a policy; raise what the client is told if the policy must decide."""
        self._note(one.name, error)
        if one.policy.on_error == "deny":
            message = f"The policy `{one.name}` could not decide."
            raise Unavailable(message, code="policy_failed", retry_after=1) from error

    def _note(self, name: str, error: BaseException) -> None:
        self._errors.child(name).inc()
        self._log.error("policy failed", policy=name, exc_info=error)


def _has(policy: Policy, phase: str) -> bool:
    return getattr(type(policy), phase) is not getattr(Policy, phase)


async def _within(seconds: float, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work


async def shielded(work: Awaitable[Any]) -> None:
    """Finish `work` even if the caller is cancelled meanwhile; the cancellation follows after."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
