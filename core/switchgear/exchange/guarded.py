"""Policies at work on an exchange: what one spoils is put back and is its failure, and what it raises ends nothing but itself."""

import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from operator import attrgetter
from typing import Any, ClassVar

from msgspec import Raw

from switchgear.contracts.exchange import Attempt, Exchange, Plan, Step
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, Answer, Call, ProviderFault
from switchgear.exchange.sound import check_answer, check_headers, check_outbound, check_usage
from switchgear.plugin_faults import Misbehaviour, is_own_doing, running_task
from switchgear.wire.chat import decode_answer

_THEIRS = frozenset(("call", "principal", "plan", "lines", "cache", "strict", "notes", "labels", "headers"))
"""What of an exchange policies may set to something else of its kind; all the rest is the kernel's."""
_ALL = tuple(name for name in Exchange.__slots__ if not name.startswith("_"))
_of = attrgetter(*_ALL)
_CALL = _ALL.index("call")
_become = object.__setattr__
_MISSING = object()


class Spoilt(Exception):
    """A policy left something in an exchange that cannot be there; it was put back."""


class _Watched(Exchange):
    """An exchange in the hands of a policy: what that may not write is left as it was, and noted.

    An exchange is of this class for as long as a policy's method runs: looking at each write costs less than looking at all
    that may have been written. Nothing waits meanwhile, so one list of notes is enough.
    """

    __slots__ = ()
    wrong: ClassVar[list[str]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        before = getattr(self, name, _MISSING)
        if value is before or name[0] == "_" or _may_be(name, before, value):
            super().__setattr__(name, value)
        else:
            self.wrong.append(_told(name, value))

    def __delattr__(self, name: str) -> None:
        self.wrong.append(_told(name, _MISSING))


def _mend(x: Exchange, call: Call | None, attempts: list[Attempt], headers: list[tuple[bytes, bytes]]) -> list[str]:
    """Put back what was spoilt in place, from what was there before, and say what that was."""
    wrong = []
    if x.attempts != attempts:
        wrong.append("x.attempts was changed")
        x.attempts[:] = attempts
    now = x.call
    if now is not None and (odd := _odd_call(now)) is not None:
        wrong.append(odd)
        x.call = call
        if now is call:
            _straighten(now)
    if any(not isinstance(name, str) for name in x.labels):
        wrong.append("x.labels held a name that is no text")
        x.labels = {name: text for name, text in x.labels.items() if isinstance(name, str)}
    if x.headers != headers:
        try:
            check_headers(x.headers)
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
            x.headers[:] = headers
    return wrong


class _Kept:
    """An exchange as it was before something was waited for on behalf of a policy."""

    __slots__ = ("_attempts", "_headers", "_values")

    def __init__(self, x: Exchange) -> None:
        self._attempts = x.attempts[:]
        self._headers = x.headers[:]
        self._values = _of(x)

    def mend(self, x: Exchange) -> list[str]:
        """Put back what was spoilt and say what that was."""
        wrong = []
        for name, value in zip(_ALL, self._values, strict=True):
            now = getattr(x, name, _MISSING)
            if now is not value and not _may_be(name, value, now):
                wrong.append(_told(name, now))
                setattr(x, name, value)
        return wrong + _mend(x, self._values[_CALL], self._attempts, self._headers)


def _told(name: str, value: Any) -> str:
    return f"x.{name} was deleted" if value is _MISSING else f"x.{name} was set to {type(value).__name__}"


def _raise(wrong: list[str]) -> None:
    if wrong:
        raise Spoilt("; ".join(wrong)[:1000])


def _may_be(name: str, before: Any, value: Any) -> bool:
    """Say whether something else may be where `before` was."""
    if name == "lines":
        if type(value) is not bytes:
            return False
        return _LINES.fullmatch(value, len(before) if value.startswith(before) else 0) is not None
    if name == "principal":  # what it is may change while a policy waits, who it is may not
        return isinstance(value, Principal) and (before is None or value.id == before.id)
    if name == "call":
        return isinstance(value, Call)
    if name == "plan":
        return isinstance(value, Plan) and all(isinstance(step, Step) for step in value.steps)
    if name in _THEIRS:
        return type(value) is type(before)
    same: bool = type(value) is type(before) and isinstance(value, (int, float, str)) and value == before
    return same


_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""Header lines whose names are tokens and whose values have no control characters."""


_HEAD: tuple[tuple[str, type[Any]], ...] = (
    ("operation", str), ("wire", str), ("origin", str), ("model", str), ("stream", bool), ("strict", bool),
)  # fmt: skip
"""What a call says besides its members."""
_head = attrgetter(*(name for name, _ in _HEAD), "max_tokens", "members")


def _odd_call(call: Call) -> str | None:
    """Say what of a call cannot be."""
    for name, kind in _HEAD:
        if not isinstance(getattr(call, name, None), kind):
            return f"x.call.{name} was {type(getattr(call, name, None)).__name__}"
    if not isinstance(call.max_tokens, int | None):
        return f"x.call.max_tokens was {type(call.max_tokens).__name__}"
    if not isinstance(call.members, dict):
        return f"x.call.members was {type(call.members).__name__}"
    for name, value in call.members.items():
        if not isinstance(name, str) or not isinstance(value, (Raw, bytes)):
            return f"x.call.members[{name!r:.40}] was {type(value).__name__}, not raw JSON"
    return None


def _straighten(call: Call) -> None:
    """Make something of a call that was spoilt in place."""
    for name, kind in _HEAD:
        if not isinstance(getattr(call, name, None), kind):
            setattr(call, name, kind())
    if not isinstance(call.max_tokens, int | None):
        call.max_tokens = None
    members: Any = call.members
    members = members if isinstance(members, dict) else {}
    call.members = {n: Raw(v) for n, v in members.items() if isinstance(n, str) and isinstance(v, (Raw, bytes))}


def mend(x: Exchange) -> list[str]:
    """Make what is in an exchange something that can be recorded and answered, whoever spoilt it; say what was not."""
    wrong = []
    for name, kinds, instead in (
        ("call", (Call, type(None)), None), ("plan", (Plan, type(None)), None), ("cache", (str,), "bypass"),
        ("lines", (bytes,), b""), ("labels", (dict,), {}), ("headers", (list,), []), ("attempts", (list,), []),
        ("client_request_id", (str, type(None)), None), ("sent", (Call, type(None)), None), ("notes", (dict,), {}),
    ):  # fmt: skip
        if not isinstance(getattr(x, name, _MISSING), kinds):
            wrong.append(_told(name, getattr(x, name, _MISSING)))
            setattr(x, name, instead)
    if x.call is not None and (odd := _odd_call(x.call)) is not None:
        wrong.append(odd)
        _straighten(x.call)
    if any(not isinstance(name, str) for name in x.labels):
        wrong.append("x.labels held a name that is no text")
        x.labels = {name: text for name, text in x.labels.items() if isinstance(name, str)}
    kept = []
    for header in x.headers:
        try:
            check_headers((header,))
            kept.append(header)
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
    x.headers = kept
    holders: list[Any] = [x, *x.attempts]
    for holder in holders:
        try:
            check_usage(holder.usage)
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
            holder.usage = None
    return wrong


def guarded(phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a policy's method: it raises what the policy does, `Misbehaviour` for what would end more than that, `Spoilt` for
    what it left behind, and TypeError or ValueError for what it may not return.
    """
    check = _RETURNS.get(phase)
    rewrites = phase == "prepare"
    wrong = _Watched.wrong

    def run(x: Exchange, *args: Any) -> Any:
        kind, call, attempts, headers = x.__class__, x.call, x.attempts[:], x.headers[:]
        said = None if call is None else _head(call)
        x.__class__ = _Watched
        try:
            result = method(x, *args)
        except BaseException as error:
            _become(x, "__class__", kind)
            wrong.clear()
            _mend(x, call, attempts, headers)
            if isinstance(error, Exception):
                raise
            raise Misbehaviour(type(error).__name__) from error  # no task is ended within a call that waits for nothing
        _become(x, "__class__", kind)
        left: list[str] = []
        if (
            wrong or rewrites or x.call is not call or x.labels or x.attempts != attempts or x.headers != headers
            or (call is not None and _head(call) != said)
        ):  # fmt: skip
            left = wrong + _mend(x, call, attempts, headers)
            wrong.clear()
        if result is not None and type(result) is not tuple and isawaitable(result):
            return _later(_Kept(x), x, left, result, check)
        if left:
            _raise(left)
        if check is not None:
            check(x, result)
        return result

    return run


async def _later(
    kept: _Kept, x: Exchange, left: list[str], result: Awaitable[Any], check: Callable[[Exchange, Any], None] | None
) -> Any:
    task = running_task()
    try:
        found = await result
    except BaseException as error:
        kept.mend(x)
        if not isinstance(error, Exception) and is_own_doing(error, task):
            raise Misbehaviour(type(error).__name__) from error
        raise
    _raise(left + kept.mend(x))
    if check is not None:
        check(x, found)
    return found


def _nothing(_x: Exchange, result: Any) -> None:
    if result is not None:
        raise TypeError(f"it returned {type(result).__name__}, and nothing is to be returned there")


def _given(x: Exchange, answer: Any) -> None:
    if answer is None:
        return
    check_answer(answer)
    assert isinstance(answer, Answer)
    if answer.wire in (None, CANONICAL) and not answer.events and x.call is not None and x.call.operation == "chat":
        try:
            decode_answer(answer.body, _Head())
        except ProviderFault:
            raise ValueError(f"its answer is no chat completion: {answer.body[:60]!r}") from None


class _Head:
    status = 200

    def header(self, name: str) -> str | None:  # noqa: ARG002 - the contract's shape
        return None


def _sent(_x: Exchange, headers: Any) -> None:
    if headers is not None:
        check_outbound(headers)


def _filter(_x: Exchange, filter: Any) -> None:
    if filter is not None and not (callable(getattr(filter, "feed", None)) and callable(getattr(filter, "end", None))):
        raise TypeError(f"{type(filter).__name__} is no filter: it has no `feed` or no `end`")


_RETURNS: dict[str, Callable[[Exchange, Any], None]] = {
    "prepare": _nothing, "admit": _given, "attempting": _sent, "reads": _filter, "answered": _nothing, "settle": _nothing,
    "reserved": _nothing,
}  # fmt: skip
