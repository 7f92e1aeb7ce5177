"""What stands where a store would be when no plugin offers one."""

from collections.abc import Awaitable, Callable
from typing import Any

from switchgear.errors import StoreUnavailable


class NoStore:
    """Stands where a store would be when no plugin offers one: everything asked of it says so."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Refuse whatever it is."""

        async def refuse(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("no store is enabled; enable a plugin that offers one in plugins.toml")

        return refuse
