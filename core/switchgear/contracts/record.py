"""Append-only facts: usage, executions, audit, deliveries."""

from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class RecordKind:
    """A kind of record.

    name        `usage`; also the journal's and the store's word for it
    type        Struct of the body; its `id` makes it idempotent
    dimensions  members that may be filtered and grouped by
    measures    integer members that may be summed
    """

    name: str
    type: type[Struct]
    dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
