"""Whether the active counters can count what the policies want counted, for all the processes that there are.

Asked while booting of what can be made by then, and of all before a socket opens.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from switchgear.config import Config
from switchgear.contracts.counters import Counters
from switchgear.contracts.policy import Policy
from switchgear.errors import PluginError
from switchgear.exchange.claims import reserves
from switchgear.hooks import Hooks
from switchgear.offer import Offer
from switchgear.phrasing import listed
from switchgear.registry import Bound, Registry


def check_sorts(
    policies: Sequence[tuple[Bound[Offer[Policy]], Policy]],
    counters: Counters | None,
    offered: Bound[Offer[Counters]] | None,
) -> None:
    """Raise `PluginError` for every policy that counts in a sort of bucket that the active counters do not know."""
    if failures := uncounted(policies, counters, offered):
        raise PluginError(*failures)


def uncounted(
    policies: Sequence[tuple[Bound[Offer[Policy]], Policy]],
    counters: Counters | None,
    offered: Bound[Offer[Counters]] | None,
) -> list[str]:
    """Return what each of the policies counts that the counters do not know."""
    return [text for bound, policy in policies for text in _unmet(bound, policy, counters, offered)]


def unshared(registry: Registry, config: Config) -> list[str]:
    """Return what several workers would each have for themselves, though it must be one."""
    settings = config.gateway
    if settings.workers == 1:
        return []
    found: list[str] = []
    for what, hook, name in (
        ("store", Hooks.switchgear_stores, None),
        ("backend of counters", Hooks.switchgear_counters, settings.counters),
        ("job queue", Hooks.switchgear_job_queues, settings.jobs),
    ):
        bounds: list[Bound[Offer[Any]]] = registry.all(hook)
        found += [
            f"{config.origin(('gateway', 'workers'))}: [gateway] workers: {settings.workers} processes must have one {what}"
            f" together, and `{bound.item.name}` ({bound}) is another in each of them."
            f" {bound.item.instead or 'Enable one that is shared.'} Or serve with one worker."
            for bound in bounds
            if name in (None, bound.item.name) and not bound.item.shared
        ]
    return found


def _unmet(
    bound: Bound[Offer[Policy]], policy: Policy, counters: Counters | None, offered: Bound[Offer[Counters]] | None
) -> Iterable[str]:
    if not reserves(policy):
        return
    who = f"{bound}: the policy `{bound.item.name}`"
    if not policy.sorts:
        yield f"{who} overrides `reserve` and does not say in which sorts of bucket it counts. Give its class `sorts`."
    if counters is None or offered is None:
        yield f"{who} counts, and no enabled plugin offers counters. Enable one that does, or disable `{bound.plugin}`."
        return
    known: frozenset[str] = getattr(counters, "sorts", frozenset())
    for sort in sorted(policy.sorts - known):
        yield (
            f"{who} counts in buckets of the sort `{sort}`, and the counters `{offered.item.name}` ({offered}) know"
            f" {listed(sorted(known)) or 'none'}. Enable counters that know it, or disable `{bound.plugin}`."
        )
