"""Extension points of knowledge bases and workflows. Provisional: the registry collects them for plugins that take them
(`OfferKind`), and their shape is settled with the first that does.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct


class Chunk(Struct, frozen=True):
    """A piece of a document: `start` and `end` are character offsets into its text."""

    text: str
    start: int
    end: int
    metadata: dict[str, Any] = {}


class Hit(Struct, frozen=True):
    """A search result; `score` is 0..1, higher is better, whatever the backend's distance."""

    id: str
    text: str
    score: float
    metadata: dict[str, Any] = {}


class KnowledgeBase(Protocol):
    """A searchable collection of chunks with vectors."""

    async def upsert(self, source: str, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None:
        """Replace everything of a source atomically."""
        ...

    async def search(self, vector: Sequence[float], *, top_k: int, threshold: float = 0.0) -> list[Hit]:
        """Return the nearest chunks, best first."""
        ...


class Parser(Protocol):
    """Turns bytes into text."""

    media_types: frozenset[str]

    def parse(self, data: bytes) -> tuple[str, Mapping[str, Any]]:
        """Return text and metadata. Raises ValueError for bytes it cannot read."""
        ...


class Chunker(Protocol):
    """Cuts text into chunks."""

    def chunk(self, text: str) -> list[Chunk]:
        """Cut. Every chunk's text is `text[start:end]`."""
        ...


class Scorer(Protocol):
    """Grades how well a document answers a query, 0..1, with a reason."""

    async def score(self, query: str, document: str) -> tuple[float, str]:
        """Grade one document."""
        ...


class WorkflowStep(Protocol):
    """One type of workflow step."""

    def run(self, inputs: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """Run, yielding events; the last one holds the output."""
        ...
