"""Chats asked over the Responses wire: for models that answer there alone, or answer there what they refuse in a chat.

Wire: developers.openai.com/api/reference/resources/responses. The client's side is canonical, as everywhere: a chat goes in,
a completion or its chunks come out. Nothing is kept at the provider (`store` is false unless the client says otherwise).
"""

from switchgear.wire.responses_out.answer import is_response, tell_answer
from switchgear.wire.responses_out.request import to_responses
from switchgear.wire.responses_out.stream import EitherDecoder, ToldDecoder

__all__ = ["EitherDecoder", "ToldDecoder", "is_response", "tell_answer", "to_responses"]
