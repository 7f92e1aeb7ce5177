"""Whether a thing is what a contract says, found by looking at both: members, arity, sync or async, types of constants.

A contract is whatever type stands in an annotation: a Protocol, a base class, a Struct, `set[str]`, `Callable[[Call], bytes]`.
Nothing is called but properties. What cannot be seen without calling, as the type of what a method returns, is taken on trust.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from switchgear.phrasing import listed, one

_MODULES = re.compile(r"\b(?:\w+\.)+(?=\w)")
_AWAITED = re.compile(r"\b(Awaitable|Coroutine|Future|Task)\b")
_ITERATED = re.compile(r"\b(Iterable|Iterator|Generator)\b")
_ASYNC_ITERATED = re.compile(r"\bAsync(Iterable|Iterator|Generator)\b")
_SELF = re.compile(r"_|__\w+__")
_MOST = 80


def unfit(thing: Any, wanted: Any, at: str = "", *, methods_only: bool = False) -> Iterator[str]:
    """Yield what keeps `thing` from being a `wanted`, each a phrase that begins with the place, `at` or a member of it.

    With `methods_only` constants are passed over: the thing was never initialised.
    """
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any or wanted is object:
        return
    if isinstance(wanted, TypeVar):
        yield from unfit(thing, wanted.__bound__ or Any, at)
    elif origin in (Annotated, ClassVar):
        yield from unfit(thing, arguments[0], at)
    elif origin in (Union, types.UnionType):
        yield from _unfit_union(thing, wanted, at, methods_only=methods_only)
    elif origin is type:
        bound = (arguments[0].__bound__ or Any) if isinstance(arguments[0], TypeVar) else arguments[0]
        base: Any = get_origin(bound) or bound
        if not isinstance(thing, type) or (base is not Any and not issubclass(thing, base)):
            yield _wrong(thing, type[bound], at)
    elif origin is Literal:
        if thing not in arguments:
            yield f"{_of(at)}is {shown(thing)}, and must be one of {', '.join(map(repr, arguments))}"
    elif isinstance(base := origin or wanted, type):
        yield from _unfit_class(thing, wanted, base, arguments, at, methods_only=methods_only)


def _unfit_union(thing: Any, wanted: Any, at: str, *, methods_only: bool) -> Iterator[str]:
    """Compare with the member that comes nearest: the Protocol of which it has most, else whatever it is an instance of."""
    members = [member for member in get_args(wanted) if member is not types.NoneType]
    if thing is None and len(members) < len(get_args(wanted)):
        return
    found: list[list[str]] = []
    for member in members:
        if not (wrong := list(unfit(thing, member, at, methods_only=methods_only))):
            return
        found.append(wrong)
    nearest = max(range(len(members)), key=lambda index: _likeness(thing, members[index]))
    yield from found[nearest] if _likeness(thing, members[nearest]) else [_wrong(thing, wanted, at)]


def _likeness(thing: Any, wanted: Any) -> float:
    if _is_protocol(wanted):
        members = members_of(get_origin(wanted) or wanted)
        return 1e-9 + sum(hasattr(thing, name) for name in members) / max(1, len(members))
    base = get_origin(wanted) or wanted
    return float(isinstance(base, type) and isinstance(thing, base))


def _unfit_class(
    thing: Any, wanted: Any, base: Any, arguments: tuple[Any, ...], at: str, *, methods_only: bool
) -> Iterator[str]:
    if base is get_origin(Callable[[], Any]):
        yield from _unfit_function(thing, arguments, at)
    elif _is_protocol(base):
        yield from unfit_members(thing, base, at, methods_only=methods_only)
    elif issubclass(base, Sequence | AbstractSet) and not issubclass(base, str | bytes):
        yield from _unfit_items(thing, AbstractSet if issubclass(base, AbstractSet) else Sequence, wanted, at)
    elif issubclass(base, Mapping):
        yield from _unfit_mapping(thing, wanted, at)
    elif not _is_one(thing, base):
        yield _wrong(thing, wanted, at)
    elif not base.__module__.startswith("switchgear."):
        return
    elif issubclass(base, Struct) or dataclasses.is_dataclass(base):
        for name, type_ in _hints(base).items():
            yield from unfit(getattr(thing, name), type_, f"{at}.{name}" if at else name)
    else:
        yield from unfit_members(thing, base, at, methods_only=methods_only)


def _is_one(thing: Any, base: type) -> bool:
    if isinstance(thing, bool) and base in (int, float):
        return False
    return isinstance(thing, (int, float) if base is float else base)


def _unfit_mapping(thing: Any, wanted: Any, at: str) -> Iterator[str]:
    if not isinstance(thing, Mapping):
        yield _wrong(thing, wanted, at)
        return
    for name, value in thing.items():
        for part, type_ in zip((name, value), get_args(wanted), strict=False):
            yield from unfit(part, type_, f"{at}[{name!r}]")


def _unfit_items(thing: Any, kind: Any, wanted: Any, at: str) -> Iterator[str]:
    if not isinstance(thing, kind) or isinstance(thing, str | bytes):
        yield _wrong(thing, wanted, at)
        return
    arguments = get_args(wanted)
    of = arguments[0] if arguments and (len(arguments) == 1 or arguments[1] is Ellipsis) else Any
    for index, item in enumerate(thing):
        yield from unfit(item, of, f"{at}[{index}]")


def unfit_members(thing: Any, contract: Any, at: str = "", *, methods_only: bool = False) -> Iterator[str]:
    """Yield what a thing lacks, or has otherwise than the members of a Protocol or base class are."""
    if isinstance(thing, type):
        yield f"{_of(at)}is the class `{thing.__name__}` itself, and must be an instance"
        return
    members = members_of(contract)
    if methods_only:
        members = {name: declared for name, declared in members.items() if inspect.isfunction(declared)}
    missing = [name for name, declared in members.items() if _lacks(thing, name, declared, contract)]
    for name in (it for it in members if it not in missing):
        yield from _unfit_member(thing, name, members[name], f"{at}.{name}" if at else name)
    if missing:
        yield f"{_of(at)}has no {listed(missing)}" + (f" ({shown(thing)})" if at else "")


def _lacks(thing: Any, name: str, declared: Any, contract: Any) -> bool:
    """Say whether a member is not there, or is only the signature that a Protocol has of it."""
    try:
        value = getattr(thing, name)
    except AttributeError:
        return True
    except Exception:  # noqa: BLE001 - it is there, and what is wrong with it is told later
        return False
    return _is_protocol(contract) and inspect.isfunction(declared) and getattr(value, "__func__", value) is declared


def _unfit_member(thing: Any, name: str, declared: Any, at: str) -> Iterator[str]:
    try:
        value = getattr(thing, name)
    except Exception as error:  # noqa: BLE001 - a property of the plugin's, whose fault this is
        yield f"{_of(at)}raises {type(error).__name__}: {error}"
        return
    if not inspect.isfunction(declared):
        yield from unfit(value, declared, at)
    elif not callable(value):
        yield f"{_of(at)}is {shown(value)}, and must be a method"
    elif getattr(value, "__func__", value) is not declared:  # what a base class has is right
        yield from (f"{_of(at)}{text}" for text in _unfit_method(value, declared))


def resembles(thing: Any, contract: Any) -> bool:
    """Say whether a thing is meant to be one: an instance, or of a Protocol, something with any of its members."""
    if _is_protocol(contract):
        return any(hasattr(thing, name) for name in members_of(contract))
    return isinstance(thing, contract)


def takes(made: Any, *counts: int) -> bool:
    """Say whether something can be called with so many arguments, each of `counts`. True where that cannot be seen."""
    return _takes(made, [(count, ()) for count in counts])


def _takes(made: Any, calls: Iterable[tuple[int, Iterable[str]]]) -> bool:
    """Say whether every call is possible: how many arguments there are by place, and the names of others."""
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):
        return True
    try:
        for placed, named in calls:
            signature.bind(*[None] * placed, **dict.fromkeys(named))
    except TypeError:
        return False
    return True


def arguments_of(made: Any, bound: int = 0) -> str:
    """Return the parameters of something that can be called, as they are written: without annotations and the first `bound`."""
    try:
        parameters = list(inspect.signature(made).parameters.values())[bound:]
    except (TypeError, ValueError):
        return "(…)"
    bare = [it.replace(annotation=inspect.Parameter.empty) for it in parameters]
    return str(inspect.Signature(bare))


def is_async(made: Any) -> bool:
    """Say whether calling it gives a coroutine: an async function, a partial or wrapper of one, an object that is called so."""
    while isinstance(made, partial):
        made = made.func
    plain = inspect.unwrap(made)
    return any(map(inspect.iscoroutinefunction, (made, plain, getattr(made, "__call__", None))))  # noqa: B004 - an object


def _unfit_method(made: Any, declared: Callable[..., Any]) -> Sequence[str]:
    function = getattr(made, "__func__", None)
    if inspect.isfunction(function) and inspect.ismethod(made):
        return _unfit_bound(function, declared)  # many things share the methods of their class
    return tuple(_unfit_call(made, 0, declared))


@lru_cache(maxsize=1024)
def _unfit_bound(function: Any, declared: Callable[..., Any]) -> Sequence[str]:
    return tuple(_unfit_call(function, 1, declared))


def _unfit_call(made: Any, bound: int, declared: Callable[..., Any]) -> Iterator[str]:
    """Yield what keeps a function from being called as declared; the first `bound` of its arguments it has already."""
    parameters, calls = _calls(declared)
    if not _takes(made, [(placed + bound, named) for placed, named in calls]):
        yield f"takes {arguments_of(made, bound)}, and is called with {parameters}"
    returns = str(declared.__annotations__.get("return"))
    if inspect.iscoroutinefunction(declared):
        yield from _not_awaited(made)
    elif _ASYNC_ITERATED.search(returns):
        if inspect.iscoroutinefunction(made) or inspect.isgeneratorfunction(made):
            yield "must `yield` from an `async def`, or return what does"
    else:
        yield from _not_plain(made, returns)


@lru_cache(maxsize=512)
def _calls(declared: Callable[..., Any]) -> tuple[str, tuple[tuple[int, tuple[str, ...]], ...]]:
    """Return the parameters of a declared method as they are written, and the calls that it allows: with all, with the fewest."""
    parameters = list(inspect.signature(declared).parameters.values())[1:]
    placed = [it for it in parameters if it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD)]
    named = [it for it in parameters if it.kind in (it.KEYWORD_ONLY, it.VAR_KEYWORD)]
    needed = [it for it in placed if it.default is it.empty]
    most = (len(placed), tuple(it.name for it in named))
    least = (len(needed), tuple(it.name for it in named if it.default is it.empty))
    written = str(inspect.Signature([it.replace(annotation=it.empty) for it in parameters]))
    return written, (most,) if most == least else (most, least)


def _unfit_function(thing: Any, arguments: tuple[Any, ...], at: str) -> Iterator[str]:
    if not callable(thing):
        yield f"{_of(at)}is {shown(thing)}, and must be a function"
        return
    if len(arguments) != 2:  # noqa: PLR2004 - what it takes and what it returns
        return
    taken, returned = arguments
    if taken is Ellipsis:
        return
    if not takes(thing, len(taken)):
        wanted = ", ".join(map(named, taken))
        yield f"{_of(at)}takes {arguments_of(thing)}, and is called with ({wanted})"
    if getattr(get_origin(returned), "__name__", "") in ("Awaitable", "Coroutine"):
        wrong = _not_awaited(thing)
    else:
        wrong = iter(()) if isinstance(thing, type) else _not_plain(thing, str(returned))
    yield from (f"{_of(at)}{text}" for text in wrong)


def _not_awaited(made: Any) -> Iterator[str]:
    """Find that what will be awaited cannot be. A plain function may return what can be, if it says so or is a lambda."""
    if is_async(made) or inspect.isbuiltin(made):
        return
    function = made.func if isinstance(made, partial) else made
    if isinstance(function, type):
        good = hasattr(function, "__await__")
    else:
        returns = str(getattr(inspect.unwrap(function), "__annotations__", {}).get("return"))
        good = bool(_AWAITED.search(returns)) or getattr(function, "__name__", "") == "<lambda>"
    if not good or inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        yield "is awaited, and must be an `async def`"


def _not_plain(made: Any, returns: str) -> Iterator[str]:
    if inspect.isasyncgenfunction(made) or (inspect.iscoroutinefunction(made) and not _AWAITED.search(returns)):
        yield "is not awaited, and must be a plain `def`"
    elif inspect.isgeneratorfunction(made) and not _ITERATED.search(returns):
        yield "must `return` its result, not `yield`"


def _is_protocol(thing: Any) -> bool:
    return bool(getattr(get_origin(thing) or thing, "_is_protocol", False))


@lru_cache(maxsize=256)
def members_of(contract: Any, /) -> dict[str, Any]:
    """Return the members of a contract: methods as functions, constants and properties as their types."""
    found: dict[str, Any] = {}
    hints = _hints(contract)
    for base in reversed(contract.__mro__):
        if not base.__module__.startswith("switchgear."):
            continue
        for name in (*vars(base).get("__annotations__", ()), *vars(base)):
            value = vars(base).get(name)
            if _SELF.match(name) or isinstance(value, classmethod | staticmethod):
                continue
            if isinstance(value, property):
                found[name] = value.fget.__annotations__.get("return", Any) if value.fget else Any
            elif inspect.isfunction(value):
                found[name] = value
            elif name in hints:
                found[name] = hints[name]
    return {name: Any if isinstance(declared, str) else declared for name, declared in found.items()}


@lru_cache(maxsize=256)
def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of, include_extras=True)
    except NameError:  # a name that is imported for type checkers only
        return {name: hint for name, hint in vars(of).get("__annotations__", {}).items() if not isinstance(hint, str)}


def shown(thing: Any) -> str:
    """Return a thing as a message shows it: what it is, if it is of any length."""
    if isinstance(thing, type) or inspect.isroutine(thing):
        return f"`{getattr(thing, '__qualname__', thing)}`"
    try:
        text = repr(thing)
    except Exception:  # noqa: BLE001 - a plugin's own, in the middle of telling what is wrong with it
        text = ""
    return text if text and len(text) <= _MOST and " at 0x" not in text else one(type(thing).__name__)


def named(wanted: Any) -> str:
    """Return a type as it is written, without modules."""
    if isinstance(wanted, type) and get_origin(wanted) is None:
        return wanted.__name__
    return _MODULES.sub("", str(wanted)).replace("~", "")


def _wrong(thing: Any, wanted: Any, at: str) -> str:
    return f"{_of(at)}is {shown(thing)}, and must be {one(named(wanted))}"


def _of(at: str) -> str:
    return f"`{at}` " if at else "it "
