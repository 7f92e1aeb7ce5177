"""Whether the active counters can count what the policies want counted.

Asked while booting of what can be made by then, and of all before a socket opens.
"""

from collections.abc import Iterable, Sequence

from switchgear.contracts.counters import Counters
from switchgear.contracts.policy import Policy
from switchgear.errors import PluginError
from switchgear.exchange.claims import reserves
from switchgear.offer import Offer
from switchgear.phrasing import listed
from switchgear.registry import Bound


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
