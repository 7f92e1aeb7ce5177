"""What plugins do wrong while the gateway serves, counted and logged under plugin and offer."""

import asyncio
import traceback
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from switchgear.phrasing import raised
from switchgear.telemetry.metrics import Metrics
from switchgear.telemetry.scrub import without

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

T = TypeVar("T")

STOPS_S = 1.0
"""How long something that was told to stop may take, before it is left behind."""
_MOST_TRACE = 16_000
_NOBODY: Mapping[str, str] = MappingProxyType({})


class Owner(Struct, frozen=True):
    """Whose something is: a plugin, and the name of what it brought; empty where that is not known."""

    plugin: str = ""
    offer: str = ""


UNKNOWN = Owner()


class Misbehaviour(Exception):
    """A plugin raised what would end more than its own work, as SystemExit does; `__cause__` is that."""


def is_own_doing(error: BaseException, within: asyncio.Task[Any] | None = None) -> bool:
    """Say whether code raised this by itself, rather than because the task that runs it, `within`, is to end.

    What nobody refers to any more may be closed while any other task runs.
    """
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        task = running_task()
        if task is None or (within is not None and task is not within):
            return False
        return isinstance(error, GeneratorExit) or not task.cancelling()
    return True


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that runs, None where none does."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # there is no loop: what ran is being closed
        return None


def name_of(error: BaseException) -> str:
    """Return the type of what was raised, where its words are not to be shown."""
    return type(error.__cause__ if isinstance(error, Misbehaviour) and error.__cause__ else error).__name__


def module_of(made: object) -> str:
    """Return the module of what made something, for finding whose it is."""
    return str(getattr(made, "__module__", None) or type(made).__module__)


class PluginFaults:
    """Counts and logs what plugins do wrong. One a kernel.

    `packages` maps the modules and packages that are a plugin's own to its name.
    """

    def __init__(
        self, metrics: Metrics, packages: Mapping[str, str] = _NOBODY, log: "FilteringBoundLogger | None" = None
    ) -> None:
        self.packages = packages
        self._log = log
        self._errors = metrics.counter(
            "plugin_errors", "What plugins raised, and what they returned that is not in their contract.",
            ("plugin", "offer"),
        )  # fmt: skip
        self._owned: dict[int, tuple[object, Owner]] = {}

    def own(self, made: T, plugin: str, offer: str) -> T:
        """Remember whose something is that lives as long as the gateway."""
        self._owned[id(made)] = (made, Owner(plugin, offer))
        return made

    def owner(self, made: object) -> Owner:
        """Return whose something is; without an offer where only its module tells."""
        found = self._owned.get(id(made))
        return Owner(self.plugin_of(module_of(made))) if found is None else found[1]

    def culprit(self, error: BaseException) -> Owner:
        """Return whose code raised: the innermost frame that is some plugin's."""
        raised: BaseException | None = error
        while raised is not None:  # what a coroutine makes of StopIteration has none of its frames
            for frame, _ in reversed(list(traceback.walk_tb(raised.__traceback__))):
                if plugin := self.plugin_of(frame.f_globals.get("__name__", "")):
                    return Owner(plugin)
            raised = raised.__cause__
        return UNKNOWN

    def counted(self, plugin: str) -> int:
        """Return how many of a plugin were counted."""
        return int(sum(it.value for (named, _), it in self._errors.children.items() if named == plugin))

    def count(self, owner: Owner) -> None:
        """Count one."""
        self._errors.child(owner.plugin, owner.offer).inc()

    def note(
        self, owner: Owner, what: str, error: BaseException | str, *, secrets: tuple[str, ...] = (), **fields: Any
    ) -> None:
        """Count and log what a plugin did wrong: at `what`, and how. `secrets` are kept out of the log."""
        self.count(owner)
        if isinstance(error, BaseException):
            if isinstance(error, Misbehaviour) and error.__cause__ is not None:
                error = error.__cause__
            fields["exception"] = without("".join(traceback.format_exception(error))[-_MOST_TRACE:], secrets)
            error = raised(error)
        fields["error"] = without(error, secrets)
        if owner.offer:
            fields["offer"] = owner.offer
        self._logger().error("plugin failed", plugin=owner.plugin, what=what, **fields)

    def _logger(self) -> "FilteringBoundLogger":
        import structlog  # noqa: PLC0415 - the command line has no use for it, and it takes long to import

        logger: FilteringBoundLogger = structlog.get_logger()
        return self._log or logger

    def plugin_of(self, module: str) -> str:
        """Return the plugin whose a module is; empty for nobody's."""
        packages = self.packages
        while module:
            if plugin := packages.get(module):
                return plugin
            module = module.rpartition(".")[0]
        return ""


async def contained(work: Awaitable[T]) -> T:
    """Wait for a plugin's work. What it raises that would end the process, or looks like our own end, is a `Misbehaviour`."""
    task = running_task()
    try:
        return await work
    except Exception:
        raise
    except BaseException as error:
        if is_own_doing(error, task):
            raise Misbehaviour(type(error).__name__) from error
        raise


async def bounded(seconds: float, work: Awaitable[T]) -> T:
    """Wait for a plugin's work at most so long, in a task of its own, which is left behind where it does not heed its end.

    Raises TimeoutError, and what it raises.
    """
    task = asyncio.ensure_future(contained(work))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await leave(task)
        raise
    if not done:
        await leave(task)
        raise TimeoutError(f"it took longer than {seconds:g} s")
    return task.result()


async def heeded(work: Awaitable[T]) -> T:
    """Wait for a plugin's work in a task of its own, so that whoever waits can be stopped though the work does not heed it."""
    task = asyncio.ensure_future(contained(work))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await leave(task)
        raise
    return task.result()


async def leave(task: "asyncio.Future[Any]") -> bool:
    """Stop a task and wait a moment for it; say whether it heeds."""
    task.cancel()
    await asyncio.wait({task}, timeout=STOPS_S)
    if task.done():
        if not task.cancelled():
            task.exception()
        return True
    task.add_done_callback(lambda it: None if it.cancelled() else it.exception())
    return False
