from typing import Any

import msgspec
from switchgear_plugin_name.plugin import PluginNameDialect, Question

from switchgear.errors import NotFound


class Request:
    """As much of a `RouteRequest` as the handlers ask for."""

    def __init__(self, body: Any = None) -> None:
        self._body = body

    async def json(self, type: type) -> Any:
        return msgspec.convert(self._body, type)


def test_errors_are_in_its_own_shape() -> None:
    error = NotFound("There is nothing here.", code="nothing")
    assert {"problem": "nothing", "message": "There is nothing here.", "request": "r1"} == msgspec.json.decode(
        PluginNameDialect().error(error, "r1")
    )


def test_each_route_says_who_is_let_in() -> None:
    assert ["everybody", "principals"] == [route.open_to for route in PluginNameDialect().routes]


async def test_counts_words() -> None:
    dialect = PluginNameDialect()
    assert b'{"pong":true}' == (await dialect.ping(Request())).body
    assert b'{"words":3}' == (await dialect.count(Request({"text": "one two three"}))).body
    assert "text" in Question.__struct_fields__
