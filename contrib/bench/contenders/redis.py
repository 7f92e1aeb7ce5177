"""The gateway with budgets, whose counters are in a Redis on the upstream's core: limits and budgets as replicas share them."""

import os
from pathlib import Path

from contenders.base import Contender, Launch, Options, Unavailable
from contenders.budgets import Budgets


class Redis(Budgets):
    name = "redis"

    def install(self, home: Path) -> None:
        super().install(home)
        try:
            from support.redis_server import RedisServer  # noqa: PLC0415 - it needs what only the dev extra brings
        except ImportError as error:
            raise Unavailable(f"{error}: pip install -e '.[dev]'") from error
        self._redis = RedisServer(home)  # it dies with the bench
        self._redis.start()
        if self._options.beside is not None:
            os.sched_setaffinity(self._redis.pid, {self._options.beside})

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        launch = super().launch(port, upstream, home)
        return Launch(launch.argv, ready=launch.ready, env={**launch.env, "REDIS_URL": self._redis.url})


def make(options: Options) -> Contender:
    return Redis(options)
