"""What all attempts of one exchange have in common."""

import math

from msgspec import Raw, Struct, field

from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.exchange import Exchange, Step
from switchgear.exchange.continuation import Continuation
from switchgear.exchange.listener import Listener
from switchgear.exchange.reply import Reply
from switchgear.upstream.watch import Watch


class AttemptContext(Struct, eq=False):
    """An exchange that is being answered: what was asked, where the answer goes, what watches the time.

    step          the step that is tried, or was last
    continuation  set where a stream that breaks off is to be gone on with elsewhere
    racing        the exchanges of those that are asked at once, while they are
    listener      what policies see of the answer
    asked         the members of the call before the first target was asked, where there are several
    """

    x: Exchange
    endpoint: InferenceEndpoint
    reply: Reply
    watch: Watch
    step: Step
    continuation: Continuation | None = None
    racing: list[Exchange] = field(default_factory=list)
    listener: Listener | None = None
    asked: dict[str, Raw] | None = None

    def left_s(self, now: float) -> float:
        """Return how many seconds the plan leaves until the first token, at a monotonic second."""
        x = self.x
        if x.plan is None or x.plan.seconds is None or x.committed:
            return math.inf
        return max(x.began + x.plan.seconds - now, 0.0)

    def is_spent(self, now: float) -> bool:
        """Say whether the plan's own budget of attempts or seconds is used up."""
        x = self.x
        most = None if x.plan is None else x.plan.attempts
        if most is not None and len(x.attempts) + sum(len(it.attempts) for it in self.racing if it is not x) >= most:
            return True
        return not self.left_s(now)
