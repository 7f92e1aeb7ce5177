"""Merge patch (RFC 7396) and its opposite, a field-by-field difference."""

from collections.abc import Iterator
from typing import Any

from switchgear import json_paths as paths
from switchgear.contracts.declared import ABSENT, FieldChange


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` laid over it: null removes, objects merge, everything else replaces. Changes neither."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def difference(before: Any, after: Any) -> list[FieldChange]:
    """List the fields that differ, in the order of `before` and then of `after`; lists are compared whole."""
    return list(_difference(before, after, ()))


def _difference(before: Any, after: Any, spot: paths.Spot) -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _difference(before.get(name, ABSENT), after.get(name, ABSENT), (*spot, name))
    elif before != after or type(before) is not type(after):
        yield FieldChange(paths.pointer(spot), before, after)
