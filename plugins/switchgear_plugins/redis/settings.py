from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=60)]


class RedisSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.redis].

    url        `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database number where they are needed
    prefix     what every key begins with; gateways of one prefix share their counters
    timeout    seconds an answer may take
    rest       seconds for which a Redis that did not answer is not asked again, but by one call
    """

    url: str
    prefix: Annotated[str, Meta(min_length=1, max_length=100)] = "{switchgear}:"
    timeout: Seconds = 0.08
    rest: Seconds = 1.0
