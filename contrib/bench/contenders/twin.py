"""The ceiling once more under another name: how far its ratio is from 1.00 is the error of the bench."""

from contenders.base import Contender, Options
from contenders.ceiling import Ceiling


class Twin(Ceiling):
    name = "twin"


def make(options: Options) -> Contender:
    return Twin()
