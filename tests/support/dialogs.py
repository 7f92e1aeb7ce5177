"""Dialogs as clients hold them."""

import json
from typing import Any

import httpx

from support.gateway import Running


class Client:
    """Somebody with a key of their own."""

    def __init__(self, run: Running, id: str, secret: str) -> None:
        self.run = run
        self.key_id = id
        self.headers = {"authorization": f"Bearer {secret}"}

    @classmethod
    async def new(cls, run: Running, **members: Any) -> "Client":
        """Make a key."""
        return cls(run, *await run.new_key(**members))

    async def ask(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        """Send a request below /v1/dialogs."""
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.run.http.request(method, f"/v1/dialogs{path}", json=json, headers=sent)

    async def begin(self, model: str = "m", **members: Any) -> str:
        """Begin a dialog; return its id."""
        answer = await self.ask("POST", "", {"model": model, **members})
        assert 201 == answer.status_code, answer.text
        return str(answer.json()["id"])

    async def say(self, id: str, content: Any = "hi", **members: Any) -> httpx.Response:
        """Say something in a dialog."""
        return await self.ask("POST", f"/{id}/messages", {"content": content, **members})

    async def read(self, id: str, query: str = "") -> dict[str, Any]:
        """Return a dialog with its messages."""
        answer = await self.ask("GET", f"/{id}{query}")
        assert 200 == answer.status_code, answer.text
        return dict(answer.json())

    async def texts(self, id: str) -> list[str]:
        """Return who said what."""
        found = (await self.read(id, "?limit=500"))["messages"]
        return [f"{it['message']['role']}: {it['message']['content']}" for it in found]


def chunks(body: str) -> list[Any]:
    """Return the chunks of a stream, and its end as text."""
    lines = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
