"""What all attempts of one exchange have in common."""

import math

from msgspec import Struct

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange
from switchgear.exchange.continuation import Continuation
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch


class Inquiry(Struct, eq=False, gc=False):
    """An exchange that is being answered: what was asked, where the answer goes, who watches the time.

    `continuation` is set where a stream that breaks off is to be gone on with elsewhere.
    """

    x: Exchange
    endpoint: InferenceEndpoint
    reply: Reply
    watch: Watch
    continuation: Continuation | None = None

    def left_s(self, now: float) -> float:
        """Return how long the plan lets it take from a monotonic second on until there is content."""
        plan = self.x.plan
        return math.inf if plan is None or plan.seconds is None else self.x.began + plan.seconds - now
