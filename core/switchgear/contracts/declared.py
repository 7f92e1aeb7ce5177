"""Resources as they are kept outside of the store, in files under version control: declared, compared, written at once."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import ResourceKind

ABSENT = "(absent)"


class Declared(Struct, frozen=True):
    """One resource as a file has it. `origin` is the file's name below what was asked for, `source` what was asked for."""

    kind: str
    id: str
    body: dict[str, Any]
    origin: str
    source: str


class FieldChange(Struct, frozen=True):
    """One field that differs: `before` or `after` is `(absent)` where there is no such member."""

    pointer: str
    before: Any
    after: Any


class Step(Struct, frozen=True):
    """What will happen to one resource, field by field; secrets are masked."""

    action: Literal["create", "update", "delete", "unchanged"]
    kind: str
    id: str
    origin: str
    changes: list[FieldChange] = []


class Planned(Protocol):
    """What will be written."""

    @property
    def steps(self) -> Sequence[Step]:
        """What will happen to each resource."""
        ...

    @property
    def once(self) -> dict[str, dict[str, Any]]:
        """What is shown once and never again (generated keys), by `kind/id`."""
        ...


class Exported(Struct, frozen=True):
    """Resources by kind, as they can be declared. `left_out` are the secrets that are not among them, as `kind/id/pointer`.

    `nulls` are fields that are null and would not be if they were left out, as (`kind/id`, field), for formats without null.
    """

    content: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    nulls: list[tuple[str, str]] = field(default_factory=list)


class Declarations(Protocol):
    """What is stored, compared with what is declared. `kinds` are those there are, by name.

    A resource that came from a source belongs to it: the API may read and not write it.
    """

    kinds: Mapping[str, ResourceKind[Any, Any]]

    async def plan(
        self, declared: Sequence[Declared], *, by: Principal, prune: bool = False, adopt: bool = False
    ) -> Planned:
        """Compare. Raises `ConfigError` naming the file and field of everything that would be refused.

        With `adopt`, resources that the API or other files own are taken over instead of refused; `prune` also deletes what
        belongs to the same sources and is no longer in them.
        """
        ...

    async def carry_out(self, planned: Planned, *, by: Principal) -> None:
        """Write a plan, all or nothing. Raises `Conflict` if something it rests on was changed since it was made."""
        ...

    async def export(self, kinds: Collection[str] | None = None) -> Exported:
        """Return resources as they can be declared; by default of all kinds but those that declaring would make anew, as keys."""
        ...
