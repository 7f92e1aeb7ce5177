"""Append-only facts: usage, executions, audit, deliveries.

A plugin declares kinds of record (`switchgear_record_kinds`) and keeps records with `context.record`. A record is kept once it
is in the journal; from there it goes to the store, where it is queried and summed up, and to the record sinks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import msgspec
from msgspec import Struct

from switchgear.contracts.rollups import MOST_DIMENSIONS, MOST_MEASURES, Rollup
from switchgear.contracts.store import Aggregate, RecordQuery, RecordRow
from switchgear.telemetry.scrub import mask

MEMBERS = ".*"
"""What a dimension or measure ends in that stands for every member of one nested object: `labels.*`."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.\*)?")
_DIGEST = 12


@dataclass(frozen=True, slots=True)
class RecordKind:
    """A kind of record.

    name        `usage`; also the journal's and the store's word for it: lower-case letters, digits and `_`
    type        Struct of the body; its `id` tells records of one moment apart
    dimensions  members that may be filtered and grouped by; `labels.*` means every member of the object `labels`
    measures    integer members that may be summed, likewise
    keep_s      seconds that a record is kept in the store, None for ever
    rollups     sets of at most six dimensions, texts, by which a store may keep the sums of the first eight measures by the
                hour; by the day, where `day` stands before them
    """

    name: str
    type: type[Struct]
    dimensions: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    keep_s: int | None = None
    rollups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is not a name of records: lower-case letters, digits and `_`, at most 64")
        if self.keep_s is not None and self.keep_s <= 0:
            raise ValueError(f"`keep_s` of the records `{self.name}` is {self.keep_s}; it must be more than 0 seconds")
        sets = [set(by) - {"day"} for by in self.rollups]
        if any(not 0 < len(by) <= MOST_DIMENSIONS or not by <= set(self.dimensions) for by in sets):
            raise ValueError(
                f"`rollups` of the records `{self.name}` are of one to {MOST_DIMENSIONS} of its dimensions"
            )
        known = {field.encode_name for field in msgspec.structs.fields(self.type)}
        for member in (*self.dimensions, *self.measures):
            if _MEMBER.fullmatch(member) is None or member.removesuffix(MEMBERS) not in known:
                raise ValueError(f"the records `{self.name}` have no member {member!r} ({self.type.__name__})")

    def has_dimension(self, member: str) -> bool:
        """Say whether records may be filtered and grouped by a member, `labels.team` too."""
        parent, dot, name = member.partition(".")
        return member in self.dimensions or (bool(dot and name) and parent + MEMBERS in self.dimensions)


def rollups_of(kind: RecordKind) -> list[Rollup]:
    """Return the sums that a kind wants kept."""
    sums = kind.measures[:MOST_MEASURES]
    return [
        Rollup(kind.name, tuple(name for name in by if name != "day"), sums, 24 if "day" in by else 1)
        for by in kind.rollups
    ]


class Ledger(Protocol):
    """Where records become durable. `append` is the acknowledgement (see `switchgear.ledger`)."""

    @property
    def has_room(self) -> bool:
        """Whether another record can be kept; checked before anything is spent."""
        ...

    @property
    def durable(self) -> bool:
        """Whether `sync` must be awaited before an answer ends (`durability = "full"`)."""
        ...

    def append(self, kind: str, id: str, at_us: int, body: bytes) -> None:
        """Keep a record. Raises `JournalFull`, or `RecordRefused` for one that can never be kept."""
        ...

    async def sync(self) -> None:
        """Wait until what was appended is on disk."""
        ...


class Records(Protocol):
    """Records of every kind, to be read. What this process recorded before the call is among them."""

    async def scan(self, query: RecordQuery) -> list[RecordRow]:
        """As in `Store.scan`."""
        ...

    async def summarise(self, query: RecordQuery, by: Sequence[str], sums: Sequence[str]) -> list[Aggregate]:
        """As in `Store.summarise`."""
        ...


def shorten(text: str, most: int) -> str:
    """Return text of at most `most` characters: longer text is cut and ends in `~` and a hash of the whole.

    So a record stays small whatever a client sends, and two long texts stay two.
    """
    if len(text) <= most:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{text[: most - _DIGEST - 1]}~{digest}"


def without_keys(text: str) -> str:
    """Return text that a client made up without what looks like a key: some write it where a model's name should be."""
    return mask(text)


MOST_LABELS = 32
MOST_LABEL_NAME = 64
MOST_LABEL_TEXT = 256
_UNFIT = re.compile(r"[^a-z0-9_.-]")


def fit_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels as a record keeps them: the first 32, names of at most 64 characters a-z 0-9 _ . -, texts of at most 256.

    Other characters of a name become `_`; a name or text that is longer is cut and ends in a hash.
    """
    fitted: dict[str, str] = {}
    for name, text in labels.items():
        if len(fitted) == MOST_LABELS:
            break
        if name:
            fitted[shorten(_UNFIT.sub("_", name.lower()), MOST_LABEL_NAME).replace("~", "-")] = shorten(
                str(text), MOST_LABEL_TEXT
            )
    return fitted
