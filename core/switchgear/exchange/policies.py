"""The policies of the gateway, compiled so that a phase that none of them overrides costs an empty tuple.

A phase is done at once where its policies are; only what they return to be awaited makes a coroutine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, cast

import msgspec
from structlog.typing import FilteringBoundLogger

from switchgear.contracts.counters import Counters
from switchgear.contracts.dry_run import PolicyView
from switchgear.contracts.exchange import Attempt, Exchange
from switchgear.contracts.filter import AnswerFace, Filter
from switchgear.contracts.policy import Policy, Veto
from switchgear.contracts.provider import Answer
from switchgear.errors import ApiError, Unavailable
from switchgear.exchange.faults import PolicyStop
from switchgear.exchange.filters import AnswerFilter
from switchgear.exchange.guarded import Spoilt, guarded, mend
from switchgear.exchange.outage import HereAlone
from switchgear.exchange.reservation import Reservations
from switchgear.plugin_faults import UNKNOWN, PluginFaults, bounded, is_own_doing
from switchgear.rawjson import holds
from switchgear.telemetry.metrics import Metrics

_PHASES = ("prepare", "reserve", "admit", "attempting", "reads", "answered", "settle")


class _Bound:
    """One policy in one phase."""

    __slots__ = ("bit", "call", "name", "policy")

    def __init__(self, name: str, policy: Policy, call: Callable[..., Any], bit: int) -> None:
        self.name = name
        self.policy = policy
        self.call = call
        self.bit = bit


class PolicyChain:
    """Runs the phases of every policy in order; `counters` are those that they reserve in, if any does.

    `preparing`, `attempting`, `reading` and `answering` are the policies of those phases: where one is empty, nothing is asked.
    `again` are those asked before an attempt that is not the first.
    `listening` says whether any policy sees answers.
    """

    __slots__ = (
        "_admit", "_counters", "_errors", "_explain", "_faults", "_owners", "_phases", "_reservations", "_settle",
        "_unconditional", "_words", "again", "answering", "attempting", "listening", "names", "preparing", "reading",
    )  # fmt: skip

    def __init__(
        self,
        policies: Sequence[tuple[str, Policy]],
        metrics: Metrics,
        log: FilteringBoundLogger,
        counters: Counters | None = None,
        faults: PluginFaults | None = None,
        here: HereAlone | None = None,
    ) -> None:
        self._faults = faults or PluginFaults(metrics, log=log)
        self._owners = {name: self._faults.owner(policy) for name, policy in policies}
        self._errors = metrics.counter("policy_errors", "Policies that raised or ran over their budget.", ("policy",))
        for name, _ in policies:
            self._errors.child(name)
        policies = sorted(policies, key=lambda named: named[1].order)

        def bound(phase: str) -> tuple[_Bound, ...]:
            found = [(index, name, it) for index, (name, it) in enumerate(policies) if _has(it, phase)]
            # What only one has is the record's or the limits' of every call: it is looked at where it fails, and not before.
            is_only = phase == "settle" and len(found) == 1
            return tuple(
                _Bound(
                    name,
                    policy,
                    getattr(policy, phase) if is_only or not policy.guarded else guarded(phase, getattr(policy, phase)),
                    1 << index,
                )
                for index, name, policy in found
            )

        self.preparing = bound("prepare")
        self._words = _words(self.preparing)
        self.again = bound("attempting")
        self.attempting = tuple(one for one in self.again if one.policy.first_attempt)
        self.reading = bound("reads")
        self.answering = bound("answered")
        self.listening = bool(self.reading or self.answering)
        self._admit = bound("admit")
        self._settle = bound("settle")[::-1]
        self._counters = counters
        self.names = tuple(self._owners)
        self._explain = {one.name: one for one in bound("explain")}
        self._phases = {name: tuple(phase for phase in _PHASES if _has(policy, phase)) for name, policy in policies}
        deciding = {one.bit for one in self._admit}
        self._reservations = Reservations(policies, counters, self._note, self._counters_failed, here)
        self._unconditional = sum(one.bit for one in self._settle if one.bit not in deciding)

    def begin(self, x: Exchange) -> None:
        """Mark the policies to settle whatever comes: those that have nothing to decide."""
        x.admitted = self._unconditional

    def prepares(self, body: bytes) -> bool:
        """Say whether any policy has something to prepare in a call whose body is this."""
        words = self._words
        if words is None:
            return True
        for word in words:  # noqa: SIM110 - half the price of any()
            if holds(body, word):
                return True
        return False

    async def prepare(self, x: Exchange) -> None:
        """Let policies rewrite the call. Raises `ApiError`."""
        for one in self.preparing:
            await self._run(one, x)
            try:
                x.write_conversation()
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                x.forget_conversation()
                self._broken(one, error)

    def admit(self, x: Exchange) -> Answer | Awaitable[Answer | None] | None:
        """Reserve what the policies want counted, then ask them in order until one answers. Raises `ApiError` if one refuses.

        `x.admitted` marks those to settle: a policy that was interrupted may hold something and is among them, one that
        refused holds nothing and is not.
        """
        waiting = self._reservations.reserve(x)
        if waiting is not None:
            return self._admit_later(x, 0, waiting)
        return self._decide(x, 0) if self._admit else None

    def _decide(self, x: Exchange, index: int) -> Answer | Awaitable[Answer | None] | None:
        for place in range(index, len(self._admit)):
            one = self._admit[place]
            x.admitted |= one.bit
            try:
                result = one.call(x)
            except ApiError:
                x.admitted &= ~one.bit
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(one, error)
                continue
            if result is not None:
                return self._admit_later(x, place + 1, result, one) if isawaitable(result) else cast("Answer", result)
        return None

    async def _admit_later(
        self, x: Exchange, index: int, waiting: Awaitable[Any], one: _Bound | None = None
    ) -> Answer | None:
        """Go on once what is waited for has come: the reservation, or the decision of one policy."""
        if one is None:
            await waiting
        else:
            try:
                result = await bounded(one.policy.budget_s, waiting)
            except ApiError:
                x.admitted &= ~one.bit
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._broken(one, error)
                result = None
            if result is not None:
                return cast("Answer", result)
        later = self._decide(x, index)
        return await later if isawaitable(later) else later

    async def look_ahead(self, x: Exchange) -> None:
        """Refuse a request whose principal has no room for any. Raises `ApiError`."""
        await self._reservations.look_ahead(x)

    async def charge(self, x: Exchange, refusal: ApiError) -> ApiError:
        """Have a request that is refused before its limits were reserved counted by them; return what its client is told."""
        return await self._reservations.charge(x, refusal)

    async def headers(self, x: Exchange, attempt: Attempt) -> dict[str, str]:
        """Return the headers that policies send upstream with one attempt.

        Raises `ApiError`, `Unavailable` (`target_vetoed`) where the target is passed over.
        """
        headers: dict[str, str] = {}
        for one in self.again if x.attempts else self.attempting:
            try:
                headers.update(await self._run(one, x, attempt) or {})
            except Veto as veto:
                message = str(veto) or f"The policy `{one.name}` passes this target over."
                raise Unavailable(message, code="target_vetoed", retry_after=1) from veto
        return headers

    def filter(self, x: Exchange, face: AnswerFace | None) -> AnswerFilter | None:
        """Return what leads an answer through the filters of those that read it; None where there is nothing to filter."""
        if face is None or not self.reading:
            return None

        def open() -> list[Filter | None]:
            found: list[Filter | None] = []
            for place, one in enumerate(self.reading):
                try:
                    found.append(one.call(x))
                except Exception as error:  # noqa: BLE001 - stops the answer, or is counted and logged
                    failed(place, error)
                    found.append(None)
            return found

        def failed(place: int, error: BaseException) -> None:
            if isinstance(error, ApiError):
                raise PolicyStop(error) from error
            self._stop(self.reading[place], error)

        return AnswerFilter(open, face, failed)

    async def answered(self, x: Exchange, answer: Answer | None) -> None:
        """Show the whole answer, after all filters; None where it was longer than is kept. What fails changes nothing."""
        for one in self.answering:
            try:
                result = one.call(x, answer)
                if result is not None and isawaitable(result):
                    await shielded(bounded(one.policy.budget_s, result))
            except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
                self._note(one.name, error)

    async def settle(self, x: Exchange) -> ApiError | None:
        """Settle what is reserved, then let each policy whose `admit` ran, or that has none, account for what happened.

        They do so in reverse order. A failure stops none of them, and a cancellation waits until all are done. Returns
        what the client is to be told instead of its answer: the `ApiError` of a policy that denies on errors.
        """
        cancelled: BaseException | None = None
        unaccounted: ApiError | None = None
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
                        await shielded(bounded(one.policy.budget_s, result))
                except BaseException as error:  # noqa: BLE001 - told the client, or counted and logged under the policy's name
                    if not is_own_doing(error):
                        cancelled = error
                    elif mended := [] if isinstance(error, (ApiError, Spoilt)) else mend(x):
                        self._faults.note(UNKNOWN, "an exchange", "; ".join(mended), policies=self.names)
                        again = await self._settle_again(one, x)
                        unaccounted = unaccounted or again
                    else:
                        unaccounted = self._unaccounted(one, error) or unaccounted
        if cancelled is not None:
            raise cancelled
        return unaccounted

    async def _settle_again(self, one: _Bound, x: Exchange) -> ApiError | None:
        """Let a policy account for what it could not, since somebody else had spoilt the exchange."""
        try:
            result = one.call(x)
            if result is not None and isawaitable(result):
                await shielded(bounded(one.policy.budget_s, result))
        except Exception as error:  # noqa: BLE001 - told the client, or counted and logged under the policy's name
            return self._unaccounted(one, error)
        return None

    def _unaccounted(self, one: _Bound, error: BaseException) -> ApiError | None:
        """Return what the client is told of a policy that could not account; of a bug, which is counted and logged, nothing."""
        if isinstance(error, ApiError) and one.policy.on_error == "deny":
            return error
        self._note(one.name, error)
        return None

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
                said = await bounded(one.policy.budget_s, said)
            return PolicyView(name, phases, None if said is None else msgspec.to_builtins(said, str_keys=True))
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._note(one.name, error)
            return PolicyView(name, phases, failed=True)

    async def _run(self, one: _Bound, *args: Any) -> Any:
        try:
            result = one.call(*args)
            return await bounded(one.policy.budget_s, result) if isawaitable(result) else result
        except (ApiError, Veto):
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged under the policy's name
            self._broken(one, error)
            return None

    def _broken(self, one: _Bound, error: BaseException) -> None:
        """Count and log a bug in a policy; raise what the client is told if the policy must decide."""
        self._note(one.name, error)
        if one.policy.on_error == "deny":
            message = f"The policy `{one.name}` could not decide."
            raise Unavailable(message, code="policy_failed", retry_after=1) from error

    def _stop(self, one: _Bound, error: BaseException) -> None:
        """Count and log a bug in a filter; end the answer if its policy must see all of it."""
        try:
            self._broken(one, error)
        except Unavailable as refusal:
            raise PolicyStop(refusal) from error

    def _note(self, name: str, error: BaseException) -> None:
        self._errors.child(name).inc()
        self._faults.note(self._owners[name], f"policy {name}", error, policy=name)

    def _counters_failed(self, error: BaseException) -> None:
        self._faults.note(self._faults.owner(self._counters), "counters", error)


def _words(preparing: Sequence[_Bound]) -> tuple[bytes, ...] | None:
    """Return what bodies have to mention for these to have something to do; None where one always has."""
    words = [one.policy.mentions for one in preparing]
    return None if None in words else tuple(word for word in words if word is not None)


def _has(policy: Policy, phase: str) -> bool:
    return getattr(type(policy), phase) is not getattr(Policy, phase)


async def shielded(work: Awaitable[Any]) -> None:
    """Finish `work` even if the caller is cancelled meanwhile; the cancellation follows after."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
