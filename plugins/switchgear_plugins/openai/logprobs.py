"""Log probabilities of tokens, as chat completions have them, for the two endpoints that show them in another shape."""

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.provider import ProviderFault
from switchgear_plugins.openai.frames import NULL


class TopLogprob(Struct):
    """A token that might have stood here."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(Struct):
    """A token that was said, and what else might have been."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] | None = None


class _Logprobs(Struct):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


_decoder = msgspec.json.Decoder(_Logprobs | None)


def read_logprobs(raw: Raw) -> list[TokenLogprob]:
    """Decode the `logprobs` of a choice; empty if there are none. Raises `ProviderFault` (`protocol`)."""
    if raw == NULL:
        return []
    try:
        found = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise ProviderFault("protocol", 200) from None
    return [] if found is None else found.content or found.refusal or []
