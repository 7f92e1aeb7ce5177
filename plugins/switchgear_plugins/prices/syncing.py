"""A new book in the place of one: looked through first, since wrong prices are worse than old ones."""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.errors import InvalidRequest
from switchgear_plugins.prices import community
from switchgear_plugins.prices.book import Whole, counts, decode

MOST_BYTES = 64 * 1024 * 1024
_LEAST_PART = 0.8
"""Of the models that there are, how many a new book must have."""
_LEAST_PART_OF_OTHERS = 0.25
_MAIN = ("openai", "anthropic", "google")
_MOST_CHANGE = 100
"""How many times dearer or cheaper a model may have become without anybody asking."""


def read(data: bytes, date: str) -> Whole:
    """Read a book in this gateway's own form, or the community's catalogue. Raises `InvalidRequest` saying what is wrong."""
    try:
        value = msgspec.json.decode(data)
        if community.looks_so(value):
            return community.read(value, date)
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"This is neither a price book nor the community's catalogue: {error}"
        raise InvalidRequest(message, code="broken_catalogue") from None


def check(new: Whole, old: Whole) -> None:
    """Raise `InvalidRequest` where a book has lost much of what there was, or has prices that cannot be."""
    before, now = counts(old), counts(new)
    least = _LEAST_PART
    if (
        new.source.partition(" ")[0] != old.source.partition(" ")[0]
    ):  # others know other providers, and more or fewer names
        least = _LEAST_PART_OF_OTHERS
        before = {name: count for name, count in before.items() if name in _MAIN}
        now = {name: count for name, count in now.items() if name in _MAIN}
    if sum(now.values()) < least * sum(before.values()) or any(
        before.get(name) and not now.get(name) for name in _MAIN
    ):
        message = (
            f"The new catalogue has {sum(now.values())} models of {', '.join(now) or 'nobody'} where there were"
            f" {sum(before.values())} of {', '.join(before)}: it is not taken."
        )
        raise InvalidRequest(message, code="shrunken_catalogue")
    odd = [
        name
        for name, was, is_ in _both(old, new)
        if was and is_ and not was / _MOST_CHANGE <= is_ <= was * _MOST_CHANGE
    ]
    if odd:
        message = f"Prices of {', '.join(odd[:5])} are more than {_MOST_CHANGE} times what they were: the catalogue is not taken."
        raise InvalidRequest(message, code="broken_catalogue")


def changes(new: Whole, old: Whole) -> Mapping[str, Any]:
    """Say what is another with a new book."""
    pairs = list(_both(old, new))
    return {
        "source": new.source,
        "date": new.date,
        "models": sum(counts(new).values()),
        "models_before": sum(counts(old).values()),
        "changed": [name for name, was, is_ in pairs if was != is_][:100],
    }


def _both(old: Whole, new: Whole) -> list[tuple[str, int | None, int | None]]:
    """Return what reading costs of the models that are in both."""
    found = []
    for provider, vendor in new.providers.items():
        if provider not in old.providers:
            continue
        was = {model.id: model.prices[-1].units.get("input") for model in old.providers[provider].models}
        found += [
            (f"{provider}/{model.id}", was[model.id], model.prices[-1].units.get("input"))
            for model in vendor.models
            if model.id in was
        ]
    return found
