"""The gateway as an operator runs it: `switchgear serve`, provisioned over the admin API, with a key of its own.

It is the gateway of the checkout that this file is in, or of another one (`trees.py`). Plugins are those that its
`plugins.toml.example` enables, or `--plugins`. What the key carries besides access to every model is `--key`, a JSON
object; by default limits that are counted and never reached.
"""

import json
import secrets
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from trees import THIS, Tree

from contenders.base import Contender, Launch, Options, Target, Unavailable, call


class Switchgear(Contender):
    name = "switchgear"
    sameness = "events"
    provider = "openai"
    base_path = "/v1"

    def __init__(self, options: Options, tree: Tree = THIS) -> None:
        self._options = options
        self._tree = tree
        self._admin_key = secrets.token_urlsafe(24)

    def install(self, home: Path) -> None:
        try:
            config = self._config(tomllib.loads(self._tree.example(home)))
        except (ValueError, OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(str(error)) from error
        home.joinpath("plugins.toml").write_text(tomli_w.dumps(config))

    def _config(self, config: dict[str, Any]) -> dict[str, Any]:
        plugins = config.setdefault("plugins", {})
        if self._options.plugins:
            config["plugins"] = {name: {**plugins.get(name, {}), "enabled": True} for name in self._options.plugins}
        if not config["plugins"]:
            raise Unavailable("no plugin is enabled in plugins.toml.example; name them with --plugins")
        config.setdefault("gateway", {}).setdefault("egress", {})["allow"] = ["127.0.0.0/8"]
        return config

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        where = ["--config", str(home / "plugins.toml"), "--data-dir", str(home / "data")]
        argv = [*self._tree.command(), "serve", "--host", "127.0.0.1", "--port", str(port), *where]
        return Launch(argv, ready="/ready", env={**self._tree.env(home), "ADMIN_KEY": self._admin_key})

    def provision(self, url: str, upstream: str) -> Target:
        secret = {"backend": "encrypted", "values": {"api_key": "sk-bench"}}
        url_of = f"{upstream}{self.base_path}"
        provider = {"id": "bench", "type": self.provider, "base_url": url_of, "credential_id": "bench"}
        model = {"id": "gpt-4o-mini", "provider_id": "bench", "provider_model": "gpt-4o-mini"}
        key = {"name": "bench", "permissions": {"models": ["*"]}, **json.loads(self._options.key)}
        self.admin(url, "credentials", {"id": "bench", "type": self.provider, "source": secret})
        self.admin(url, "providers", provider)
        self.admin(url, "models", model)
        made = self.admin(url, "api-keys", key)
        return Target(model["id"], {"authorization": f"Bearer {made['key']}"})

    def admin(self, url: str, path: str, body: Any, *, method: str = "POST") -> Any:
        return call(url, method, f"/admin/v1/{path}", body, {"authorization": f"Bearer {self._admin_key}"})


class OfTree(Switchgear):
    """The gateway of another tree, under that tree's name."""

    def __init__(self, options: Options, tree: Tree) -> None:
        super().__init__(options, tree)
        self.name = tree.name


def make(options: Options) -> Contender:
    return Switchgear(options)
