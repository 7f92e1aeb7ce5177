from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]


class WebhooksSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How events are delivered. Times are seconds.

    timeout        of a receiver, for one delivery
    at_once        deliveries to one receiver at the same time, in this process
    retry          until the second try; twice as long each time after, up to `retry_most`, of which a random half is left out
    keep_days      how long deliveries that have ended are listed
    expiring_days  how long before it ends a key is said to be expiring
    """

    timeout: Seconds = 15.0
    at_once: Annotated[int, Meta(ge=1)] = 4
    retry: Seconds = 5.0
    retry_most: Seconds = 21_600.0
    keep_days: Annotated[int, Meta(ge=1)] = 30
    expiring_days: Annotated[int, Meta(ge=1)] = 7
