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

from switchgear.contracts.provider import Head, ProviderFault
from switchgear.wire.chat import decode_fault


def classify(head: Head, body: bytes) -> ProviderFault:
    """Classify an answer that is not 2xx: `{"status", "message"}`, or `{"code", "message"}` where tokens are given out."""
    fault = decode_fault(head.status, body, head)
    if head.status == 413:  # noqa: PLR2004 - the table above
        fault.cause = "context_length"
    return fault
