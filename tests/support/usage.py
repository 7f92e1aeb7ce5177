"""Usage as goldens write it: the vendor's totals, and what of them are parts."""

from collections.abc import Mapping

from switchgear.contracts.usage import Usage

_UNITS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_input_tokens": "cached_input",
    "cache_write_tokens": "cache_write",
    "reasoning_tokens": "reasoning",
}


def usage_of(members: Mapping[str, int]) -> Usage:
    """Return the usage that a golden's members say; one that they do not name is a unit."""
    usage = Usage.of(**{_UNITS.get(name, name): count for name, count in members.items()})
    assert usage is not None
    return usage
