"""What `[gateway.edge]` and `[gateway.overload]` in plugins.toml may say. Times are seconds, sizes bytes."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]


class EdgeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds of a client's connection.

    `head_timeout` runs from the connection's beginning, or from a later request's first byte, to the end of its headers.
    A body must bring `body_min_rate` bytes per second on average, and more the more of it is held. All bodies together are
    at most `held_bytes`, and those of one principal half of that. `write_timeout` is how long a reader may leave the write
    buffer full. `max_connections_per_peer` (None: no bound) counts an IPv6 /64 as one peer and leaves loopback alone; behind a
    reverse proxy every connection has the proxy's address. A message of a WebSocket has at most `message_bytes`; a client
    that gives no sign of life for `socket_idle`, though it is asked, is given up. A client of a stream gets one after each
    `sign_of_life` of silence; 0: never.
    """

    head_bytes: Bytes = 65_536
    head_timeout: Seconds = 10.0
    body_bytes: Bytes = 33_554_432
    body_min_rate: Bytes = 1024
    held_bytes: Bytes = 134_217_728
    keep_alive: Seconds = 75.0
    write_timeout: Seconds = 60.0
    max_connections: Count = 10_000
    max_connections_per_peer: Count | None = None
    message_bytes: Bytes = 1_048_576
    socket_idle: Seconds = 60.0
    sign_of_life: Annotated[float, Meta(ge=0)] = 15.0


class OverloadSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When new calls are refused with 503 `overloaded`: so many requests in flight in a process, or its loop so late.

    `max_lag` is how long whatever is ready may wait for its turn; beyond it fewer requests are let in until it is kept.
    """

    max_in_flight: Annotated[int, Meta(ge=32)] = 10_000
    max_lag: Seconds = 0.1
