"""Portkey's open-source gateway (Node), bare: provider and host come with each request's headers."""

from pathlib import Path

from contenders.base import Contender, Launch, Options, Target, Unavailable, run

PACKAGE = "@portkey-ai/gateway@1.15.2"


class Portkey(Contender):
    name = "portkey"
    streams = False  # this version answers 500 to every stream on Node 20 ("TypeError: immutable")

    def install(self, home: Path) -> None:
        run(["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE])
        if not self._server(home).exists():
            raise Unavailable(f"{PACKAGE} has no build/start-server.js")

    def _server(self, home: Path) -> Path:
        return home / "node_modules/@portkey-ai/gateway/build/start-server.js"

    def launch(self, port: int, upstream: str, home: Path) -> Launch:
        argv = ["node", str(self._server(home)), f"--port={port}", "--headless"]
        return Launch(argv, ready="/", env={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"})

    def provision(self, url: str, upstream: str) -> Target:
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{upstream}/v1",
            "authorization": "Bearer sk-bench",
        }
        return Target("gpt-4o-mini", headers)


def make(options: Options) -> Contender:
    return Portkey()
