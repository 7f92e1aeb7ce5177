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
    shared         of a store, counters or a job queue: whether several processes that are configured alike have the same together
    instead        of what is not shared: what to do where several processes need one together
    kind           of what is brought to `switchgear_offers`: which kind of offer that another plugin defines it is
    """

    name: str
    factory: Callable[..., T]
    settings_type: type[Struct] = NoSettings
    summary: str = ""
    kind: str = ""
    shared: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class OfferKind(Generic[T]):
    """A kind of offer that a plugin takes from others (`Plugin.defines`), who bring theirs to the hook `switchgear_offers`.

    name      the plural: `exporters`; nobody else may define it. That of a hook which the kernel itself has no use for, as
              `scorers`, says that this plugin has; several may
    contract  what the factories make; they are called with settings of the offer's `settings_type`
    summary   one line for people
    """

    name: str
    contract: type[T]
    summary: str = ""
