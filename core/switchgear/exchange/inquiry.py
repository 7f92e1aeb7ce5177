"""What all attempts of one exchange have in common."""

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
