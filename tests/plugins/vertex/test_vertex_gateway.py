"""The provider inside a whole gateway, over real sockets, in front of a server that answers what was recorded."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.gateway import SQLITE, Running, running
from support.vertex import golden

BAD_KEY = (
    b'{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT",'
    b'"details":[{"reason":"API_KEY_INVALID"}]}}'
)


class Recorded(BaseHTTPRequestHandler):
    """Answers by the name of the model and the method it is asked by; `server.seen` are the requests."""

    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        if "broken" in self.path:
            self._answer(400, "application/json", BAD_KEY)
        elif "streamGenerateContent" in self.path:
            self._answer(200, "text/event-stream", golden("streams/text.sse"))
        elif "rawPredict" in self.path:
            self._answer(200, "application/json", golden("answers/claude.json"))
        else:
            self._answer(200, "application/json", golden("answers/text.json"))

    def _answer(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def google() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Recorded)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def provision(run: Running, google: Any) -> None:
    base = f"http://127.0.0.1:{google.server_port}"
    key = {"backend": "encrypted", "values": {"api_key": "AIza-1"}}
    await run.create("credentials", id="g", type="vertex", source=key)
    await run.create("providers", id="studio", type="vertex", base_url=base, credential_id="g")
    settings = {"project": "acme", "location": "eu"}
    await run.create("providers", id="cloud", type="vertex", base_url=base, credential_id="g", settings=settings)
    await run.create("models", id="m", provider_id="studio", provider_model="gemini-2.5-flash")
    await run.create("models", id="claude", provider_id="cloud", provider_model="claude-sonnet-4-5@20250929")
    await run.create("models", id="bad", provider_id="studio", provider_model="broken")


async def test_answers_streams_and_fails_through_the_gateway(tmp_path: Path, google: Any) -> None:
    async with running(tmp_path, store=f"{SQLITE}\nvertex = {{ enabled = true }}") as run:
        await provision(run, google)
        whole = await run.chat("hi")
        assert (200, "Héllo, wörld") == (whole.status_code, whole.json()["choices"][0]["message"]["content"])
        streamed = await run.chat("hi", stream=True)
        lines = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: ")]
        text = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines[:-1]]
        assert ("Héllo, wörld", "[DONE]") == ("".join(text), lines[-1])
        claude = await run.chat("hi", model="claude")
        assert "Héllo" == claude.json()["choices"][0]["message"]["content"]
        bad = await run.chat("hi", model="bad")
        assert bad.status_code >= 500
        assert "API key" not in bad.text
        paths = [path for path, _, _ in google.seen]
        cloud = "/v1/projects/acme/locations/eu/publishers/anthropic/models"
        assert [
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            f"{cloud}/claude-sonnet-4-5@20250929:rawPredict",
        ] == paths[:3]
        assert {"AIza-1"} == {headers["x-goog-api-key"] for _, headers, _ in google.seen}
        tokens = [record["input_tokens"] for record in await run.usage() if record["outcome"] == "complete"]
        assert [9, 11, 11] == sorted(tokens)


async def test_a_model_that_cannot_be_there_is_refused(tmp_path: Path, google: Any) -> None:
    async with running(tmp_path, store=f"{SQLITE}\nvertex = {{ enabled = true }}") as run:
        await provision(run, google)
        for name, problem in (("claude-sonnet-5", "Vertex"), ("a/b/c", "provider_model")):
            body = {"id": "x", "provider_id": "studio", "provider_model": name}
            answer = await run.admin.post("/models", json=body)
            assert answer.status_code == 422
            assert problem in answer.text
