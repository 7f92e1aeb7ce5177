"""Things that are what a contract says and do nothing, for plugins whose offers nobody uses."""

import inspect
from types import FunctionType
from typing import Any

from msgspec import Struct

from switchgear.conformance import members_of
from switchgear.contracts.provider import Traits

WIRES = frozenset({"chat"})
VALUES: dict[str, Any] = {
    "name": "one",
    "path": "/one",
    "wire": "chat",
    "wires": WIRES,
    "secret_fields": (),
    "routes": (),
    "inference": (),
    "retry_count_header": b"",
}


class Source(Struct, tag_field="backend", tag="one"):
    """The source of a credential."""


def stub(contract: type, **members: Any) -> Any:
    """Make an instance of a new class with the members of a contract, `members` instead of its own."""
    made: dict[str, Any] = {}
    for name, declared in members_of(contract).items():
        if inspect.isfunction(declared):
            made[name] = FunctionType(declared.__code__, {}, name, declared.__defaults__)
            made[name].__kwdefaults__, made[name].__annotations__ = declared.__kwdefaults__, declared.__annotations__
        else:
            made[name] = VALUES.get(
                name, Source if name == "source_type" else frozenset() if "frozenset" in str(declared) else None
            )
    if "traits" in made:
        made["traits"] = lambda self, model: Traits(self.wires)
    if "decode" in made:
        made["request_id_header"] = ""
    return type(contract.__name__, (), made | members)()
