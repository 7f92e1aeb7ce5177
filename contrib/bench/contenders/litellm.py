"""LiteLLM's proxy, bare: no database, no key, one worker.

The version is exact because releases 1.82.7 and 1.82.8 were malicious: never install "the latest" of it. Wheels only, so
that nothing runs while installing, and an environment with a start-up hook of its own is refused.
"""

import sys
from pathlib import Path

from contenders.base import Contender, Launch, Options, Target, Unavailable, run

REQUIREMENT = "litellm[proxy]==1.106.6"
CONFIG = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}/v1", api_key: sk-bench}}
litellm_settings: {{telemetry: false}}
"""


class LiteLLM(Contender):
    name = "litellm"

    def install(self, home: Path) -> None:
        run([sys.executable, "-m", "venv", str(home / "venv")])
        run([str(home / "venv/bin/pip"), "install", "-q", "--only-binary", ":all:", REQUIREMENT])
        hooks = [path.name for path in home.glob("venv/lib/*/site-packages/*.pth") if "litellm" in path.name]
        if hooks:
            raise Unavailable(f"{REQUIREMENT} brings start-up hooks ({hooks}): not run")

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        config = home / "config.yaml"
        config.write_text(CONFIG.format(upstream=upstream))
        argv = [str(home / "venv/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        return Launch(argv, ready="/health/readiness", env=env)

    def provision(self, url: str, upstream: str) -> Target:
        return Target("gpt-4o-mini")


def make(options: Options) -> Contender:
    return LiteLLM()
