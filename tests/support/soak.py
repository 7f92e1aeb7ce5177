"""How often a test does what it counts: often enough to find what is wrong, or as often as is promised.

SWITCHGEAR_SOAK=1 pytest -m soak    # 10,000 changes, 50,000 calls that are left, 500 kills: about an hour
"""

import os
from typing import TypeVar

T = TypeVar("T")

SOAK = os.environ.get("SWITCHGEAR_SOAK") == "1"


def usually(value: T, *, soak: T) -> T:
    """Return the value of the usual run, or that of a soak."""
    return soak if SOAK else value
