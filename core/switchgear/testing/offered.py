"""What an installed plugin offers, made outside of a gateway, and the suites that hold it to its contracts."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from switchgear.config import load as read_config
from switchgear.contracts.policy import Policy
from switchgear.discovery import Discovery, load
from switchgear.offer import Offer
from switchgear.phrasing import raised
from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.context import PluginContext

if TYPE_CHECKING:
    from switchgear.contracts.counters import Counters

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "providers": ("ProviderSuite", "NativeProviderSuite", "ExchangeSuite"),
        "credential_backends": ("CredentialBackendSuite",),
        "policies": ("PolicySuite", "FilterSuite"),
        "counters": ("CountersSuite",),
        "stores": ("StoreSuite",),
        "job_queues": ("JobQueueSuite",),
    }
)
"""The suites that fit what is brought to a hook, without the hook's prefix."""


class Offered:
    """One installed plugin and what it offers to the hooks that have suites.

    Its settings come from the configuration at `path`. It is given a context over a directory of its own, and is not started.
    """

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.installed = Discovery().find(name)
        self._class = load(self.installed)
        self._settings = read_config(path, environ=os.environ, flags={}).settings(name, self._class.settings_type)
        self._place = tempfile.TemporaryDirectory(prefix="switchgear-offered-")

    def offers(
        self, hook: str, counters: "Counters | None" = None, ambient: FixedAmbient | None = None
    ) -> list[Offer[Any]]:
        """Return what a plugin of its own brings to a hook, by the hook's name without prefix."""
        lent: Any = PluginContext(self.installed.name, Path(self._place.name), ambient=ambient, counters=counters)
        bring: Callable[[], Iterable[Offer[Any]]] | None = getattr(
            self._class(self._settings, lent), f"switchgear_{hook}", None
        )
        return list(bring()) if bring is not None else []

    def make(self, hook: str, name: str, **lent: Any) -> Any:
        """Make what an offer without settings makes."""
        [offer] = [it for it in self.offers(hook, **lent) if it.name == name]
        return offer.factory()

    def why_not(self, hook: str, name: str, **lent: Any) -> str | None:
        """Say why an offer cannot be made like this; None if it can."""
        try:
            made = self.make(hook, name, **lent)
        except Exception as error:  # noqa: BLE001 - told to whoever tests the plugin
            return f"making it outside of a gateway raised {raised(error)}"
        if isinstance(made, Policy) and made.attachable:
            return "it runs only where it is attached"
        return None

    def classes(self) -> tuple[dict[str, type], list[tuple[str, str, str]]]:
        """Return a test class for each offer that a suite can be run on as it is, and the others: hook, name, and why not."""
        from switchgear.testing.counters_suite import CountersSuite  # noqa: PLC0415 - needs pytest and hypothesis
        from switchgear.testing.policy_suite import PolicySuite, WatchedCounters  # noqa: PLC0415 - likewise

        found: dict[str, type] = {}
        left: list[tuple[str, str, str]] = []
        for hook in SUITES:
            for offer in self.offers(hook, WatchedCounters(), FixedAmbient()):
                name = offer.name
                if hook not in ("policies", "counters"):
                    left.append((hook, name, "it needs what only its author has: recorded answers, a place to work in"))
                elif (why := self.why_not(hook, name, counters=WatchedCounters(), ambient=FixedAmbient())) is not None:
                    left.append((hook, name, why))
                elif hook == "policies":
                    found[_class(name)] = type(_class(name), (PolicySuite,), {"make": self._policy(name)})
                else:
                    found[_class(name)] = type(_class(name), (CountersSuite,), {"make": self._counters(name)})
        return found, left

    def _policy(self, name: str) -> Callable[..., Any]:
        return lambda _, counters: self.make("policies", name, counters=counters)

    def _counters(self, name: str) -> Callable[..., Any]:
        return lambda _, ambient: self.make("counters", name, ambient=ambient)


def _class(name: str) -> str:
    return "Test" + "".join(word.capitalize() for word in name.replace("-", "_").split("_"))
