"""Boot: select → import → configure → order → bind → start → serve → stop. No socket opens before `start`."""

import asyncio
import graphlib
import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.config import Config
from switchgear.context import PluginContext, PluginOffer, Services, Shared
from switchgear.contracts.credential import Sealer
from switchgear.contracts.event import Event
from switchgear.contracts.kernel import Task
from switchgear.contracts.store import Migratable
from switchgear.counting import uncounted, unshared
from switchgear.discovery import Discovery, Installed, load, modules_of
from switchgear.errors import BootError, ConfigError, PluginError
from switchgear.factories import Looked, look, make, make_all
from switchgear.hooks import Hooks
from switchgear.inspection import inspect_all
from switchgear.jobs import JobWorker
from switchgear.near_misses import near_misses
from switchgear.offer import Offer
from switchgear.phrasing import did_you_mean, listed, raised
from switchgear.plugin import Plugin
from switchgear.plugin_faults import Owner, contained
from switchgear.registry import Bound, Registry
from switchgear.telemetry.metrics import Metrics
from switchgear.telemetry.watchdog import Watchdog

T = TypeVar("T")
Hook = Callable[[Hooks], Iterable[Any]]

REQUIREMENTS: Mapping[str, tuple[Hook, str]] = MappingProxyType(
    {
        "store": (Hooks.switchgear_stores, "offers a store"),
        "counters": (Hooks.switchgear_counters, "offers counters"),
        "jobs": (Hooks.switchgear_job_queues, "offers a job queue"),
        "sealer": (Hooks.switchgear_credential_backends, "offers a credential backend that can seal"),
        "authenticator": (Hooks.switchgear_authenticators, "offers an authenticator"),
    }
)
"""What a plugin may require: the hook that brings it, and how to say so."""

_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Active:
    """A plugin that was selected, imported and configured."""

    installed: Installed
    plugin: Plugin[Any]
    settings: Struct
    context: PluginContext


class Kernel:
    """One gateway's plugins, from selection to stop.

    `boot` leaves `plugins` (in order), `registry` and `warnings`; `start` and `stop` bracket serving. Between them the
    composition makes what `Services` names from the registry's offers.
    """

    def __init__(self, config: Config, *, ambient: Ambient | None = None) -> None:
        self.config = config
        self.ambient = ambient or Ambient()
        self.metrics = Metrics(config.gateway.metrics.prefix)
        self.discovery = Discovery()
        self.plugins: tuple[Active, ...] = ()
        self.warnings: list[str] = []
        self.registry = Registry(())
        self._looked = Looked()
        self._shared = Shared(config.gateway.data_path, self.ambient, self.metrics, lambda: self.config.variables)
        self.events = self._shared.events
        self.failed = self._shared.failed
        self.faults = self._shared.faults
        self._timeout = config.gateway.plugin_timeout
        self._started: list[Active] = []
        self._watchdog: Watchdog | None = None

    def boot(self) -> None:
        """Select, import, configure, order and bind the plugins. No plugin starts and nothing is opened.

        Raises `BootError` with every failure found: those of selection, import and configuration together, whatever
        plugin they belong to; then those of order; then those of what the plugins bring.
        """
        active = self._select_import_configure()
        self.plugins = self._order(active)
        self._bind()
        if not self.plugins:
            self.warnings.append(
                "no plugin is enabled: the gateway answers no model call. Enable one with `switchgear plugins enable NAME`;"
                " `switchgear plugins list` shows what is installed."
            )
        else:
            self.warnings += self._lacking()
            self.warnings += self._looked.warnings
            plugins = ((item.installed, item.plugin) for item in self.plugins)
            self.warnings += near_misses(plugins, self.registry, self._looked)
            if off := self.config.left_out:
                self.warnings.append(
                    f"{self.config.source} names plugins, so those that it leaves out are off: {', '.join(off)}."
                )
            self.warnings += (
                f"{bound} offers `{bound.item.name}` to the {kind.replace('_', ' ')}, and no enabled plugin takes these: it"
                " is waiting for one."
                for kind, bound in self.registry.waiting()
            )

    def _lacking(self) -> Iterable[str]:
        """Say what the gateway cannot do with the plugins it has."""
        for hook, lack in (
            (Hooks.switchgear_stores, "a store, so nothing can be configured"),
            (Hooks.switchgear_dialects, "a dialect, so there is nothing below /v1"),
            (Hooks.switchgear_authenticators, "an authenticator, so no key is good"),
        ):
            if not self.registry.all(hook):
                yield f"no enabled plugin offers {lack}. plugins.toml.example says which plugins do."

    def migrations(self, store: object) -> list[tuple[str, Path]]:
        """Return the plugins' own migrations, as `store.open` takes them."""
        brought, has_tables = self.registry.all(Hooks.switchgear_migrations), isinstance(store, Migratable)
        return [(it.plugin, it.item.directory) for it in brought if has_tables or not it.item.optional]

    async def start(self, services: Services) -> None:
        """Start every plugin in order, each bounded by `[gateway] plugin_timeout`.

        When one fails, those already started are stopped in reverse order and `PluginError` is raised.
        """
        import structlog  # noqa: PLC0415 - the command line has no use for it, and it takes long to import

        for warning in self.warnings:
            structlog.get_logger().warning(warning)
        self._shared.services = services
        packages = modules_of(item.installed for item in self.plugins)
        self._watchdog = Watchdog(asyncio.get_running_loop(), packages, self.metrics, self._blocked)
        self._watchdog.start()
        try:
            for item in self.plugins:
                await self._start(item)
        except BaseException:
            await self.stop()
            raise
        self.events.start()

    def _blocked(self, plugin: str) -> None:
        self.events.emit(Event("event_loop.blocked", self.ambient.now_us(), {"plugin": plugin}))

    def run_tasks(self) -> None:
        """Begin the periodic work of plugins and what they do with jobs; it ends with them."""
        if self._watchdog is not None:
            self._watchdog.serving = True
        active = self._by_name()
        if (queue := self._shared.services.jobs) is not None:
            for handler in self.registry.all(Hooks.switchgear_job_handlers):
                failed = partial(self.faults.note, Owner(handler.plugin, handler.item.name))
                worker = JobWorker(handler.item, queue, self.ambient, self.metrics, failed)
                active[handler.plugin].context.spawn(f"jobs {handler.item.name}", worker.run)
        for bound in self.registry.all(Hooks.switchgear_tasks):
            active[bound.plugin].context.spawn(bound.item.name, partial(_periodically, bound.item))

    def reconfigure(self, config: Config) -> list[str]:
        """Give plugins that are `live` their new settings.

        Returns what takes a restart: names of plugins, and `gateway`. Raises `ConfigError` with everything wrong in `config`;
        nothing has changed then.
        """
        failures = [*config.failures, *self._not_installed(config)]
        settings: dict[str, Struct] = {}
        for name, item in self._by_name().items():
            if name in config.enabled:
                try:
                    settings[name] = config.settings(name, item.plugin.settings_type)
                except ConfigError as error:
                    failures += error.failures
        if failures:
            raise ConfigError(*failures)
        later = {"gateway"} if config.gateway != self.config.gateway else set()
        later |= set(config.enabled) ^ self._by_name().keys()
        self.plugins = tuple(
            self._reconfigured(item, settings.get(item.installed.name, item.settings), later) for item in self.plugins
        )
        return sorted(later)

    def _not_installed(self, config: Config) -> Iterable[str]:
        """Say which plugins are switched on there that the next start would not find. Nothing of them is imported here."""
        new = [name for name in config.enabled if name not in self._by_name()]
        discovery = Discovery() if new else self.discovery  # one may have been installed meanwhile
        for name in new:
            try:
                discovery.find(name)
            except PluginError as error:
                yield from (f"{config.place(name)}: {text}" for text in error.failures)

    def _reconfigured(self, item: Active, settings: Struct, later: set[str]) -> Active:
        name = item.installed.name
        if settings == item.settings:
            return item
        if not item.plugin.live:
            later.add(name)
            return item
        try:
            item.plugin.reconfigure(settings)
        except Exception as error:  # noqa: BLE001 - counted and logged under the plugin's name; the others go on
            self.failed(name, "reconfigure", raised(error))
            later.add(name)
            return item
        return replace(item, settings=settings)

    def _by_name(self) -> dict[str, Active]:
        return {item.installed.name: item for item in self.plugins}

    async def stop(self) -> None:
        """Stop what was started, in reverse order, each bounded; failures are logged and counted, and stop nothing else."""
        await self.events.stop(self._timeout)
        while self._started:
            item = self._started.pop()
            failure = await self._bounded(item.plugin.stop)
            if failure is not None:
                self.failed(item.installed.name, "stop", failure)
            await item.context.close(self._timeout)
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None

    def _select_import_configure(self) -> dict[str, Active]:
        failures = list(self.config.failures)
        active: dict[str, Active] = {}
        for name in self.config.enabled:
            try:
                active[name] = self._configured(name)
            except BootError as error:
                at = self.config.place(name)
                failures += (text if isinstance(error, ConfigError) else f"{at}: {text}" for text in error.failures)
        if failures:
            raise BootError(*failures)
        return active

    def _configured(self, name: str) -> Active:
        installed = self.discovery.find(name)
        plugin = load(installed)
        settings = self.config.settings(name, plugin.settings_type)
        context = PluginContext(name, plugin.requires, self._shared)
        try:
            return Active(installed, plugin(settings, context), settings, context)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{installed}: making it raised {raised(error)}. Mend or disable the plugin.") from error

    def _order(self, active: Mapping[str, Active]) -> tuple[Active, ...]:
        sorter = graphlib.TopologicalSorter(
            {name: [other for other in item.plugin.after if other in active] for name, item in active.items()}
        )
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            path = error.args[1][::-1]
            who = ", ".join(str(active[name].installed) for name in sorted(set(path)))
            raise PluginError(
                f"plugins want to come after each other: {' after '.join(path)} ({who}). Disable one, or mend its `after`."
            ) from error
        ordered: list[Active] = []
        ready: list[str] = []
        while sorter.is_active():
            for name in sorter.get_ready():
                heapq.heappush(ready, name)
            name = heapq.heappop(ready)
            ordered.append(active[name])
            sorter.done(name)
        return tuple(ordered)

    def _bind(self) -> None:
        self.registry = registry = Registry((item.installed, item.plugin) for item in self.plugins)
        self._looked = self._look()
        failures = [
            *registry.failures,
            *self._looked.failures,
            *inspect_all(registry, self._looked, self.discovery.commands),
        ]
        if registry.failures:
            raise PluginError(*failures)  # what follows would miss what was left out for being wrong
        try:
            registry.one(Hooks.switchgear_stores)
        except PluginError as error:
            failures += error.failures
        for setting, hook, name in (
            ("counters", Hooks.switchgear_counters, self.config.gateway.counters),
            ("jobs", Hooks.switchgear_job_queues, self.config.gateway.jobs),
        ):
            try:
                registry.one(hook, name)
            except PluginError as error:
                place = self.config.origin(("gateway", setting))
                failures += (
                    f"{place}: [gateway] {setting}: {text} Or name one of them here." for text in error.failures
                )
        if not registry.all(Hooks.switchgear_job_queues):
            failures += (
                f"{bound} does jobs `{bound.item.name}`, and no enabled plugin offers a job queue. Enable one, or disable"
                f" `{bound.plugin}`."
                for bound in registry.all(Hooks.switchgear_job_handlers)
            )
        for item in self.plugins:
            failures += _unmet(item, registry, self._looked)
        failures += [*self._uncounted(), *unshared(registry, self.config)]
        if failures:
            raise PluginError(*failures)
        self.faults.packages = modules_of(item.installed for item in self.plugins)
        kinds = registry.all(Hooks.switchgear_record_kinds)
        self._shared.record_kinds = {it.item.name: (it.plugin, it.item) for it in kinds}
        self._shared.offers = {
            kind: {it.item.name: PluginOffer(it.plugin, it.item) for it in found}
            for kind, found in registry.offers().items()
        }
        self.events.known |= {name: when for item in self.plugins for name, when in item.plugin.announces.items()}
        for bound in registry.all(Hooks.switchgear_event_handlers):
            self.events.listen(bound.plugin, bound.item)

    def _uncounted(self) -> list[str]:
        """Say what policies count that the active counters do not know, as far as they can be made yet."""
        policies, counters = self._looked.of(Hooks.switchgear_policies), self._looked.of(Hooks.switchgear_counters)
        active = [it for it in counters if self.config.gateway.counters in (None, it[0].item.name)]
        if len(active) == 1:
            return uncounted(policies, active[0][1], active[0][0])
        # Which of several are active is not known then, and told elsewhere.
        return [] if self.registry.all(Hooks.switchgear_counters) else uncounted(policies, None, None)

    def _look(self) -> Looked:
        """Call every factory, to see what it makes."""
        self._shared.looking = True
        try:
            starting = {it.installed.name for it in self.plugins if type(it.plugin).start is not Plugin.start}
            return look(self.registry, self.ambient, starting)
        finally:
            self._shared.looking = False

    def make(self, bound: Bound[Offer[T]]) -> T:
        """Make what an offer is of, and remember whose it is. Raises `PluginError` naming plugin, offer and hook."""
        self._shared.make_directories()
        return self.faults.own(make(bound), bound.plugin, bound.item.name)

    def make_all(self, hook: Callable[[Hooks], Iterable[Offer[T]]]) -> list[tuple[Bound[Offer[T]], T]]:
        """Make what all offers to a hook are of. Raises `PluginError` with everything that is wrong."""
        self._shared.make_directories()
        found = make_all(self.registry.all(hook))
        return [(bound, self.faults.own(made, bound.plugin, bound.item.name)) for bound, made in found]

    async def _start(self, item: Active) -> None:
        if (failure := await self._bounded(item.plugin.start)) is not None:
            await item.context.close(self._timeout)
            raise PluginError(f"{item.installed}: `start` {failure}. Mend, disable or reconfigure the plugin.")
        self._started.append(item)

    async def _bounded(self, step: Callable[[], Awaitable[None]]) -> str | None:
        """Run a step of a plugin for at most `plugin_timeout` seconds; return how it failed, None if it did not."""
        task = asyncio.create_task(contained(step()))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout)
        finally:
            task.cancel()
        if not done:
            # A step that ignores its cancellation is left behind rather than waited for.
            await asyncio.wait({task}, timeout=_GRACE_S)
            return f"did not finish within {self._timeout:g} s ([gateway] plugin_timeout)"
        if task.cancelled():
            return "was cancelled"
        error = task.exception()
        return f"raised {raised(error)}" if error else None


async def _periodically(task: Task) -> None:
    while True:
        await contained(task.run())
        await asyncio.sleep(task.every_s)


def _unmet(item: Active, registry: Registry, looked: Looked) -> Iterable[str]:
    for kind in item.plugin.requires:
        if kind not in REQUIREMENTS:
            if not registry.offers().get(kind):
                hint = (
                    did_you_mean(kind, REQUIREMENTS)
                    or f" There is {listed(REQUIREMENTS)}, and kinds that plugins define."
                )
                yield f"{item.installed}: it requires `{kind}`, and no enabled plugin offers that.{hint}"
            continue
        hook, brings = REQUIREMENTS[kind]
        seals = any(isinstance(made, Sealer) for _, made in looked.of(Hooks.switchgear_credential_backends))
        if not registry.all(hook) or (kind == "sealer" and not seals):
            yield (
                f"{item.installed}: it requires `{kind}`, and no enabled plugin {brings}. Enable one that does"
                f" (`switchgear plugins list` shows what is installed), or disable `{item.installed.name}`."
            )
