from typing import Annotated, Literal

from msgspec import Meta, Struct


class SqliteSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the file is and what a commit survives.

    `path` defaults to `switchgear.db` in the data directory. `durability`: after `process`, a commit survives the death of
    the process; after `full`, the loss of power too, at the cost of a disk flush for each. `readers` bounds concurrent reads.
    """

    path: str | None = None
    durability: Literal["process", "full"] = "process"
    readers: Annotated[int, Meta(ge=1, le=64)] = 4
