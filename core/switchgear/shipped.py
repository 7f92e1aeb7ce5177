"""Files that come with the distribution beside its code."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def shipped(name: str, in_checkout: str) -> Traversable:
    """Return a file or folder of the wheel, or that of the checkout this runs from."""
    packaged = resources.files("switchgear") / name
    if packaged.is_file() or packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / in_checkout
