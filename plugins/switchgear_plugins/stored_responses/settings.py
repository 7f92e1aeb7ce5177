from typing import Annotated

from msgspec import Meta, Struct

AtLeastOne = Annotated[int, Meta(ge=1)]


class StoredResponsesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long responses are kept, and how many of them.

    days            since a conversation was last gone on with
    by_default      whether responses are kept of clients that do not say `store`
    most_per_owner  responses of one principal; the oldest go first
    bytes_per_owner what they may take, likewise
    most_bytes      of one response and its input: a larger one is not kept
    """

    days: AtLeastOne = 30
    by_default: bool = True
    most_per_owner: AtLeastOne = 1000
    bytes_per_owner: AtLeastOne = 64 * 1024 * 1024
    most_bytes: AtLeastOne = 16 * 1024 * 1024
