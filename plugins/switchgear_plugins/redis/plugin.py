from switchgear import Context, Offer, Plugin
from switchgear.contracts.counters import Counters
from switchgear_plugins.redis.counters import RedisCounters
from switchgear_plugins.redis.link import Link
from switchgear_plugins.redis.settings import RedisSettings


class RedisPlugin(Plugin[RedisSettings]):
    """Counters that many gateways share, in Redis."""

    api = 1
    settings_type = RedisSettings

    def __init__(self, settings: RedisSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._link = Link(settings, context)

    def switchgear_counters(self) -> list[Offer[Counters]]:
        """Offer the counters `redis`."""
        return [
            Offer(
                "redis",
                lambda: RedisCounters(self._link, self.settings.prefix),
                summary="Counters of any number of gateways, in Redis",
                shared=True,
            )
        ]

    async def stop(self) -> None:
        """Let go of the connections."""
        await self._link.close()
