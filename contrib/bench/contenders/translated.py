"""The gateway in front of Anthropic's Messages: every answer and every event of a stream is translated."""

from contenders.base import Contender, Options
from contenders.switchgear import Switchgear


class Translated(Switchgear):
    name = "translated"
    sameness = "text"
    provider = "anthropic"
    base_path = ""


def make(options: Options) -> Contender:
    return Translated(options)
