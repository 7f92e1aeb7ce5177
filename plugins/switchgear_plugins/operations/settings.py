from typing import Annotated

from msgspec import Meta, Struct

AtLeastOne = Annotated[int, Meta(ge=1)]


class OperationsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be done asynchronously, and within what bounds.

    paths         of endpoints that take `?async=true`
    concurrency   operations at once in this process; 0: none, this one only takes them
    keep_s        seconds for which one is remembered after its end, with its result
    patience_s    seconds after which one that has not ended fails: it may have waited for its limits for so long
    tries         how often one is begun that dies with its process
    most_pending  operations of one principal that have not ended
    most_bytes    of one request, and of one result
    """

    paths: tuple[str, ...] = (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/responses",
        "/v1/workflows/{id}/execute",
    )
    concurrency: Annotated[int, Meta(ge=0)] = 16
    keep_s: AtLeastOne = 86_400
    patience_s: AtLeastOne = 3600
    tries: AtLeastOne = 3
    most_pending: AtLeastOne = 1000
    most_bytes: AtLeastOne = 8 * 1024 * 1024
