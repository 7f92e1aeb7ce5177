"""The gateway with two policies that read what the client gets: the first two examples that say so (`[tool.bench] filter`)."""

from pathlib import Path

from contenders.base import Contender, Options, Target, Unavailable
from contenders.examples import Examples, asked


class Filtered(Examples):
    name = "filtered"
    sameness = "text"
    unattached = False

    def chosen(self) -> list[Path]:
        return [folder for folder in super().chosen() if asked(folder).get("filter")][:2]

    def install(self, home: Path) -> None:
        if len(self._folders) < 2:
            raise Unavailable(f"{len(self._folders)} of two examples with a filter are there")
        super().install(home)

    def provision(self, url: str, upstream: str) -> Target:
        target = super().provision(url, upstream)
        for folder in self._folders:
            for one in asked(folder).get("resources", ()):
                self._admin(url, one["kind"], one["body"])
        return target


def make(options: Options) -> Contender:
    return Filtered(options)
