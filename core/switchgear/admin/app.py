"""Litestar, as the admin side has it."""

import sys
from typing import Any

from litestar import Litestar
from litestar.plugins.core import MsgspecDIPlugin


class App(Litestar):
    """Litestar without its description of itself and its logs, and without pydantic where nobody imported that.

    Importing pydantic only to support it takes longer than all the rest of Litestar.
    """

    def __init__(self, route_handlers: Any, **options: Any) -> None:
        super().__init__(route_handlers, openapi_config=None, logging_config=None, **options)

    @staticmethod
    def _get_default_plugins(plugins: list[Any]) -> list[Any]:
        if "pydantic" in sys.modules:
            return Litestar._get_default_plugins(plugins)  # noqa: SLF001 - what is overridden
        return [*plugins, MsgspecDIPlugin()]
