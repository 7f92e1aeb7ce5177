"""What a plugin brings: a named factory of some contract, and the settings its instances take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


@dataclass(frozen=True, slots=True)
class Offer(Generic[T]):
    """A type on offer. Resources and plugins.toml make instances of it by calling `factory`.

    name           what operators write (`type = "openai"`); unique among offers of the same hook
    factory        what it is called with is the hook's business and stands in the hook's docstring
    settings_type  where the factory takes settings: a msgspec Struct with `forbid_unknown_fields`, validated before
    summary        one line for people
    """

    name: str
    factory: Callable[..., T]
    settings_type: type[Struct] = NoSettings
    summary: str = ""
