"""The code in the guide: blocks whose first line names a file are files, and every one in Python can be parsed."""

import re
from pathlib import Path

from support.environments import CHECKOUT

DOCS = CHECKOUT / "contrib" / "docs"
CHAPTERS = DOCS / "plugins"
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_NAMED = re.compile(r"(?:#|//|--) ([\w./-]+\.\w+)\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of a page: language and text."""
    return _BLOCK.findall(page.read_text("utf-8"))


def files(page: Path) -> dict[str, str]:
    """Return the blocks that are files, by path."""
    found: dict[str, str] = {}
    for _, text in blocks(page):
        if (named := _NAMED.match(text)) is not None:
            assert named[1] not in found, f"{page.name} has {named[1]} twice"
            comment_is_none = named[1].endswith(".json")
            found[named[1]] = text[named.end() :] if comment_is_none else text
    return found


def write(page: Path, directory: Path) -> None:
    """Write the files of a page."""
    for name, text in files(page).items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
