"""A parser, a chunker, a scorer, a knowledge base and a step that are right, and what is wrong with others."""

import math
from typing import ClassVar

from switchgear.contracts.content import Chunk, Hit
from switchgear.testing.content_suite import (
    ChunkerSuite,
    KnowledgeBaseSuite,
    ParserSuite,
    ScorerSuite,
    WorkflowStepSuite,
)


class RightParser:
    media_types: ClassVar = frozenset({"text/plain"})

    def parse(self, data):
        return data.decode("utf-8"), {"bytes": len(data)}


class ListsTypes(RightParser):
    media_types: ClassVar = ["text/plain"]


class ShoutsTypes(RightParser):
    media_types: ClassVar = frozenset({"text/plain; charset=UTF-8"})


class ReturnsBytes(RightParser):
    def parse(self, data):
        return data, {}


class BreaksOverOddBytes(RightParser):
    def parse(self, data):
        if not data:
            raise KeyError("empty")
        return super().parse(data)


class LosesLines(RightParser):
    def parse(self, data):
        text, facts = super().parse(data)
        return text.partition("\n")[0], facts


class TestRightParser(ParserSuite):
    make: ClassVar = RightParser
    samples: ClassVar = ((b"Hello\nthere", "there"),)


class RightChunker:
    size = 40

    def chunk(self, text):
        cuts = range(0, len(text), self.size)
        return [Chunk(text[at : at + self.size], at, min(at + self.size, len(text))) for at in cuts]


class OffByOne(RightChunker):
    def chunk(self, text):
        return [Chunk(it.text, it.start, it.end + 1) for it in super().chunk(text)]


class LosesTheTail(RightChunker):
    def chunk(self, text):
        return super().chunk(text)[: len(text) // self.size]


class Strips(RightChunker):
    def chunk(self, text):
        return [Chunk(it.text.strip(), it.start, it.end) for it in super().chunk(text)]


class ChunksNothing(RightChunker):
    def chunk(self, text):
        return super().chunk(text) or [Chunk("", 0, 0)]


class TestRightChunker(ChunkerSuite):
    make: ClassVar = RightChunker


class RightScorer:
    async def score(self, query, document):
        wanted = {*query.lower().split()}
        return len(wanted & {*document.lower().split()}) / (len(wanted) or 1), "words in common"


class Percent(RightScorer):
    async def score(self, query, document):
        grade, reason = await super().score(query, document)
        return grade * 100, reason


class DividesByNothing(RightScorer):
    async def score(self, query, document):
        return len({*query.split()} & {*document.split()}) / len({*query.split()}), ""


class NoNumber(RightScorer):
    async def score(self, query, document):
        return math.nan, ""


class Distance(RightScorer):
    async def score(self, query, document):
        grade, reason = await super().score(query, document)
        return 1 - grade, reason


class TestRightScorer(ScorerSuite):
    make: ClassVar = RightScorer
    better: ClassVar = (("a cat", "A cat is an animal", "Bread is baked"),)


class RightBase:
    def __init__(self):
        self.sources = {}

    async def upsert(self, source, chunks, vectors):
        self.sources[source] = list(zip(chunks, vectors, strict=True))

    async def search(self, vector, *, top_k, threshold=0.0):
        found = [
            Hit(f"{source}/{n}", chunk.text, self.score(vector, own), chunk.metadata)
            for source, rows in self.sources.items()
            for n, (chunk, own) in enumerate(rows)
        ]
        return sorted((it for it in found if it.score >= threshold), key=lambda it: -it.score)[:top_k]

    def score(self, one, other):
        cosine = sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))
        return max(0.0, min(1.0, (1 + cosine) / 2))


class Appends(RightBase):
    async def upsert(self, source, chunks, vectors):
        self.sources.setdefault(source, []).extend(zip(chunks, vectors, strict=True))


class ReplacesAll(RightBase):
    async def upsert(self, source, chunks, vectors):
        self.sources.clear()
        await super().upsert(source, chunks, vectors)


class FarthestFirst(RightBase):
    async def search(self, vector, *, top_k, threshold=0.0):
        return (await super().search(vector, top_k=top_k, threshold=threshold))[::-1]


class Distances(RightBase):
    def score(self, one, other):
        return math.dist(one, other)


class ForgetsThreshold(RightBase):
    async def search(self, vector, *, top_k, threshold=0.0):
        return await super().search(vector, top_k=top_k)


class ForgetsTop(RightBase):
    async def search(self, vector, *, top_k, threshold=0.0):
        return await super().search(vector, top_k=1000, threshold=threshold)


class TestRightBase(KnowledgeBaseSuite):
    make: ClassVar = RightBase


class RightStep:
    async def run(self, inputs, at):
        yield {"progress": 0.5}
        yield {"output": inputs["text"].upper()}


class NoOutput(RightStep):
    async def run(self, inputs, at):
        yield {"progress": 0.5}


class ChangesInputs(RightStep):
    async def run(self, inputs, at):
        yield {"output": inputs.pop("text").upper()}


class Remembers(RightStep):
    runs = 0

    async def run(self, inputs, at):
        self.runs += 1
        yield {"output": self.runs}


class TestRightStep(WorkflowStepSuite):
    make: ClassVar = RightStep
    inputs: ClassVar = {"text": "hello"}


MUTANTS = (
    (TestRightParser, "make", (ListsTypes, ShoutsTypes, ReturnsBytes, BreaksOverOddBytes, LosesLines)),
    (TestRightChunker, "make", (OffByOne, LosesTheTail, Strips, ChunksNothing)),
    (TestRightScorer, "make", (Percent, DividesByNothing, NoNumber, Distance)),
    (TestRightBase, "make", (Appends, ReplacesAll, FarthestFirst, Distances, ForgetsThreshold, ForgetsTop)),
    (TestRightStep, "make", (NoOutput, ChangesInputs, Remembers)),
)
