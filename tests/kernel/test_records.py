"""Declaring kinds of record, what is kept of labels, and how old records leave."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from switchgear.contracts.record import RecordKind, fit_labels, shorten
from switchgear.contracts.store import RecordQuery, RecordRow, member_path
from switchgear.errors import RecordRefused
from switchgear.ledger.frames import pack
from switchgear.ledger.retention import STEP, Retention
from switchgear.testing.ambient import FixedAmbient
from switchgear_plugins.memory.store import MemoryStore


class Body(Struct):
    id: str
    model: str = ""
    tokens: int = 0
    labels: dict[str, str] = {}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("Usage", {}, "not a name"),
        ("", {}, "not a name"),
        ("a.b", {}, "not a name"),
        ("usage", {"keep_s": 0}, "more than 0"),
        ("usage", {"dimensions": ("modle",)}, "modle"),
        ("usage", {"measures": ("labels.cost",)}, "labels.cost"),
        ("usage", {"dimensions": ("lables.*",)}, "lables"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RecordKind(name, Body, **options)  # type: ignore[arg-type]


def test_members_of_a_nested_object_are_dimensions() -> None:
    kind = RecordKind("usage", Body, dimensions=("model", "labels.*"))
    assert all(map(kind.has_dimension, ("model", "labels.team", "labels.a.b")))
    assert not any(map(kind.has_dimension, ("tokens", "labels", "labels.", "model.x", "")))


@given(st.dictionaries(st.text(max_size=80), st.text(max_size=300), max_size=40))
def test_labels_fit_whatever_they_are(labels: dict[str, str]) -> None:
    fitted = fit_labels(labels)
    assert len(fitted) <= 32
    for name, text in fitted.items():
        assert 1 <= len(name) <= 64
        assert len(text) <= 256
        assert ("labels", name) == member_path(f"labels.{name}")


def test_labels_that_fit_stay_as_they_are() -> None:
    labels = {"team": "é", "a.b-c_1": "", "x" * 64: "y" * 256}
    assert labels == fit_labels(labels)


def test_a_text_that_is_cut_keeps_its_difference() -> None:
    assert "a" * 20 == shorten("a" * 20, 20)
    one, other = shorten("a" * 21, 20), shorten("a" * 22, 20)
    assert (20, 20) == (len(one), len(other))
    assert one != other


async def test_old_records_leave_a_few_at_a_time() -> None:
    store, ambient = MemoryStore(), FixedAmbient()
    await store.open()
    now = ambient.now_us()
    for kind in ("usage", "audit"):
        rows = [RecordRow(f"{n:05}", now - n * 1_000_000, b"{}") for n in range(3 * STEP)]
        await store.append(kind, rows)
    kinds = [RecordKind("usage", Body, keep_s=100), RecordKind("audit", Body)]
    assert 3 * STEP - 101 == await Retention(store, kinds, ambient).expire()
    assert 101 == len(await store.scan(RecordQuery("usage", limit=10_000)))
    assert 3 * STEP == len(await store.scan(RecordQuery("audit", limit=10_000)))


def test_what_can_never_be_kept_is_refused_at_once() -> None:
    with pytest.raises(RecordRefused):
        pack("usage", "i" * 256, 1, msgspec.json.encode(Body("i")))
