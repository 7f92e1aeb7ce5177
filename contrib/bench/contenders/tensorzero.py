"""TensorZero (Rust), bare: the gateway that its Python wheel carries, without observability storage."""

import sys
from pathlib import Path

from contenders.base import Contender, Launch, Options, Target, Unavailable, run

REQUIREMENT = "tensorzero==2026.6.0"
CONFIG = """
[gateway]
bind_address = "127.0.0.1:{port}"
observability.enabled = false

[models.bench]
routing = ["upstream"]

[models.bench.providers.upstream]
type = "openai"
model_name = "gpt-4o-mini"
api_base = "{upstream}/v1/"
api_key_location = "none"
"""


class TensorZero(Contender):
    name = "tensorzero"

    def install(self, home: Path) -> None:
        run([sys.executable, "-m", "venv", str(home / "venv")])
        run([str(home / "venv/bin/pip"), "install", "-q", "--only-binary", ":all:", REQUIREMENT])
        if not self._binary(home):
            raise Unavailable(f"{REQUIREMENT} carries no gateway binary that can be started by itself")

    def _binary(self, home: Path) -> Path | None:
        found = [path for path in home.glob("venv/bin/*") if "gateway" in path.name]
        return found[0] if found else None

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        config = home / "tensorzero.toml"
        config.write_text(CONFIG.format(port=port, upstream=upstream))
        binary = self._binary(home)
        assert binary is not None
        return Launch([str(binary), "--config-file", str(config)], ready="/status")

    def provision(self, url: str, upstream: str) -> Target:
        return Target("tensorzero::model_name::bench", path="/openai/v1/chat/completions")


def make(options: Options) -> Contender:
    return TensorZero()
