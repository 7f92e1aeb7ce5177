import json
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from switchgear.contracts.usage import Pricing, Tier, Usage
from switchgear.errors import InvalidRequest
from switchgear.testing.price_suite import PriceBookSuite
from switchgear_plugins.prices import book as books
from switchgear_plugins.prices import syncing
from switchgear_plugins.prices.book import Book, Whole
from switchgear_plugins.prices.reprice import Recorded

FILE = Path(books.__file__).parent / "book.json"
NOW_US = 1_796_000_000_000_000
TODAY = "2026-11-30"


@pytest.fixture(scope="module")
def whole() -> Whole:
    return books.decode(FILE.read_bytes())


class TestShippedBook(PriceBookSuite):
    known: ClassVar = (
        ("openai", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06"),
        ("anthropic", "claude-3-5-haiku-20241022"),
        ("azure_openai", "gpt-4o"),
        ("vertex", "gemini-2.5-pro"),
    )

    def make(self) -> Book:
        return Book(FILE.read_bytes())


def test_the_book_is_whole_and_says_whose_it_is(whole: Whole) -> None:
    assert sum(books.counts(whole).values()) > 1000
    assert "MIT" in whole.notice
    assert (FILE.parent / "book.LICENSE").read_text().startswith("The MIT License")
    assert len(FILE.read_bytes()) < 400_000


def test_who_speaks_anothers_language_has_own_prices() -> None:
    book = Book(FILE.read_bytes())
    assert book.price("openai_compatible", "llama-3.3-70b-versatile", NOW_US, "api.groq.com") is not None
    assert book.price("openai_compatible", "gpt-4o", NOW_US, "llm.example.com") is None
    assert book.price("openai", "gpt-4o", NOW_US, "llm.example.com") is None, "it only speaks as OpenAI does"
    assert book.price("openai", "gpt-4o", NOW_US, "api.openai.com") == book.price("openai", "gpt-4o", NOW_US, None)


def test_longer_calls_and_other_services_cost_otherwise() -> None:
    book = Book(FILE.read_bytes())
    pricing = book.price("vertex", "gemini-2.5-pro", NOW_US, None)
    assert pricing is not None
    [tier] = pricing.tiers
    assert 200_000 == tier.above
    short, long = (pricing.cost(Usage.plain(read, 1_000_000)) for read in (200_000, 200_001))
    assert (200_000 * pricing.units["input"] // 10**6 + pricing.units["output"]) == short
    assert long is not None
    assert short is not None
    assert long > 1.4 * short
    assert pricing.dearest("output") == tier.units["output"]
    gpt = book.price("openai", "gpt-4o", NOW_US, None)
    assert gpt is not None
    assert gpt.serving("priority").units["input"] > gpt.units["input"]
    assert gpt.serving("auto") is gpt
    assert gpt.serving(None) is gpt


def test_a_price_is_that_of_its_day() -> None:
    data = json.dumps(
        {
            "source": "s",
            "date": TODAY,
            "providers": {
                "openai": {
                    "models": [
                        {
                            "id": "m",
                            "prices": [{"units": {"input": 1}}, {"units": {"input": 2}, "since": "2026-11-30"}],
                        }
                    ]
                }
            },
        }
    ).encode()
    book = Book(data)
    day = 86_400_000_000
    found = [book.price("openai", "M", at, None) for at in (NOW_US - day, NOW_US)]
    assert [1, 2] == [None if it is None else it.units["input"] for it in found]
    assert "s 2026-11-30" == (found[0] and found[0].version)


def test_tiers_replace_what_they_name() -> None:
    pricing = Pricing({"input": 10, "output": 20}, tiers=(Tier(100, {"input": 1_000_000}),))
    assert 0 == pricing.cost(Usage.plain(100, 10))
    assert 101 == pricing.cost(Usage.plain(101, 10))


COMMUNITY: dict[str, Any] = {
    "sample_spec": {"litellm_provider": "one of them", "input_cost_per_token": 0.0},
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_token_priority": 4.25e-06,
        "output_cost_per_token_priority": 1.7e-05,
        "supports_vision": True,
    },
    "gemini/gemini-2.5-pro": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1.25e-06,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "output_cost_per_token_above_200k_tokens": 1.5e-05,
    },
    "groq/llama-3.3-70b-versatile": {
        "litellm_provider": "groq",
        "input_cost_per_token": 5.9e-07,
        "output_cost_per_token": 7.9e-07,
    },
    "whisper-1": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
    "odd": {"litellm_provider": "openai", "input_cost_per_token": "free"},
    "unknown/m": {"litellm_provider": "unheard_of", "input_cost_per_token": 1.0},
}


def test_the_communitys_own_form_is_read() -> None:
    whole = syncing.read(json.dumps(COMMUNITY).encode(), TODAY)
    book = Book(books.encode(whole))
    gpt = book.price("openai", "gpt-4o", NOW_US, None)
    assert gpt is not None
    assert {"input": 2_500_000, "output": 10_000_000, "cached_input": 1_250_000} == gpt.units
    assert 17_000_000 == gpt.serving("priority").units["output"]
    gemini = book.price("vertex", "gemini-2.5-pro", NOW_US, None)
    assert gemini is not None
    assert (Tier(200_000, {"input": 2_500_000, "output": 15_000_000}),) == gemini.tiers
    assert book.price("openai_compatible", "llama-3.3-70b-versatile", NOW_US, "api.groq.com") is not None
    for nothing in ("whisper-1", "odd"):
        assert book.price("openai", nothing, NOW_US, None) is None
    assert {"openai", "google", "groq"} == set(book.providers)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"source": "s"}',
        b'{"source":"s","date":"2026-11-30","providers":{"a":{"models":[{"id":"m","prices":[]}]}}}',
        b'{"source":"s","date":"2026-11-30","providers":{"a":{"models":[{"id":"m","prices":[{"units":{"input":-1}}]}]}}}',
        b'{"source":"s","date":"2026-11-30","providers":{"a":{"models":[{"id":"m","prices":[{"units":{"input":1.5}}]}]}}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        syncing.read(data, TODAY)
    assert "broken_catalogue" == caught.value.code


def test_a_shrunken_catalogue_is_refused(whole: Whole) -> None:
    fewer = {
        name: msgspec.structs.replace(vendor, models=vendor.models[: len(vendor.models) // 2])
        for name, vendor in whole.providers.items()
    }
    without = {name: vendor for name, vendor in whole.providers.items() if name != "anthropic"}
    for providers in (fewer, without, {}):
        with pytest.raises(InvalidRequest) as caught:
            syncing.check(msgspec.structs.replace(whole, providers=providers), whole)
        assert "shrunken_catalogue" == caught.value.code
    with pytest.raises(InvalidRequest, match="openai"):
        syncing.check(syncing.read(json.dumps(COMMUNITY).encode(), TODAY), whole)
    syncing.check(whole, whole)


def test_a_price_a_thousand_times_higher_is_refused(whole: Whole) -> None:
    openai = whole.providers["openai"]
    [first, *rest] = openai.models
    dated = msgspec.structs.replace(first.prices[-1], units={it: 1000 * v for it, v in first.prices[-1].units.items()})
    dearer = msgspec.structs.replace(openai, models=(msgspec.structs.replace(first, prices=(dated,)), *rest))
    with pytest.raises(InvalidRequest, match=first.id):
        syncing.check(msgspec.structs.replace(whole, providers={**whole.providers, "openai": dearer}), whole)


@pytest.mark.parametrize(
    "units",
    [
        {"input": 10, "output": 5},
        {"input": 10, "cached_input": 4, "output": 5, "reasoning": 3},
        {"input": 10, "cache_write_1h": 7, "audio_input": 2, "output": 5},
        {"cached_input": 4, "output": 5, "audio_output": 1, "image": 2},
    ],
)
def test_a_record_tells_what_was_consumed(units: dict[str, int]) -> None:
    usage = Usage(units)
    told = {"input", "output", "cached_input", "cache_write", "reasoning"}
    record = Recorded(
        "x",
        1,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        units={unit: count for unit, count in units.items() if unit not in told},
    )
    assert usage == record.usage()
