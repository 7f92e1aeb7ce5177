"""What fits a contract is let through, however it is written; what cannot be called as it will be is not."""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from functools import partial, wraps
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from support.stubs import stub
from switchgear.conformance import unfit
from switchgear.contracts.content import KnowledgeBase, WorkflowStep
from switchgear.contracts.kernel import RecordSink, Task
from switchgear.contracts.principal import Authenticator


async def search(self, vector, *, top_k, threshold=0.0): ...


def wrapped(function):
    @wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


class Called:
    async def __call__(self, *args, **kwargs): ...


def promising(self, *args, **kwargs) -> Awaitable[Any]: ...


def plain(self, *args, **kwargs): ...


def yielding(self, *args, **kwargs):
    yield


async def streaming(self, inputs, at):
    yield inputs


def handing_on(self, inputs, at) -> AsyncIterator[Any]: ...


@pytest.mark.parametrize(
    ("contract", "name", "method"),
    [
        (KnowledgeBase, "search", search),
        (KnowledgeBase, "search", wrapped(search)),
        (KnowledgeBase, "search", partial(search, None)),
        (KnowledgeBase, "search", Called()),
        (KnowledgeBase, "search", promising),
        (KnowledgeBase, "search", lambda self, vector, **options: None),
        (WorkflowStep, "run", streaming),
        (WorkflowStep, "run", handing_on),
        (WorkflowStep, "run", plain),
        (Authenticator, "authenticate", plain),
        (Authenticator, "authenticate", promising),
        (Authenticator, "authenticate", len),
    ],
)
def test_a_method_that_can_be_called_fits(contract: Any, name: str, method: Any) -> None:
    assert [] == list(unfit(stub(contract, **{name: method}), contract))


@pytest.mark.parametrize(
    ("contract", "name", "method", "why"),
    [
        (KnowledgeBase, "search", plain, "`search` is awaited, and must be an `async def`"),
        (KnowledgeBase, "search", yielding, "`search` is awaited, and must be an `async def`"),
        (KnowledgeBase, "search", streaming, "`search` takes (inputs, at), and is called with (vector, *, top_k, threshold=0.0)"),
        (WorkflowStep, "run", Called.__call__, "`run` must `yield` from an `async def`, or return what does"),
        (WorkflowStep, "run", yielding, "`run` must `yield` from an `async def`, or return what does"),
        (Authenticator, "authenticate", streaming, "`authenticate` is not awaited, and must be a plain `def`"),
        (Authenticator, "authenticate", yielding, "`authenticate` must `return` its result, not `yield`"),
        (Authenticator, "authenticate", 5, "`authenticate` is 5, and must be a method"),
    ],
)  # fmt: skip
def test_a_method_that_cannot_is_told(contract: Any, name: str, method: Any, why: str) -> None:
    assert why in list(unfit(stub(contract, **{name: method}), contract))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (frozenset({"a"}), frozenset[str]),
        ({"a"}, frozenset[str]),
        (["a"], tuple[str, ...]),
        (1, float),
        (None, str | None),
        ({"a": 1}, Mapping[str, Any]),
        ("a", Literal["a", "b"]),
        ("a", Annotated[str, Meta(min_length=1)]),
        (b"", Sequence[int] | bytes),
        (RecordSink, type[Any]),
    ],
)
def test_a_constant_of_its_type_fits(value: Any, wanted: Any) -> None:
    assert [] == list(unfit(value, wanted))


@pytest.mark.parametrize(
    ("value", "wanted", "why"),
    [
        ("a", frozenset[str], "it is 'a', and must be a `frozenset[str]`"),
        (("a", 1), tuple[str, ...], "`[1]` is 1, and must be a `str`"),
        (True, int, "it is True, and must be an `int`"),
        (5, str | None, "it is 5, and must be a `str | None`"),
        ({"a": 1}, Mapping[str, str], "`['a']` is 1, and must be a `str`"),
        ("c", Literal["a", "b"], "it is 'c', and must be one of 'a', 'b'"),
        (dict, type[Task], "it is `dict`, and must be a `type[Task]`"),
    ],
)
def test_a_constant_of_another_type_is_told(value: Any, wanted: Any, why: str) -> None:
    assert [why] == list(unfit(value, wanted))


def test_a_property_that_raises_is_told() -> None:
    sink = stub(RecordSink, kinds=property(lambda self: 1 / 0))
    assert ["`kinds` raises ZeroDivisionError: division by zero"] == list(unfit(sink, RecordSink))
