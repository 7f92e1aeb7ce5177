from typing import Annotated

from msgspec import Meta, Struct


class WorkflowsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of runs.

    keep_days     how long runs are listed
    keep_content  whether with the inputs and outputs of their steps, each up to 16 KiB: that is the content of calls
    """

    keep_days: Annotated[int, Meta(ge=1)] = 30
    keep_content: bool = True
