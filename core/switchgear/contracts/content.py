"""Extension points of knowledge bases and workflows. Those of knowledge bases are provisional: the registry collects them for
plugins that take them (`OfferKind`), and their shape is settled with the first that does.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.resource import Snapshot


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


class FoundIn(Protocol):
    """A knowledge base as steps of workflows search it: the live object of a resource of the kind `knowledge-bases`."""

    async def find(
        self, query: str, *, top_k: int, threshold: float, filter: Mapping[str, Any], at: "StepRun"
    ) -> Sequence[Hit]:
        """Return what answers a query best, best first. What it has called, it has called `at` the run."""
        ...


class StepRun(Protocol):
    """One run of a step, as it sees it: on whose behalf, and what it may have done."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of the run."""
        ...

    async def call(self, operation: str, body: Mapping[str, Any], *, model: str) -> InsideAnswer:
        """Have a model called (`Context.call`) in the name of whoever runs the workflow; what it costs is the step's."""
        ...

    async def steps(self, steps: Sequence[Any], *, item: Any = None, index: int | None = None) -> Any:
        """Run steps that stand in the settings of this one, in order; return the output of the last.

        They see what this step sees, and `${item}` and `${index}`. Raises the `ApiError` of one that fails.
        """
        ...


class WorkflowStep(Protocol):
    """One type of workflow step. A factory makes one from the `settings` that stand in the workflow, which hold no references.

    Steps may say besides what `inputs_type` theirs are: a Struct with `forbid_unknown_fields`, by which inputs without references
    are checked when a workflow is written. One that reaches out by itself, and not only by `at`, says `reaches_out = True`: it is
    not run where a workflow is tried with nobody being called.
    """

    def run(self, inputs: Mapping[str, Any], at: StepRun) -> AsyncIterator[Mapping[str, Any]]:
        """Run, yielding events; the last one holds the `output`.

        In `inputs` references are resolved. The last event may also hold `go_to`, the name of the step to go on with, or `end`,
        that the workflow ends with this output. Raises `ApiError`, and ValueError for inputs that it cannot take.
        """
        ...
