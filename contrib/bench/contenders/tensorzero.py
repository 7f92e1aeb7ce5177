"""TensorZero (Rust), bare: the gateway that its Python client carries in its wheel, without observability storage.

The client starts it on a port of its own choice and then does nothing, so Python costs no request anything.
"""

import sys
from pathlib import Path

from contenders.base import Contender, Launch, Options, Target, run

REQUIREMENT = "tensorzero==2026.6.0"
CONFIG = """
[gateway]
observability.enabled = false

[models.bench]
routing = ["upstream"]

[models.bench.providers.upstream]
type = "openai"
model_name = "gpt-4o-mini"
api_base = "{upstream}/v1/"
api_key_location = "none"
"""
START = """
import signal, sys, openai, tensorzero
client = openai.OpenAI(api_key="none")
tensorzero.patch_openai_client(client, config_file=sys.argv[1], async_setup=False)
print("listening at", client.base_url, flush=True)
signal.pause()
"""


class TensorZero(Contender):
    name = "tensorzero"

    def install(self, home: Path) -> None:
        run([sys.executable, "-m", "venv", str(home / "venv")])
        run([str(home / "venv/bin/pip"), "install", "-q", "--only-binary", ":all:", REQUIREMENT, "openai"])

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        config = home / "tensorzero.toml"
        config.write_text(CONFIG.format(upstream=upstream))
        argv = [str(home / "venv/bin/python"), "-c", START, str(config)]
        return Launch(argv, ready="", port=r"listening at http://[^:]+:(\d+)")

    def provision(self, url: str, upstream: str) -> Target:
        return Target("tensorzero::model_name::bench", path="/openai/v1/chat/completions")


def make(options: Options) -> Contender:
    return TensorZero()
