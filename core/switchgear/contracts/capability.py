"""What models can do, by name. The set is open: a plugin may ask for any name that a resource or a provider says.

name                          a model that has it
chat, embeddings              answers this operation
stream                        is asked for a stream; else the gateway asks for a whole answer and tells it as a stream
tools, vision, json_schema    takes function tools, images in messages, a schema for its answer; of one that has not, a request
that needs it is refused
reasoning                     thinks when told how hard (`reasoning_effort`); of one that has not, the member is dropped
prefill                       goes on with an assistant message that ends the conversation
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

CHAT = "chat"
EMBEDDINGS = "embeddings"
STREAM = "stream"
TOOLS = "tools"
VISION = "vision"
JSON_SCHEMA = "json_schema"
REASONING = "reasoning"
PREFILL = "prefill"

Capability = Annotated[str, Meta(pattern="^[a-z0-9_]+$", max_length=64)]

ONLY_TEXT = frozenset({CHAT, STREAM})
"""What a model can do that does nothing but talk."""
USUAL = ONLY_TEXT | {TOOLS, VISION, JSON_SCHEMA, REASONING}
"""What a model of today can do, unless somebody says otherwise."""
ONLY_EMBEDDINGS = frozenset({EMBEDDINGS})
"""What a model can do that makes embeddings."""
NEEDED = frozenset({TOOLS, VISION, JSON_SCHEMA, REASONING})
"""What a request may need of a model that answers its operation."""


def but(able: frozenset[str], said: Mapping[str, bool]) -> frozenset[str]:
    """Return the capabilities of somebody who has these, but for what is said of some."""
    return able.difference(said) | {name for name, is_able in said.items() if is_able}


def usual(**said: bool) -> frozenset[str]:
    """Return what is usual, but for what is said of some: `usual(vision=False, prefill=True)`."""
    return but(USUAL, said)
