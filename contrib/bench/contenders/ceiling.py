"""The ceiling: `ceiling_app.py`, which forwards and does nothing else. Everything is measured as a share of it."""

import sys
from pathlib import Path

from contenders.base import Contender, Launch, Options

APP = Path(__file__).parents[1] / "ceiling_app.py"


class Ceiling(Contender):
    name = "ceiling"
    sameness = "bytes"

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        return Launch([sys.executable, str(APP), str(port), upstream], ready="/live")


def make(options: Options) -> Contender:
    return Ceiling()
