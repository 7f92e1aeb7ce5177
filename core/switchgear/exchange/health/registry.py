"""The health of every target of this process, and what is told of it."""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from switchgear.ambient import Ambient
from switchgear.contracts.health import BreakerView, HealthView, State
from switchgear.exchange.health.health import Health
from switchgear.exchange.health.settings import RoutingSettings
from switchgear.telemetry.metrics import Counter, Family, Gauge, Metrics

_STATES: tuple[State, ...] = ("closed", "half_open", "open")
"""The gauge shows a state as its place here."""


class HealthRegistry:
    """One `Health` for each model at each provider, whatever names lead there. It lives as long as a target holds it.

    Thus it outlives changes of the configuration, for the new snapshot is made while the old one lives, and goes with the last
    target that leads there.
    """

    def __init__(
        self,
        settings: RoutingSettings,
        ambient: Ambient,
        metrics: Metrics,
        announce: Callable[[str, dict[str, Any]], None] = lambda _name, _data: None,
    ) -> None:
        self._settings = settings
        self._ambient = ambient
        self._announce = announce
        self._known: dict[tuple[str, str], tuple[ref[Health], _BreakerReporter]] = {}
        self._board = _BreakerMetrics(metrics)

    def of(self, provider_id: str, provider_model: str, label: str) -> Health:
        """Return the health of a model at a provider.

        `label` is what metrics call it; several may be given over time, and several targets may share one.
        """
        key = (provider_id, provider_model)
        known = self._known.get(key)
        health = None if known is None else known[0]()
        if known is None or health is None:
            if known is not None:  # the collector has not told of its end yet
                known[1].close()
            voice = _BreakerReporter(provider_id, provider_model, self._board, self._announce)
            health = Health(provider_id, provider_model, self._settings, self._ambient, voice.changed)
            known = self._known[key] = (ref(health, partial(self._gone, key)), voice)
        known[1].also(label)
        return health

    def views(self) -> list[HealthView]:
        """Say how every target fares."""
        return [health.view() for held, _ in list(self._known.values()) if (health := held()) is not None]

    def find(self, provider_id: str, provider_model: str) -> Health | None:
        """Return the health of a model at a provider that some target leads to."""
        known = self._known.get((provider_id, provider_model))
        return None if known is None else known[0]()

    def _gone(self, key: tuple[str, str], health: ref[Health]) -> None:
        known = self._known.get(key)
        if known is not None and known[0] is health:  # another thread may have asked for it anew
            known[1].close()
            del self._known[key]


class _BreakerMetrics:
    """The metrics. A target is counted under each of its labels; the gauge of labels that several share shows the worst."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("model", "provider")
        self._states: Family[Gauge] = metrics.gauge(
            "target_breaker_state", "The breaker of a target: 0 closed, 1 half-open, 2 open.", labels
        )
        self._transitions: Family[Counter] = metrics.counter(
            "target_breaker_transitions", "Times that a target's breaker came into a state.", (*labels, "state")
        )
        self._counts: dict[tuple[str, str], dict[State, int]] = {}

    def move(self, labels: tuple[str, str], previous: State | None, state: State | None) -> None:
        """Count one target that was in a state and is in another; None: not there."""
        counts = self._counts.setdefault(labels, dict.fromkeys(_STATES, 0))
        if previous is not None:
            counts[previous] -= 1
        if state is not None:
            counts[state] += 1
            if previous is not None:
                self._transitions.child(*labels, state).inc()
        here = [place for place, one in enumerate(_STATES) if counts[one]]
        if here:
            self._states.child(*labels).set(here[-1])
        else:
            del self._counts[labels]
            del self._states.children[labels]


class _BreakerReporter:
    """Tells of one target, which it does not hold."""

    def __init__(
        self,
        provider_id: str,
        provider_model: str,
        board: _BreakerMetrics,
        announce: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._provider_id = provider_id
        self._provider_model = provider_model
        self._board = board
        self._announce = announce
        self._labels: set[tuple[str, str]] = set()
        self._state: State = "closed"

    def also(self, label: str) -> None:
        """Count the target under this label too."""
        labels = (label, self._provider_id)
        if labels not in self._labels:
            self._labels.add(labels)
            self._board.move(labels, None, self._state)

    def changed(self, previous: State, view: BreakerView) -> None:
        """Tell of a change. That a probe failed is counted, but no event: the target is as open as it was."""
        self._state = view.state
        for labels in self._labels:
            self._board.move(labels, previous, view.state)
        target = {"provider": self._provider_id, "model": self._provider_model}
        if previous == "closed":
            self._announce("targets.opened", {**target, "causes": view.causes, "retry_in_s": view.retry_in_s})
        elif view.state == "closed":
            self._announce("targets.closed", target)

    def close(self) -> None:
        """Count it no more."""
        for labels in self._labels:
            self._board.move(labels, self._state, None)
        self._labels.clear()
