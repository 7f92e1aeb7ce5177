from typing import Annotated

from msgspec import Meta, Struct

AtLeastOne = Annotated[int, Meta(ge=1)]


class TestCasesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How runs of test cases are made, and for how long their results are kept.

    keep_days    results, with the answers that were given
    concurrency  calls at once in one run
    most_calls   in one run: its cases times its variants
    timeout      seconds that one call may take
    """

    keep_days: AtLeastOne = 365
    concurrency: AtLeastOne = 4
    most_calls: AtLeastOne = 2000
    timeout: Annotated[float, Meta(gt=0)] = 300.0
