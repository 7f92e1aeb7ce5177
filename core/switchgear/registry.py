"""What all enabled plugins bring, collected once while booting and checked."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pluggy

from switchgear.conformance import resembles, unfit
from switchgear.discovery import Installed
from switchgear.errors import PluginError
from switchgear.hooks import PROJECT, WAITING, Hooks, brought_to
from switchgear.offer import Offer, OfferKind
from switchgear.phrasing import did_you_mean, one, raised
from switchgear.plugin import Plugin

T = TypeVar("T")

_PREFIX = "switchgear_"
_KIND = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Bound(Generic[T]):
    """Something a plugin brings, and whose it is."""

    plugin: str
    distribution: str
    item: T
    hook: str = ""

    def __str__(self) -> str:
        return f"plugin `{self.plugin}` of {self.distribution}"


class _Manager(pluggy.PluginManager):
    """A pluggy manager to which every method named like a hook is an implementation, without a decorator."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if not name.startswith(_PREFIX) or not callable(getattr(plugin, name)):
            return None
        return pluggy.HookimplOpts(
            wrapper=False, hookwrapper=False, optionalhook=False, tryfirst=False, trylast=False, specname=None
        )


class Registry:
    """What the plugins bring, by hook, in plugin order.

    `plugins` are constructed plugins in boot order. `failures` is everything that is wrong; what that is said of is left out.
    """

    def __init__(self, plugins: Iterable[tuple[Installed, Plugin[Any]]]) -> None:
        plugins = tuple(plugins)
        self._manager = _Manager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._found: dict[str, list[Bound[Any]]] = {}
        self.failures: list[str] = []
        failures = self.failures
        owners: dict[str, Installed] = {}
        self.plugins: Mapping[str, Plugin[Any]] = {installed.name: plugin for installed, plugin in plugins}
        for installed, plugin in plugins:
            if wrong := list(self._misspelt(installed, plugin)):
                failures += wrong
                continue
            owners[installed.name] = installed
            try:
                self._manager.register(plugin, installed.name)
            except pluggy.PluginValidationError as error:
                self._manager.unregister(name=installed.name)
                failures.append(f"{installed}: {_reason(error)}")
        for hook in self._hooks():
            self._found[hook] = self._collect(hook, owners, failures)
            failures += _misplaced(hook, self._found[hook])
            failures += _clashes(hook, self._found[hook])
        self._kinds: dict[str, list[Bound[OfferKind[Any]]]] = {}
        for installed, plugin in plugins:
            for kind in plugin.defines:
                if not isinstance(kind, OfferKind) or list(unfit(kind, OfferKind)):
                    failures.append(f"{installed}: `defines` holds {kind!r}. Make it a tuple of `OfferKind`.")
                    continue
                self._kinds.setdefault(kind.name, []).append(Bound(installed.name, installed.distribution, kind))
        failures += self._wrong_kinds()

    def all(self, hook: Callable[[Hooks], Iterable[T]]) -> list[Bound[T]]:
        """Return what all plugins bring to a hook: `registry.all(Hooks.switchgear_providers)`."""
        return list(self._found[hook.__name__])

    def one(self, hook: Callable[[Hooks], Iterable[T]], name: str | None = None) -> Bound[T] | None:
        """Return the one that is active: the one called `name`, else the only one there is, None if there is none.

        Raises `PluginError` when there are several to choose from, or none of that name.
        """
        found = self.all(hook)
        thing = _thing(hook.__name__)
        if name is None:
            if len(found) > 1:
                who = " and ".join(f"`{_name(bound.item)}` ({bound})" for bound in found)
                raise PluginError(f"several {thing} are enabled: {who}. One can be active: disable the others.")
            return found[0] if found else None
        for bound in found:
            if _name(bound.item) == name:
                return bound
        names = [str(_name(bound.item)) for bound in found]
        raise PluginError(
            f"no enabled plugin offers {thing} called `{name}`.{did_you_mean(name, names)} Enabled: {', '.join(names) or 'none'}."
        )

    def offers(self) -> dict[str, list[Bound[Offer[Any]]]]:
        """Return what is offered to plugins, by kind, of every kind that one of them defines."""
        return {kind: self._offers_of(kind) for kind in self._kinds}

    def waiting(self) -> list[tuple[str, Bound[Offer[Any]]]]:
        """Return what is offered that no enabled plugin takes, with its kind."""
        kinds = {it.item.kind: None for it in self._found["switchgear_offers"]}
        every = [*(hook.removeprefix(_PREFIX) for hook in WAITING), *kinds]
        return [(kind, it) for kind in every if kind not in self._kinds for it in self._offers_of(kind)]

    def _offers_of(self, kind: str) -> list[Bound[Offer[Any]]]:
        if (hook := _PREFIX + kind) in WAITING:
            return self._found[hook]
        return [it for it in self._found["switchgear_offers"] if it.item.kind == kind]

    def _wrong_kinds(self) -> Iterable[str]:
        taken = {hook.removeprefix(_PREFIX) for hook in self._hooks() if hook not in WAITING}
        for name, found in self._kinds.items():
            if not _KIND.fullmatch(name) or name in taken:
                why = "is a hook of the kernel" if name in taken else "will not do: use small letters, digits and `_`"
                yield from (f"{bound} defines the kind of offer `{name}`, which {why}. Rename it." for bound in found)
            elif len(found) > 1 and _PREFIX + name not in WAITING:
                yield (
                    f"{' and '.join(map(str, found))} both define the kind of offer `{name}`. Disable one of them, or rename"
                    " what it defines."
                )

    def brought_by(self, plugin: str) -> dict[str, list[str]]:
        """Return what one plugin brings: names by kind of thing (`{"providers": ["openai"]}`)."""
        mine = {hook: [bound for bound in found if bound.plugin == plugin] for hook, found in self._found.items()}
        brought = {
            hook.removeprefix(_PREFIX): [str(_name(bound.item) or "") for bound in found]
            for hook, found in mine.items()
            if found
        }
        for bound in mine["switchgear_offers"]:
            brought.pop("offers", None)
            brought.setdefault(bound.item.kind, []).append(bound.item.name)
        return brought

    def _hooks(self) -> list[str]:
        return [name for name in vars(Hooks) if name.startswith(_PREFIX)]

    def _misspelt(self, installed: Installed, plugin: Plugin[Any]) -> Iterable[str]:
        hooks = self._hooks()
        for name in dir(type(plugin)):
            if name.startswith(_PREFIX) and name not in hooks:
                # Without the prefix, which they share and which would make any two look alike.
                hint = did_you_mean(name.removeprefix(_PREFIX), [hook.removeprefix(_PREFIX) for hook in hooks])
                hint = hint or " The hooks stand in `switchgear.hooks`."
                yield f"{installed}: `{name}` is not a hook.{hint}"
            elif name in hooks and not callable(getattr(type(plugin), name)):
                yield f"{installed}: `{name}` is no method. Write `def {name}(self)`, which returns a list."

    def _collect(self, hook: str, owners: dict[str, Installed], failures: list[str]) -> list[Bound[Any]]:
        found: list[Bound[Any]] = []
        implementations = {impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        for name, installed in owners.items():
            if (implementation := implementations.get(name)) is None:
                continue
            try:
                items = _items(implementation.function())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - reported as a failure of this plugin; the others go on
                failures.append(f"{installed}: `{hook}` raised {raised(error)}. Mend or disable the plugin.")
                continue
            wanted, _ = brought_to(hook)
            if items is None or (wrong := [item for item in items if not resembles(item, wanted)]):
                said = "something that is no list" if items is None else f"{wrong[0]!r}"
                failures.append(
                    f"{installed}: `{hook}` returned {said}. Return a list of `{wanted.__name__}` from a plain function."
                )
                continue
            for item in items:
                unfits = list(unfit(item, wanted))
                if isinstance(item, Offer) and not unfits and not item.name.strip():
                    unfits = ["`name` is empty"]
                if unfits:
                    called = f" called `{its_name}`" if (its_name := _name(item)) else ""
                    failures.append(
                        f"{installed}: `{hook}` brings {one(wanted.__name__)}{called} that is none: {'; '.join(unfits)}."
                        f" Mend it as `{wanted.__module__}` says."
                    )
                else:
                    found.append(Bound(name, installed.distribution, item, hook))
        return found

    def offered(self) -> Iterable[tuple[Bound[Offer[Any]], Any]]:
        """Yield every offer with the contract of what its factory makes; `Any` where plugins want different things."""
        for found in self._found.values():
            for bound in found:
                if isinstance(bound.item, Offer):
                    yield bound, self._contract(bound)

    def _contract(self, bound: Bound[Offer[Any]]) -> Any:
        if bound.hook != "switchgear_offers":
            return brought_to(bound.hook)[1]
        defined = self._kinds.get(bound.item.kind, ())
        return defined[0].item.contract if len(defined) == 1 else Any


def _items(result: Any) -> list[Any] | None:
    if inspect.iscoroutine(result):
        result.close()
        return None
    return list(result) if isinstance(result, Iterable) and not isinstance(result, (str, bytes)) else None


def _name(item: Any) -> str | None:
    name = getattr(item, "name", None) or getattr(item, "slug", None)
    return name if isinstance(name, str) else None


def _thing(hook: str) -> str:
    return hook.removeprefix(_PREFIX).replace("_", " ")


def _misplaced(hook: str, found: list[Bound[Any]]) -> Iterable[str]:
    """Name offers that say which kind they are where that is plain, and those that do not where it is not."""
    wanted = hook == "switchgear_offers"
    for bound in found:
        kind = bound.item.kind if isinstance(bound.item, Offer) else ""
        if wanted and not kind:
            yield f'{bound} brings `{_name(bound.item)}` to `{hook}` without a kind. Say which: `Offer(…, kind="…")`.'
        elif kind and not wanted:
            yield (
                f"{bound} brings `{_name(bound.item)}` with a kind to `{hook}`. Bring it to `switchgear_offers`, or leave the"
                " kind out."
            )


_OF_ITS_PLUGIN = frozenset({"switchgear_tasks", "switchgear_ui_pages"})
"""What is told by its plugin and its name: others may have the same."""


def _clashes(hook: str, found: list[Bound[Any]]) -> Iterable[str]:
    first: dict[tuple[str, str, str], Bound[Any]] = {}
    for bound in found:
        if (name := _name(bound.item)) is None:
            continue
        kind = bound.item.kind if hook == "switchgear_offers" else _thing(hook)
        whose = bound.plugin if hook in _OF_ITS_PLUGIN else ""
        other = first.setdefault((kind, whose, name), bound)
        if other is not bound:
            yield (
                f"{bound} and {other} both bring `{name}` to the {kind}. Disable one of them, or rename what it brings."
            )


def _reason(error: pluggy.PluginValidationError) -> str:
    """Pluggy's own reason is its last line; hooks take no argument but self."""
    line = str(error).strip().splitlines()[-1]
    return f"a hook is declared wrongly: {line}. Hooks take no argument but `self`; see `switchgear.hooks`."
