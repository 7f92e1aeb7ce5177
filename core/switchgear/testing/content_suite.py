"""What parsers, chunkers, scorers, knowledge bases and steps of workflows must do, as tests to inherit.

    class TestMine(ParserSuite):
        samples = ((b"<p>Hello</p>", "Hello"),)      # what it reads, and a text that must be in what it makes of it
        def make(self): return MyParser()

    class TestMine(ChunkerSuite):
        def make(self): return MyChunker(size=200)

    class TestMine(ScorerSuite):
        better = (("What is a cat?", "A cat is an animal.", "Bread is baked."),)     # query, good document, bad one
        def make(self): return MyScorer()

    class TestMine(KnowledgeBaseSuite):
        def make(self): return MyKnowledgeBase(dimensions=self.dimensions)

    class TestMine(WorkflowStepSuite):
        inputs = {"text": "hello"}
        def make(self): return MyStep()

`make` may be a coroutine. A test that cannot hold is overridden with a docstring that says why.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Mapping, Sequence
from copy import deepcopy
from random import Random
from typing import Any, ClassVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.contracts.content import Chunk, Chunker, KnowledgeBase, Parser, Scorer, StepRun, WorkflowStep
from switchgear.contracts.inside import InsideAnswer
from switchgear.contracts.resource import Snapshot
from switchgear.testing.counters_bench import given_by
from switchgear.testing.marks import asyncio_tests


class ParserSuite:
    """Bytes become a text and what is known of it, or a ValueError."""

    samples: ClassVar[Sequence[tuple[bytes, str]]]

    def make(self) -> Parser:
        """Make the parser under test."""
        raise AssertionError("override `make` to return the parser under test")

    def parse(self, data: bytes) -> str:
        """Parse; check the shape of what comes of it."""
        found = self.make().parse(data)
        assert isinstance(found, tuple), f"`parse` returns a text and what is known of it, not {found!r}"
        assert isinstance(found[0], str), f"`parse` returns a text, not {found[0]!r}"
        assert isinstance(found[1], Mapping), f"what is known of a text is a mapping, not {found[1]!r}"
        msgspec.json.encode(dict(found[1]))
        return found[0]

    def test_it_says_what_it_reads(self) -> None:
        types = self.make().media_types
        assert isinstance(types, frozenset), "`media_types` is a frozenset"
        assert types, "`media_types` is empty, so nobody would ask it"
        odd = [it for it in types if it != it.lower() or it.count("/") != 1 or ";" in it]
        assert not odd, f"media types are lower case, `type/subtype` and no more: {odd}"

    def test_it_reads_its_samples(self) -> None:
        assert self.samples, "give `samples` of what it reads"
        for data, text in self.samples:
            assert text in self.parse(data), f"{text!r} was lost"
            assert self.parse(data) == self.parse(data), "read again it is another text"

    def test_what_it_cannot_read_is_a_value_error(self) -> None:
        @settings(max_examples=100, deadline=None)
        @given(data=st.data())
        def read(data: Any) -> None:
            body = data.draw(st.binary(max_size=200))
            if data.draw(st.booleans()):
                sample, _ = data.draw(st.sampled_from(list(self.samples)))
                at = data.draw(st.integers(0, len(sample)))
                body = sample[:at] + body[:4] + sample[at + data.draw(st.integers(0, 8)) :]
            try:
                self.parse(body)
            except ValueError:
                return

        read()


class ChunkerSuite:
    """Every chunk is where it says it is, and together they have all that is said."""

    def make(self) -> Chunker:
        """Make the chunker under test."""
        raise AssertionError("override `make` to return the chunker under test")

    def test_every_chunk_is_a_piece_of_the_text_and_nothing_is_lost(self) -> None:
        words = st.sampled_from(["word", "a", "\n\n", ". ", "\u00e9\u00e9", "\U0001f600", " ", "x" * 300, "\t", "End."])

        @settings(max_examples=100, deadline=None)
        @given(text=st.lists(words, max_size=200).map(" ".join) | st.text(max_size=100))
        def cut(text: str) -> None:
            chunks = self.make().chunk(text)
            covered = [False] * len(text)
            last = -1
            for chunk in chunks:
                assert isinstance(chunk, Chunk), f"`chunk` returns `Chunk`s, not {chunk!r}"
                assert 0 <= chunk.start < chunk.end <= len(text), (
                    f"a chunk from {chunk.start} to {chunk.end} of {len(text)} characters"
                )
                assert text[chunk.start : chunk.end] == chunk.text, "a chunk's text is `text[start:end]`"
                assert chunk.start > last, "chunks are in the order of the text, and none begins where another does"
                last = chunk.start
                covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
            lost = [text[at] for at, is_in in enumerate(covered) if not is_in and not text[at].isspace()]
            assert not lost, f"{''.join(lost)[:60]!r} is in no chunk"

        cut()

    def test_it_cuts_a_text_alike_each_time(self) -> None:
        text = "One sentence. And another one.\n\n" * 50
        assert self.make().chunk(text) == self.make().chunk(text)
        assert self.make().chunk("") == [], "of nothing there is no chunk"


@asyncio_tests
class ScorerSuite:
    """Grades are from 0 to 1 and have reasons; what answers better has the better one."""

    better: ClassVar[Sequence[tuple[str, str, str]]] = ()

    def make(self) -> Scorer | Awaitable[Scorer]:
        """Make the scorer under test."""
        raise AssertionError("override `make` to return the scorer under test")

    async def score(self, scorer: Scorer, query: str, document: str) -> float:
        """Grade; check the shape of the grade."""
        assert inspect.iscoroutinefunction(scorer.score), "`score` is a coroutine"
        grade, reason = await scorer.score(query, document)
        assert isinstance(grade, float | int), f"a grade is a number, not {grade!r}"
        assert math.isfinite(grade), f"{grade} is no grade"
        assert 0 <= grade <= 1, f"a grade is from 0 to 1, and this is {grade}"
        assert isinstance(reason, str), "a grade comes with its reason, a text"
        return grade

    async def test_whatever_is_asked_has_a_grade(self) -> None:
        scorer = await given_by(self.make())
        texts = ("", " ", "What is it?", "\U0001f600", "a" * 20_000, "line\nline", '{"score": 5}')
        for query in texts:
            for document in texts:
                await self.score(scorer, query, document)

    async def test_what_answers_better_has_the_better_grade(self) -> None:
        assert self.better, "give `better`: a query, a document that answers it and one that does not"
        scorer = await given_by(self.make())
        for query, good, bad in self.better:
            assert await self.score(scorer, query, good) > await self.score(scorer, query, bad)


@asyncio_tests
class KnowledgeBaseSuite:
    """What was put in is found, the nearest first; what is put in again takes the place of what was there."""

    dimensions: ClassVar[int] = 8

    def make(self) -> KnowledgeBase | Awaitable[KnowledgeBase]:
        """Make an empty knowledge base for vectors of `dimensions` numbers."""
        raise AssertionError("override `make` to return the knowledge base under test")

    def axis(self, n: int, lean: float = 0.0) -> list[float]:
        """Return a vector along one axis, leaning to the next."""
        vector = [0.0] * self.dimensions
        vector[n % self.dimensions] = 1.0
        vector[(n + 1) % self.dimensions] = lean
        return vector

    async def put(self, base: KnowledgeBase, source: str, texts: Mapping[str, int]) -> None:
        """Replace a source by texts, each along an axis."""
        chunks = [Chunk(text, 0, len(text), {"source": source}) for text in texts]
        await base.upsert(source, chunks, [self.axis(n) for n in texts.values()])

    async def everything(self, base: KnowledgeBase) -> set[str]:
        """Return all texts that are found from somewhere."""
        hits = [await base.search(self.axis(n), top_k=1000) for n in range(self.dimensions)]
        return {hit.text for found in hits for hit in found}

    async def test_the_nearest_is_found_first(self) -> None:
        base = await given_by(self.make())
        await self.put(base, "s", {f"t{n}": n for n in range(self.dimensions)})
        for n in range(self.dimensions):
            hits = await base.search(self.axis(n, 0.5), top_k=3)
            assert f"t{n}" == hits[0].text, "the nearest comes first"
            assert len(hits) <= 3, "no more than `top_k` are found"
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True), "the best score comes first"
            assert all(0 <= score <= 1 for score in scores), f"scores are from 0 to 1, higher is better: {scores}"
            assert len({hit.id for hit in hits}) == len(hits), "each hit has an id of its own"
            assert {"source": "s"} == hits[0].metadata, "a hit has the metadata of its chunk"

    async def test_what_is_not_near_enough_is_not_found(self) -> None:
        base = await given_by(self.make())
        await self.put(base, "s", {f"t{n}": n for n in range(self.dimensions)})
        hits = await base.search(self.axis(0, 0.5), top_k=1000)
        threshold = (hits[0].score + hits[-1].score) / 2
        near = await base.search(self.axis(0, 0.5), top_k=1000, threshold=threshold)
        assert [hit.text for hit in hits if hit.score >= threshold] == [hit.text for hit in near]

    async def test_an_empty_one_finds_nothing(self) -> None:
        base = await given_by(self.make())
        assert [] == list(await base.search(self.axis(0), top_k=5))

    async def test_any_history_leaves_what_a_plain_model_has(self) -> None:
        for seed in range(5):
            base, chance = await given_by(self.make()), Random(seed)  # noqa: S311 - a replay must be predictable
            model: dict[str, set[str]] = {}
            for step in range(20):
                source = chance.choice("abc")
                texts = {f"{source}{step}-{n}": chance.randrange(self.dimensions) for n in range(chance.randrange(4))}
                await self.put(base, source, texts)
                model[source] = {*texts}
                assert {text for texts in model.values() for text in texts} == await self.everything(base), (
                    "`upsert` replaces everything of its source, and nothing of another"
                )

    async def test_of_two_at_once_one_is_there_whole(self) -> None:
        base = await given_by(self.make())
        both = [{f"{name}{n}": n for n in range(6)} for name in ("first", "second")]
        await asyncio.gather(*(self.put(base, "s", texts) for texts in both))
        assert await self.everything(base) in [{*texts} for texts in both], (
            "a source is replaced at once, or not at all"
        )


class _Nobody:
    """A run in which nothing can be called."""

    @property
    def snapshot(self) -> Snapshot:
        raise AssertionError("override `at` for a step that looks at resources")

    async def call(self, *_: Any, **__: Any) -> InsideAnswer:
        raise AssertionError("override `at` for a step that has models called")

    async def steps(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("override `at` for a step that runs others")


@asyncio_tests
class WorkflowStepSuite:
    """A step tells events, and what it made last."""

    inputs: ClassVar[Mapping[str, Any]]

    def make(self) -> WorkflowStep | Awaitable[WorkflowStep]:
        """Make the step under test."""
        raise AssertionError("override `make` to return the step under test")

    def at(self) -> StepRun:
        """Return what a run gives to the step. Override it for one that has models called."""
        return _Nobody()

    async def test_it_tells_events_and_ends_with_its_output(self) -> None:
        step, inputs = await given_by(self.make()), deepcopy(dict(self.inputs))
        events = [event async for event in step.run(inputs, self.at())]
        assert events, "a step tells at least one event: the last one holds the output"
        assert all(isinstance(event, Mapping) for event in events), "events are mappings"
        msgspec.json.encode([dict(event) for event in events])
        assert "output" in events[-1], "the last event holds `output`"
        assert self.inputs == inputs, "a step leaves its inputs as they are: others may get them too"

    async def test_it_runs_again_like_the_first_time(self) -> None:
        step = await given_by(self.make())
        first, again = [[event async for event in step.run(deepcopy(dict(self.inputs)), self.at())] for _ in range(2)]
        assert first == again, "what a step knows of one run belongs to that run"

    async def test_it_stops_when_nobody_listens(self) -> None:
        running: Any = (await given_by(self.make())).run(deepcopy(dict(self.inputs)), self.at())
        await anext(running)
        await running.aclose()
        assert [] == [event async for event in running], "a step that was closed tells nothing more"
