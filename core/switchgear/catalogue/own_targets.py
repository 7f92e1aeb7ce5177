"""Targets that a plugin makes itself, for the live objects of a callable kind of its own: it answers in this process."""

from switchgear.contracts.capability import NEEDED
from switchgear.contracts.exchange import Target
from switchgear.contracts.provider import NativeProvider, TargetModel
from switchgear.contracts.upstream import Timeouts
from switchgear.contracts.usage import Pricing
from switchgear.exchange.health.registry import HealthRegistry
from switchgear.exchange.meters import ExchangeMeters
from switchgear.plugin_faults import Owner
from switchgear.wire.members import raw


class OwnTargets:
    """Makes them. What they consume themselves costs nothing: the calls that they make have prices of their own."""

    def __init__(self, meters: ExchangeMeters, health: HealthRegistry, timeouts: Timeouts) -> None:
        self._meters = meters
        self._health = health
        self._timeouts = timeouts

    def make(self, plugin: str, id: str, native: NativeProvider) -> Target:
        """Make the target that answers to `id`. As long as the exchange may take, it may take to begin."""
        traits = native.traits(id)
        total = self._timeouts.total
        return Target(
            model=TargetModel(id=id, name=id, name_json=raw(id), wires=traits.wires),
            provider_id=plugin,
            wires=traits.wires,
            capabilities=traits.capabilities,
            lacks=NEEDED - traits.capabilities,
            health=self._health.of(plugin, id, id),
            timeouts=Timeouts(connect=total, first_byte=total, idle=total, total=total),
            meters=self._meters.of_target(id, plugin),
            native=native,
            lines=f"x-switchgear-model: {id}\r\nx-switchgear-provider: {plugin}\r\n".encode(),
            pricing=Pricing({}, version="made of calls"),
            owner=Owner(plugin, id),
        )
