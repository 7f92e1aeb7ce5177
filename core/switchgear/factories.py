"""Calls the factories of offers inside one guard, and holds what they make against the contract of the hook.

`make` is for what will be used. `look` calls every factory once while booting, in an event loop of its own, to find what is wrong
before anything starts; what it gets is dropped. A factory that needs what only exists once its plugin has started is left for
`make`, which finds the same in the same words.
"""

import asyncio
import enum
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from switchgear.ambient import Ambient
from switchgear.conformance import arguments_of, named, shown, takes, unfit
from switchgear.context import NotYet
from switchgear.contracts.provider import ProviderConfig, Traits
from switchgear.errors import PluginError
from switchgear.hooks import WAITING, Hooks, brought_to
from switchgear.offer import Offer
from switchgear.phrasing import listed, one, raised
from switchgear.registry import Bound, Registry
from switchgear.resources.shape import no_such_path

T = TypeVar("T")

_PROVIDERS, _BACKENDS, _OFFERS = "switchgear_providers", "switchgear_credential_backends", "switchgear_offers"
_CONFIG, _SETTINGS = "config: ProviderConfig", "settings"
_BEFORE_START = frozenset({"switchgear_stores", "switchgear_counters", _BACKENDS})
"""Hooks whose factories are called before plugins start, and so cannot wait for that."""
_QUEUES = "switchgear_job_queues"
_EXAMPLE = "example"
_ADDRESS = "https://provider.invalid"


@dataclass(slots=True)
class Looked:
    """What was found: `made` has what could be made, with its offer."""

    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    made: list[tuple[Bound[Offer[Any]], Any]] = field(default_factory=list)

    def of(self, hook: Callable[[Hooks], Iterable[Any]]) -> list[tuple[Bound[Offer[Any]], Any]]:
        """Return what was made of the offers to one hook."""
        return [(bound, made) for bound, made in self.made if bound.hook == hook.__name__]


def offered(bound: Bound[Offer[Any]]) -> str:
    """Name an offer, whose it is and to which hook."""
    return f"{bound}: its offer `{bound.item.name}` (`{bound.hook}`)"


def make(bound: Bound[Offer[T]]) -> T:
    """Call a factory that takes nothing. Raises `PluginError` naming plugin, offer and hook where it raises or makes
    something else.
    """
    wanted = brought_to(bound.hook)[1]
    _can_be_called(bound, (), wanted)
    try:
        made = bound.item.factory()
    except (Exception, SystemExit) as error:
        raise PluginError(_raised(bound, error)) from error
    if wrong := list(_wrong(bound, made, wanted)):
        raise PluginError(*wrong)
    return made


def make_all(found: Sequence[Bound[Offer[T]]]) -> list[tuple[Bound[Offer[T]], T]]:
    """Make what several offers are of. Raises `PluginError` with everything that is wrong with any of them."""
    made: list[tuple[Bound[Offer[T]], T]] = []
    failures: list[str] = []
    for bound in found:
        try:
            made.append((bound, make(bound)))
        except PluginError as error:
            failures += error.failures
    if failures:
        raise PluginError(*failures)
    return made


def look(registry: Registry, ambient: Ambient, starting: Collection[str]) -> Looked:
    """Call every factory once. `starting` are the plugins that have a `start` of their own, which factories may wait for."""
    looked = Looked()

    async def run() -> None:
        for bound, wanted in registry.offered():
            _look(looked, bound, wanted, ambient, waits=bound.plugin in starting)

    _in_a_loop(run)
    return looked


def _in_a_loop(run: Callable[[], Any]) -> None:
    """Run it in an event loop: factories are called in one, and may count on that."""
    work = run()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(work)
            for left in asyncio.all_tasks(loop):
                left.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            loop.close()
    else:
        with suppress(StopIteration):
            work.send(None)  # it waits for nothing, so that this is all of it


def _look(looked: Looked, bound: Bound[Offer[Any]], wanted: Any, ambient: Ambient, *, waits: bool) -> None:
    waits = waits and bound.hook not in _BEFORE_START
    candidates, is_guess = _candidates(bound, ambient)
    try:
        _can_be_called(bound, candidates[0] if candidates else (None,), wanted)
    except PluginError as error:
        looked.failures += error.failures
        return
    for arguments in candidates:
        try:
            made = bound.item.factory(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported as a failure of this plugin; the others go on
            if isinstance(error, ValueError) and arguments:
                continue  # which is how a factory refuses settings
            if isinstance(error, NotYet) and bound.hook not in _BEFORE_START:
                break
            may_wait = waits or is_guess or (bound.hook == _QUEUES and _lacks_start(error))  # for the store to be open
            if not may_wait:
                looked.failures.append(_raised(bound, error))
            elif not _lacks_start(error):
                looked.warnings.append(
                    f"{offered(bound)}: its factory, tried before the plugin starts, raised {raised(error)}."
                )
            break
        if made is None and waits:
            break
        if wrong := list(_wrong(bound, made, wanted)):
            looked.failures += wrong
        else:
            looked.made.append((bound, made))
        return
    looked.failures += _wrong_class(bound, wanted)


def _lacks_start(error: BaseException) -> bool:
    """Say whether something was missing that `start` may well make: an attribute that is not there yet, or is still None."""
    return isinstance(error, AttributeError | AssertionError)


def _candidates(bound: Bound[Offer[Any]], ambient: Ambient) -> tuple[list[tuple[Any, ...]], bool]:
    """Return what the factory may be called with, and whether that is made up of more than defaults."""
    if not _parameters(bound):
        return [()], False
    settings, is_guess = _settings(bound.item.settings_type)
    if settings is None:
        return [], True
    if bound.hook != _PROVIDERS:
        return [(settings,)], is_guess
    return [(ProviderConfig(_EXAMPLE, url, {}, settings, ambient),) for url in (_ADDRESS, None)], is_guess


def _parameters(bound: Bound[Offer[Any]]) -> str:
    if bound.hook == _PROVIDERS:
        return _CONFIG
    return _SETTINGS if bound.hook in WAITING or bound.hook == _OFFERS else ""


def _settings(type_: type[Struct]) -> tuple[Struct | None, bool]:
    for body, is_guess in (({}, False), (_sample(type_), True)):
        try:
            return msgspec.convert(body, type_), is_guess
        except (msgspec.ValidationError, TypeError):
            continue
    return None, True


def _sample(type_: Any) -> Any:
    """Return a JSON value that a type may well take; what has a default is left out."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return _sample(arguments[0])
    if origin in (Union, types.UnionType):
        return None if types.NoneType in arguments else _sample(arguments[0])
    if origin is Literal:
        return arguments[0]
    base = origin or type_
    if isinstance(base, type) and issubclass(base, Struct):
        fields = msgspec.structs.fields(type_)
        return {it.encode_name: _sample(it.type) for it in fields if it.required and it.default is NODEFAULT}
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return next(iter(base)).value
    return next((value for of, value in _SAMPLES if isinstance(base, type) and issubclass(base, of)), None)


_SAMPLES: tuple[tuple[Any, Any], ...] = (
    (str, _EXAMPLE), (bool, False), (int, 1), (float, 1.0), (dict, {}), (list | tuple | set | frozenset, []),
)  # fmt: skip


def _can_be_called(bound: Bound[Offer[Any]], arguments: tuple[Any, ...], wanted: Any) -> None:
    factory, parameters = bound.item.factory, _parameters(bound)
    if (
        inspect.iscoroutinefunction(factory)
        or inspect.isgeneratorfunction(factory)
        or inspect.isasyncgenfunction(factory)
    ):
        raise PluginError(
            f"{offered(bound)}: its factory is no plain function, and nobody awaits it. Make it a `def` that returns"
            f" {_one(wanted)}."
        )
    if not takes(factory, len(arguments)):
        raise PluginError(
            f"{offered(bound)}: its factory takes {arguments_of(factory)}, and is called with ({parameters}). Let it take just"
            " that."
        )


def _raised(bound: Bound[Offer[Any]], error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{offered(bound)}: its factory needs the module `{error.name}`, which is not installed. Run `pip install"
            f" '{bound.distribution}[{bound.plugin}]'`, or install what holds it."
        )
    return f"{offered(bound)}: its factory raised {raised(error)}. Mend or disable the plugin."


def _one(wanted: Any) -> str:
    return "what the plugin that takes it wants" if wanted is Any else one(named(wanted))


def _wrong(bound: Bound[Offer[Any]], made: Any, wanted: Any) -> Iterator[str]:
    """Say what keeps what was made from being what it should, in one sentence."""
    if made is None and wanted is not Any:
        yield f"{offered(bound)}: its factory returned None. Let it return {_one(wanted)}."
        return
    if inspect.iscoroutine(made):
        made.close()
    found = list(unfit(made, wanted))
    for contract in also(wanted):
        found += unfit(made, contract) if isinstance(made, contract) else ()
    found = found or [*_RULES.get(bound.hook, _nothing)(bound, made)]
    if found:
        yield (
            f"{offered(bound)}: its factory makes {shown(made)}, which is no `{named(wanted)}`: {'; '.join(found)}."
            f" Mend it as {_where(wanted)} says."
        )


def _wrong_class(bound: Bound[Offer[Any]], wanted: Any) -> Iterator[str]:
    """Look at the methods of a class of which nothing can be made yet."""
    factory = bound.item.factory
    if not isinstance(factory, type) or hasattr(factory, "__getattr__"):
        return
    try:
        blank: Any = object.__new__(factory)
    except TypeError:
        return
    if found := list(unfit(blank, wanted, methods_only=True)):
        yield (
            f"{offered(bound)}: its class `{factory.__name__}` is no `{named(wanted)}`: {'; '.join(found)}. Mend it as"
            f" {_where(wanted)} says."
        )


def _where(wanted: Any) -> str:
    first = (get_args(wanted) or (wanted,))[0]
    return f"`{first.__module__}`"


def also(wanted: Any) -> list[type]:
    """Return what such a thing may be besides: the Protocols of the contract's module that can be asked for at run time."""
    first = (get_args(wanted) or (wanted,))[0]
    if not getattr(first, "__module__", "").startswith("switchgear."):
        return []
    beside = vars(sys.modules[first.__module__]).values()
    return [it for it in beside if getattr(it, "_is_runtime_protocol", False) and it.__module__ == first.__module__]


def _nothing(bound: Bound[Offer[Any]], made: Any) -> Iterator[str]:  # noqa: ARG001 - the shape of a rule
    yield from ()


def _speaks_its_wires(bound: Bound[Offer[Any]], made: Any) -> Iterator[str]:  # noqa: ARG001 - the shape of a rule
    """Find models that are spoken to in wire formats which their provider has not."""
    try:
        traits = made.traits(_EXAMPLE)
    except ValueError:
        return  # a model that it does not know
    except Exception as error:  # noqa: BLE001 - reported as what is wrong with this provider
        yield f"it raises {raised(error)} in `traits`"
        return
    if wrong := list(unfit(traits, Traits, "traits(…)")):
        yield from wrong
    elif strange := set(traits.wires) - set(made.wires):
        yield f"it has {listed(strange)} in its `traits`, which its `wires` lack ({listed(made.wires)})"
    header = getattr(made, "request_id_header", "")
    if header != header.lower():
        yield f"it has {header!r} for its `request_id_header`, which must be lower case"


def _keeps_its_secrets(bound: Bound[Offer[Any]], made: Any) -> Iterator[str]:
    """Find secret fields that its sources do not have, and sources that no credential can choose."""
    config = made.source_type.__struct_config__
    if (config.tag_field, config.tag) != ("backend", bound.item.name):
        yield f'it has a `source_type` that is not tagged: write `tag_field="backend", tag="{bound.item.name}"`'
    for path in made.secret_fields:
        if why := no_such_path(made.source_type, path):
            yield f"it has `{path}` among its `secret_fields`, and {why}"


_RULES: Mapping[str, Callable[[Bound[Offer[Any]], Any], Iterator[str]]] = MappingProxyType(
    {_PROVIDERS: _speaks_its_wires, _BACKENDS: _keeps_its_secrets}
)
"""What types cannot say."""
