"""What may be in a body at all, before anybody asks what it means.

JSON parsers disagree about duplicate members, NaN, lone surrogates and endless numbers, databases about U+0000; what the
gateway stores reads the same everywhere, so all of these are refused.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from switchgear import json_paths as paths
from switchgear.contracts.resource import Problem
from switchgear.errors import InvalidRequest, ValidationFailed
from switchgear.rawjson import crowd

MAX_DEPTH = 64
MAX_PROBLEMS = 100
MAX_CONTAINERS = 5_000
MAX_ITEMS = 20_000
_LONG = 64 * 1024
"""Bytes up to which a body is taken apart whatever is in it."""
SEALED = "$sealed"
"""The member that marks a sealed secret in a stored spec; no client may write one."""


def parse_json(raw: bytes) -> Any:
    """Parse a request body. Raises `InvalidRequest` for what is not JSON, or not the same JSON to every reader."""
    if len(raw) > _LONG and (too_many := crowd(raw, MAX_CONTAINERS, MAX_ITEMS)) is not None:
        raise InvalidRequest(f"the body has more than {too_many}", code="too_many_items")
    try:
        return json.loads(
            raw.decode(),
            object_pairs_hook=_members,
            parse_constant=_constant,
            parse_float=_float,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest("the body is not UTF-8", code="malformed_json") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidRequest(f"the body is not JSON: {error.msg} at {where}", code="malformed_json") from error
    except RecursionError as error:
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels", code="malformed_json") from error
    except ValueError as error:  # int() refuses thousands of digits
        raise InvalidRequest("a number in the body is too long", code="malformed_json") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(double, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidRequest(f"the member {ascii(double)[:80]} is written twice in one object", code="malformed_json")
    return members


def _constant(word: str) -> NoReturn:
    raise InvalidRequest(f"{word} is not JSON", code="malformed_json")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidRequest("a number in the body is out of range", code="malformed_json")
    return number


def plain(body: Any) -> dict[str, Any]:
    """Return a deep copy of a body as plain JSON values. Raises `ValidationFailed` naming everything that cannot be stored."""
    problems: list[Problem] = []
    copy = _plain(body, (), problems)
    if not isinstance(body, Mapping):
        problems.insert(0, Problem("", "the body must be an object"))
    refuse(problems)
    return copy  # type: ignore[no-any-return]


def refuse(problems: list[Problem]) -> None:
    """Raise `ValidationFailed` if there is any problem."""
    if problems:
        errors = [(problem.pointer, problem.detail) for problem in problems[:MAX_PROBLEMS]]
        named = "; ".join(f"{pointer or 'the body'}: {detail}" for pointer, detail in errors[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""  # noqa: PLR2004 - enough for a sentence; `errors` has all
        raise ValidationFailed(named + more, errors)


def _plain(value: Any, spot: paths.Spot, problems: list[Problem]) -> Any:
    if len(spot) > MAX_DEPTH:
        problems.append(Problem(paths.pointer(spot), f"nested deeper than {MAX_DEPTH} levels"))
        return None
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str) or name == SEALED:
                problems.append(Problem(paths.pointer(spot), f"a member may not be named {ascii(name)[:80]}"))
            else:
                _check_text(name, spot, problems)
        return {name: _plain(item, (*spot, name), problems) for name, item in value.items() if isinstance(name, str)}
    if isinstance(value, list | tuple):
        return [_plain(item, (*spot, index), problems) for index, item in enumerate(value)]
    _check_scalar(value, spot, problems)
    return value


def _check_scalar(value: Any, spot: paths.Spot, problems: list[Problem]) -> None:
    detail = None
    if isinstance(value, str):
        _check_text(value, spot, problems)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            detail = "the number does not fit into 64 bits"
    elif isinstance(value, float):
        if not math.isfinite(value):
            detail = "must be a finite number"
    elif value is not None:
        detail = f"a {type(value).__name__} is not a JSON value; write it as a string"
    if detail:
        problems.append(Problem(paths.pointer(spot), detail))


def _check_text(text: str, spot: paths.Spot, problems: list[Problem]) -> None:
    if "\0" in text:
        problems.append(Problem(printable(paths.pointer(spot)), "U+0000 cannot be stored"))
    try:
        text.encode()
    except UnicodeEncodeError:
        problems.append(Problem(printable(paths.pointer(spot)), "half of a surrogate pair is not a character"))


def printable(text: str) -> str:
    """Make text that came from a client safe to encode."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
