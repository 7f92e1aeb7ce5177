"""What is measured: the loads, and the figures they give."""

from typing import Literal

import msgspec

Kind = Literal["plain", "stream", "paced", "large", "ttft", "slow"]
KINDS: tuple[Kind, ...] = ("plain", "stream", "paced", "large", "ttft", "slow")
STREAMED: tuple[Kind, ...] = ("stream", "ttft", "slow")


class Load(msgspec.Struct, frozen=True):
    """How hard to ask, and for what. Bounded by a time that the caller chooses.

    With `pause_ms` each connection waits half to one and a half of that between requests. `size` is that of the prompt in
    bytes (0: two short messages); with `every_ms` the events of a stream come that far apart.
    """

    connections: int
    stream: bool = False
    pause_ms: int = 0
    size: int = 0
    every_ms: int = 0


LOADS: dict[Kind, Load] = {
    "plain": Load(connections=64),
    "stream": Load(connections=16, stream=True),
    "paced": Load(connections=8, pause_ms=8),  # about 1,000 requests/s: latency, not a queue
    "large": Load(connections=8, size=300_000),
    "ttft": Load(connections=64, stream=True, every_ms=20),  # a stream a second each: latency again
    "slow": Load(connections=512, stream=True, every_ms=100),
}
MANY_LARGE = Load(connections=64, size=300_000)


class Figure(msgspec.Struct, frozen=True):
    """One figure of one load. A rate is better the more, a cost the less; of what is `added` the upstream's own is taken off."""

    name: str
    kind: Kind
    sort: Literal["rate", "cost", "added", "plain"]
    title: str
    form: str = "{:,.0f}"


FIGURES: tuple[Figure, ...] = (
    Figure("requests_s", "plain", "rate", "requests/s"),
    Figure("cpu_us_request", "plain", "cost", "CPU us/request"),
    Figure("streams_s", "stream", "rate", "streams/s"),
    Figure("cpu_us_stream", "stream", "cost", "CPU us/stream"),
    Figure("p50_us", "paced", "added", "added p50 ms", "{:.2f}"),
    Figure("p99_us", "paced", "added", "added p99 ms", "{:.2f}"),
    Figure("large_s", "large", "rate", "300 KB prompts/s"),
    Figure("cpu_us_large", "large", "cost", "CPU us/300 KB prompt"),
    Figure("ttft_p50_us", "ttft", "added", "added TTFT p50 ms, 64 streams", "{:.2f}"),
    Figure("ttft_p99_us", "ttft", "added", "added TTFT p99 ms, 64 streams", "{:.2f}"),
    Figure("cpu_us_event", "slow", "cost", "CPU us/event, 512 slow streams", "{:,.1f}"),
    Figure("slow_core_percent", "slow", "plain", "per cent of a core for them"),
    Figure("slow_ttft_p99_ms", "slow", "plain", "TTFT p99 ms, 512 slow streams", "{:,.1f}"),
)
