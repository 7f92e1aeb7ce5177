"""What faces of most wires have alike."""

from collections.abc import Mapping
from typing import Any, ClassVar

from switchgear.contracts.conversation import Face, Sampling
from switchgear.contracts.provider import Call
from switchgear.wire.faces.common import put, read_sampling, write_sampling
from switchgear.wire.faces.view import ConversationView


class BaseFace(Face):
    """A face whose wire has plain members for how the answer is made, and `metadata`.

    sampling  the members of a `Sampling` by what the wire calls them, the first name being the one that is written
    """

    takes_instructions: bool = True
    sampling: ClassVar[Mapping[str, tuple[str, ...]]]

    def view(self, call: Call) -> ConversationView:
        """Return the conversation as policies see it."""
        return ConversationView(call, self)

    def read_sampling(self, call: Call) -> Sampling:
        """Read how the answer is made."""
        return read_sampling(call, self.sampling)

    def write_sampling(self, call: Call, sampling: Sampling) -> None:
        """Write what is new."""
        write_sampling(call, sampling, self.sampling)

    def read_metadata(self, call: Call) -> Mapping[str, Any]:
        """Read `metadata`."""
        return call.member("metadata", dict[str, Any]) or {}

    def write_metadata(self, call: Call, metadata: Mapping[str, Any]) -> None:
        """Write it."""
        put(call, "metadata", dict(metadata) or None)
