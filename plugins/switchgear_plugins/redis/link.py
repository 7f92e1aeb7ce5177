"""The way to Redis: one deadline for each script, no second try, and rest for a Redis that does not answer."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from switchgear import Context
from switchgear.errors import ConfigError, CountersUnavailable
from switchgear_plugins.redis.settings import RedisSettings


class Script:
    """A script with what it is called with."""

    def __init__(self, text: str, keys: Sequence[str], args: Sequence[Any]) -> None:
        self.text = text
        self.keys = keys
        self.args = args


class Link:
    """Runs scripts. While Redis is away, one caller in `rest` seconds tries, and the others are told at once."""

    def __init__(self, settings: RedisSettings, context: Context) -> None:
        self._settings = settings
        self._ambient = context.ambient
        self._log = context.log
        self._unanswered = context.metrics.counter("redis_unanswered", "Scripts that Redis did not answer.").child()
        self._digests: dict[str, str] = {}
        self._away = False
        self._rests_until = 0.0
        try:
            self._redis: Redis = Redis.from_url(
                settings.url,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=settings.timeout,
                socket_connect_timeout=settings.timeout,
                max_connections=2,
            )
        except ValueError:  # whose words may quote what it took for the port
            raise ConfigError(
                "[plugins.redis] url: it is no address of a Redis. Write redis://:password@host:6379/0, rediss:// or "
                "unix:///path; what is neither letter nor digit in a password is percent-encoded."
            ) from None

    async def run(self, script: Script) -> bytes:
        """Return what a script answers. Raises `CountersUnavailable` where it does not, or nobody expects it to."""
        now = self._ambient.monotonic()
        if self._away and now < self._rests_until:
            raise CountersUnavailable("Redis did not answer a moment ago.")
        self._rests_until = now + self._settings.rest
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await self._call(script)
        except (RedisError, OSError, TimeoutError) as error:
            self._unanswered.inc()
            if not self._away:
                self._away = True
                self._log.error(
                    "Redis does not answer", reason=str(error) or f"nothing came in {self._settings.timeout:g} s"
                )
            await self._redis.connection_pool.disconnect()
            raise CountersUnavailable("Redis does not answer.") from error
        if self._away:
            self._away = False
            self._log.info("Redis answers again")
        return answer

    async def _call(self, script: Script) -> bytes:
        digest = self._digests.get(script.text)
        if digest is None:
            digest = self._digests[script.text] = hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest()
        count = len(script.keys)
        try:
            answer: bytes = await self._redis.evalsha(digest, count, *script.keys, *script.args)
        except NoScriptError:
            answer = await self._redis.eval(script.text, count, *script.keys, *script.args)
        return answer

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()
