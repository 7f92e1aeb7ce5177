"""What GigaChat calls its failures (developers.sber.ru/docs/ru/gigachat/api/errors-description).

By status:

    400  a malformed request; of the token's address: no RqUID, or a scope that is not the key's
    401  a token that has expired, or a key that is not one
    402  the tokens of the model are used up
    403  not allowed
    404  no such model
    413  more input than the model's window holds
    422  parameters that do not go together
    429  too many requests at once
    500  the service's own
"""

from contextlib import suppress

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import Head, ProviderFault
from switchgear.wire.chat import decode_fault
from switchgear.wire.members import BROKEN


class _Status(Struct):
    status: int | None = None


_decoder = msgspec.json.Decoder(_Status)


def classify(head: Head, body: bytes) -> ProviderFault:
    """Classify a failure: `{"status", "message"}`, also in an answer that began as a good one, or `{"code", "message"}` where
    tokens are given out.
    """
    status = head.status
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
        with suppress(*BROKEN):
            status = _decoder.decode(body).status or status
    fault = decode_fault(status, body, head)
    fault.status = head.status
    if head.status == 413:  # noqa: PLR2004 - the table above
        fault.cause = "context_length"
    return fault
