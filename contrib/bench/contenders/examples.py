"""The gateway beside every example plugin of `contrib/examples/`, where nothing uses them: no policy is attached to anything.

Those whose policy takes part in every call wherever it is switched on (`[tool.bench] everywhere`) are installed, and off.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from trees import OWN, declare

from contenders.base import Contender, Launch, Options, Unavailable
from contenders.switchgear import Switchgear

FOLDER = OWN / "contrib/examples"


class Examples(Switchgear):
    name = "examples"
    unattached = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._folders = self.chosen()
        self._plugins: list[str] = []
        self._off: set[str] = set()

    def chosen(self) -> list[Path]:
        """Return the folders of the distributions that take part."""
        return sorted(file.parent for file in FOLDER.glob("*/pyproject.toml"))

    def install(self, home: Path) -> None:
        if not self._folders:
            raise Unavailable(f"no example plugin in {FOLDER.relative_to(OWN)}")
        for folder in self._folders:
            plugins = declare(folder, home / "examples")
            self._plugins += plugins
            if self.unattached and asked(folder).get("everywhere"):
                self._off.update(plugins)
        super().install(home)

    def _config(self, config: dict[str, Any]) -> dict[str, Any]:
        config = super()._config(config)
        for name in self._plugins:
            config["plugins"].setdefault(name, {})["enabled"] = name not in self._off
        for folder in self._folders:
            for name, settings in asked(folder).get("settings", {}).items():
                config["plugins"][name] |= settings
        return config

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        found = super().launch(port, upstream, home)
        path = [str(home / "examples"), *map(str, self._folders), found.env["PYTHONPATH"]]
        return Launch(found.argv, ready=found.ready, env={**found.env, "PYTHONPATH": os.pathsep.join(path)})


def asked(folder: Path) -> dict[str, Any]:
    """Return what an example asks of the bench: `[tool.bench]` of its pyproject.toml, see README.md."""
    found: dict[str, Any] = (
        tomllib.loads(folder.joinpath("pyproject.toml").read_text()).get("tool", {}).get("bench", {})
    )
    return found


def make(options: Options) -> Contender:
    return Examples(options)
