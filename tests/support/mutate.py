"""Seeds of a corpus changed at random, and the same way each time: as bytes, and as the JSON that they are."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

_STRANGE: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**63, -(2**63) - 1, 1e308, "", " ", "\0", "\u2028", "é" * 300, "../..", "{{7*7}}",
    "' OR 1=1 --",
    "<script>", "data:;base64,*", "http://127.0.0.1", [], {}, [[]], [None], {"": None}, {"type": "x"}, [{"type": None}], "null",
]  # fmt: skip
_BYTES = [
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b'"',
    b"\\",
    b"\\u0000",
    b"{",
    b"[",
    b"}",
    b":",
    b",",
    b"%",
    b"\xed\xa0\x80",
    b"9" * 40,
]


def corpus(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their paths in it."""
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*.*"))}
    assert files, f"there is nothing in {folder}"
    return files


def mutations(seed: bytes, count: int, number: int) -> Iterator[bytes]:
    """Yield the seed and so many mutations of it; `number` tells one series of them from another."""
    yield seed
    dice = random.Random(number)
    try:
        tree = json.loads(seed)
        deepcopy(tree)
    except (ValueError, RecursionError):
        tree = None
    for turn in range(count):
        if isinstance(tree, dict) and turn % 3:
            yield json.dumps(_grown(tree, dice)).encode()
        else:
            yield _cut(seed, dice)


def _cut(seed: bytes, dice: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0:
                data[at : at + dice.randrange(1, 9)] = b""
            case 1:
                data[at:at] = dice.choice(_BYTES)
            case 2:
                data[at : at + 1] = dice.choice(_BYTES)
            case _:
                data[at:at] = data[at : at + dice.randrange(1, 40)] * dice.randrange(1, 4)
    return bytes(data)


def _grown(tree: Any, dice: random.Random) -> Any:
    changed = deepcopy(tree)
    for _ in range(dice.randint(1, 2)):
        places = list(_places(changed))
        if not places:
            break
        holder, name = dice.choice(places)
        match dice.randrange(5):
            case 0:
                del holder[name]
            case 1:
                holder[name] = [deepcopy(holder[name])]
            case 2:
                holder[name] = deepcopy(dice.choice(places)[0])
            case _:
                holder[name] = deepcopy(dice.choice(_STRANGE))
    return changed


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, dict | list):
        for name in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, name
            yield from _places(tree[name])
