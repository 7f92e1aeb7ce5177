"""The policies of the gateway, compiled so that a phase nobody overrides costs an empty loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, cast

import msgspec
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Answer, StreamEvent
from switchgear.errors import ApiError, Unavailable
from switchgear.exchange.faults import PolicyStop
from switchgear.telemetry.metrics import Counter, Metrics

_PHASES = ("prepare", "admit", "on_event", "settle")


class PolicyView(Struct, frozen=True):
    """A policy that would run, its phases, and what it says of an exchange; `failed` where it broke and cannot say."""

    name: str
    phases: tuple[str, ...]
    says: dict[str, Any] | None = None
    failed: bool = False


class _Bound:
    """One policy in one phase."""

    __slots__ = ("bit", "call", "errors", "name", "policy")

    def __init__(self, name: str, policy: Policy, call: Callable[..., Any], bit: int, errors: Counter) -> None:
        self.name = name
        self.policy = policy
        self.call = call
        self.bit = bit
        self.errors = errors


class PolicyChain:
    """Runs the phases of every policy in order."""

    __slots__ = ("_admit", "_explain", "_log", "_phases", "_settle", "_unconditional", "on_event", "preparing")

    def __init__(self, policies: Sequence[tuple[str, Policy]], metrics: Metrics, log: FilteringBoundLogger) -> None:
        errors = metrics.counter("policy_errors", "Policies that raised or ran over their budget.", ("policy",))
        self._log = log
        policies = sorted(policies, key=lambda named: named[1].order)

        def bound(phase: str) -> tuple[_Bound, ...]:
            return tuple(
                _Bound(name, policy, getattr(policy, phase), 1 << index, errors.child(name))
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
        self._unconditional = sum(one.bit for one in self._settle if one.bit not in deciding)

    async def prepare(self, x: Exchange) -> None:
        """Let policies rewrite the call. Raises `ApiError`."""
        for one in self.preparing:
            await self._run(one, x)

    async def admit(self, x: Exchange) -> Answer | None:
        """Ask policies in order until one answers. Raises `ApiError` if one refuses.

        `x.admitted` marks those to settle: a policy that was interrupted may hold something and is among them, one that
        refused holds nothing and is not.
        """
        x.admitted = self._unconditional
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

    async def settle(self, x: Exchange) -> ApiError | None:
        """Let each policy whose `admit` ran, or that has none, account for what happened, in reverse order.

        A failure stops none of them, and a cancellation waits until all are done. Returns what the client is to be told
        instead of its answer: the `ApiError` of a policy that denies on errors.
        """
        cancelled: asyncio.CancelledError | None = None
        unaccounted: ApiError | None = None
        wanted = x.admitted | self._unconditional
        for one in self._settle:
            if wanted & one.bit:
                try:
                    result = one.call(x)
                    if result is not None and isawaitable(result):
                        await shielded(result, one.policy.budget_s)
                except asyncio.CancelledError as error:
                    cancelled = error
                except ApiError as error:
                    if one.policy.on_error == "deny":
                        unaccounted = unaccounted or error
                    else:
                        self._note(one, error)
                except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                    self._note(one, error)
        if cancelled is not None:
            raise cancelled
        return unaccounted

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
            self._note(one, error)
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
        self._note(one, error)
        if one.policy.on_error == "deny":
            message = f"The policy `{one.name}` could not decide."
            raise Unavailable(message, code="policy_failed", retry_after=1) from error

    def _note(self, one: _Bound, error: Exception) -> None:
        one.errors.inc()
        self._log.error("policy failed", policy=one.name, exc_info=error)


def _has(policy: Policy, phase: str) -> bool:
    return getattr(type(policy), phase) is not getattr(Policy, phase)


async def _within(seconds: float, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work


async def shielded(work: Awaitable[Any], seconds: float) -> None:
    """Finish `work` within its time even if the caller is cancelled meanwhile; the cancellation follows after."""
    task = asyncio.ensure_future(_within(seconds, work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
