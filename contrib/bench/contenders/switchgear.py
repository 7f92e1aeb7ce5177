"""The gateway as an operator runs it: `switchgear serve`, provisioned over the admin API, with a key of its own.

Plugins are those that `plugins.toml.example` enables, or `--plugins`. What the key carries besides access to every model
(limits, budgets) is `--key`, a JSON object.
"""

import json
import secrets
import sys
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from contenders.base import Contender, Launch, Options, Target, Unavailable, call

EXAMPLE = Path(__file__).parents[3] / "plugins.toml.example"


class Switchgear(Contender):
    name = "switchgear"
    sameness = "events"
    provider = "openai"
    base_path = "/v1"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._admin_key = secrets.token_urlsafe(24)
        self._command = Path(sys.executable).with_name("switchgear")

    def install(self, home: Path) -> None:
        if not self._command.exists():
            raise Unavailable(f"{self._command} is not there: pip install -e . in this environment")
        config = self._config()
        if not config["plugins"]:
            raise Unavailable(f"no plugin is enabled in {EXAMPLE.name}; name them with --plugins")
        home.joinpath("plugins.toml").write_text(tomli_w.dumps(config))

    def _config(self) -> dict[str, Any]:
        config = tomllib.loads(EXAMPLE.read_text())
        plugins = config.setdefault("plugins", {})
        if self._options.plugins:
            config["plugins"] = {name: {**plugins.get(name, {}), "enabled": True} for name in self._options.plugins}
        config.setdefault("gateway", {}).setdefault("egress", {})["allow"] = ["127.0.0.0/8"]
        return config

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        where = ["--config", str(home / "plugins.toml"), "--data-dir", str(home / "data")]
        argv = [str(self._command), "serve", "--host", "127.0.0.1", "--port", str(port), *where]
        return Launch(argv, ready="/ready", env={"ADMIN_KEY": self._admin_key})

    def provision(self, url: str, upstream: str) -> Target:
        admin = {"authorization": f"Bearer {self._admin_key}"}
        secret = {"backend": "encrypted", "values": {"api_key": "sk-bench"}}
        url_of = f"{upstream}{self.base_path}"
        provider = {"id": "bench", "type": self.provider, "base_url": url_of, "credential_id": "bench"}
        model = {"id": "gpt-4o-mini", "provider_id": "bench", "provider_model": "gpt-4o-mini"}
        key = {"name": "bench", "permissions": {"models": ["*"]}, **json.loads(self._options.key)}
        call(url, "POST", "/admin/v1/credentials", {"id": "bench", "type": self.provider, "source": secret}, admin)
        call(url, "POST", "/admin/v1/providers", provider, admin)
        call(url, "POST", "/admin/v1/models", model, admin)
        made = call(url, "POST", "/admin/v1/api-keys", key, admin)
        return Target(model["id"], {"authorization": f"Bearer {made['key']}"})


def make(options: Options) -> Contender:
    return Switchgear(options)
