from typing import Annotated

from msgspec import Meta, Struct

AtLeastOne = Annotated[int, Meta(ge=1)]


class DialogsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long dialogs are kept, how large they may be, and what of them a model is told.

    days            since a dialog was last touched; None: until somebody deletes it
    most_per_owner  dialogs of one principal
    bytes_per_owner of all of them together
    most_messages   in one dialog
    most_bytes      of one dialog, with all its messages
    message_bytes   of what is sent at once
    context_tokens  what a model is told at most that does not say how long its context window is
    answer_tokens   room in it for the answer, where nobody bounds that
    summarise       whether what falls out of the context is summed up, where a dialog does not say so itself
    summary_model   the name of the model that does it; None: the dialog's own
    """

    days: AtLeastOne | None = None
    most_per_owner: AtLeastOne = 10_000
    bytes_per_owner: AtLeastOne = 1024 * 1024 * 1024
    most_messages: AtLeastOne = 5_000
    most_bytes: AtLeastOne = 32 * 1024 * 1024
    message_bytes: AtLeastOne = 8 * 1024 * 1024
    context_tokens: Annotated[int, Meta(ge=256)] = 32_768
    answer_tokens: AtLeastOne = 4_096
    summarise: bool = False
    summary_model: str | None = None
