"""Policies at work on an exchange: what one spoils is put back and is its failure, and what it raises ends nothing but itself."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from operator import attrgetter
from typing import Any

from msgspec import Raw

from switchgear.contracts.exchange import Exchange, Plan, Step
from switchgear.contracts.principal import Principal
from switchgear.contracts.provider import CANONICAL, Answer, Call, ProviderFault
from switchgear.exchange.sound import check_answer, check_headers, check_outbound, check_usage
from switchgear.plugin_faults import Misbehaviour, is_own_doing, running_task
from switchgear.wire.chat import decode_answer

_THEIRS = ("call", "principal", "plan", "lines", "cache", "strict", "notes", "labels", "headers")
"""What of an exchange policies may set to something else of its kind; all the rest is the kernel's."""
_KERNELS = tuple(name for name in Exchange.__slots__ if name not in _THEIRS and not name.startswith("_"))
_ALL = (*_KERNELS, *_THEIRS)
_of = attrgetter(*_ALL)


class Spoilt(Exception):
    """A policy left something in an exchange that cannot be there; it was put back."""


class Kept:
    """An exchange as it was before a policy ran."""

    __slots__ = ("_attempts", "_headers", "_values")

    def __init__(self, x: Exchange) -> None:
        self._values = _of(x)
        self._attempts = tuple(x.attempts)
        self._headers = tuple(x.headers)

    def mend(self, x: Exchange) -> list[str]:
        """Put back what was spoilt and say what that was."""
        wrong = []
        for name, value in zip(_ALL, self._values, strict=True):
            if getattr(x, name, Spoilt) is not value and not _may_be(x, name, value):
                wrong.append(f"x.{name} was {_shown(x, name)}")
                setattr(x, name, value)
        if tuple(map(id, x.attempts)) != tuple(map(id, self._attempts)):
            wrong.append("x.attempts was changed")
            x.attempts[:] = self._attempts
        call = x.call
        if call is not None and (odd := _odd_call(call)) is not None:
            wrong.append(odd)
            x.call = self._values[_ALL.index("call")]
            if x.call is call:
                _straighten(call)
        if any(not isinstance(name, str) for name in x.labels):
            wrong.append("x.labels held a name that is no text")
            x.labels = {name: text for name, text in x.labels.items() if isinstance(name, str)}
        if len(x.headers) != len(self._headers) or tuple(x.headers) != self._headers:
            try:
                check_headers(x.headers)
            except (TypeError, ValueError) as error:
                wrong.append(str(error))
                x.headers[:] = self._headers
        return wrong

    def check(self, x: Exchange) -> None:
        """Raise `Spoilt` if something had to be put back."""
        if wrong := self.mend(x):
            raise Spoilt("; ".join(wrong)[:1000])


def _shown(x: Exchange, name: str) -> str:
    value = getattr(x, name, Spoilt)
    return "deleted" if value is Spoilt else f"set to {type(value).__name__}"


def _may_be(x: Exchange, name: str, before: Any) -> bool:
    """Say whether something else may be there now."""
    value: Any = getattr(x, name, Spoilt)
    if name == "principal":  # what it is may change while a policy waits, who it is may not
        return isinstance(value, Principal) and (before is None or value.id == before.id)
    if name == "call":
        return isinstance(value, Call)
    if name == "plan":
        return isinstance(value, Plan) and all(isinstance(step, Step) for step in value.steps)
    if name in ("notes", "labels", "headers"):
        return type(value) is type(before)
    if name in ("lines", "cache", "strict"):
        return type(value) is type(before) and (name != "lines" or _are_lines(value))
    same: bool = type(value) is type(before) and isinstance(value, (int, float, str)) and value == before
    return same


def _are_lines(lines: bytes) -> bool:
    """Say whether these are whole header lines."""
    parts = lines.split(b"\r\n")
    if parts.pop():
        return False
    pairs = [part.partition(b":") for part in parts]
    try:
        check_headers([(name, value.strip()) for name, _, value in pairs])
    except (TypeError, ValueError):
        return False
    return all(colon for _, colon, _ in pairs)


_HEAD: tuple[tuple[str, type[Any]], ...] = (
    ("operation", str), ("wire", str), ("origin", str), ("model", str), ("stream", bool), ("strict", bool),
)  # fmt: skip
"""What a call says besides its members."""


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
        if not isinstance(getattr(x, name, Spoilt), kinds):
            wrong.append(f"x.{name} was {_shown(x, name)}")
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


def guarded(phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a policy's method: it raises what the policy does, `Misbehaviour` for what would end more than that, `Spoilt` for
    what it left behind, and TypeError or ValueError for what it may not return.
    """
    check = _RETURNS.get(phase, _anything)

    def run(x: Exchange, *args: Any) -> Any:
        kept = Kept(x)
        try:
            result = call(x, *args)
        except Exception:
            kept.mend(x)
            raise
        except BaseException as error:  # no task is ended within a call that waits for nothing
            kept.mend(x)
            raise Misbehaviour(type(error).__name__) from error
        if result is not None and isawaitable(result):
            return _later(kept, x, result, check)
        kept.check(x)
        check(x, result)
        return result

    return run


async def _later(kept: Kept, x: Exchange, result: Awaitable[Any], check: Callable[[Exchange, Any], None]) -> Any:
    task = running_task()
    try:
        found = await result
    except BaseException as error:
        kept.mend(x)
        if not isinstance(error, Exception) and is_own_doing(error, task):
            raise Misbehaviour(type(error).__name__) from error
        raise
    kept.check(x)
    check(x, found)
    return found


def _anything(_x: Exchange, _result: Any) -> None:
    """Nothing is known of what may be returned."""


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
