"""Runs the matrix: one whole gateway, one upstream, every provider by every dialect by every case, streamed and not."""

import asyncio
import base64
import json
import re
import struct
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct, field

from matrix.clients import CLIENTS, Body, Client, Seen
from matrix.golden import exchange
from matrix.providers import Row, rows
from matrix.scenarios import CASES, Case
from support.faultup import Entry, FaultUpstream, Script
from support.gateway import Running, running

AT_ONCE = "pace = false\nretry = { cool_most = 0.001 }"
"""Hundreds of refusals are asked for on purpose: no target is given the rest that it asks for."""
PLUGINS = "".join(f"{name} = {{ enabled = true }}\n" for name in ("azure_openai", "bedrock", "gigachat", "vertex"))
MINE = {"model", "stream", "stream_options", "anthropic_version"}
"""What the gateway may add or change where client and provider share the wire."""


class Cell(Struct):
    """One exchange and what is to be said of it."""

    provider: str
    dialect: str
    case: str
    stream: bool
    verdict: str = "carried"  # carried, dropped, refused, blocked
    status: int = 200
    detail: str = ""
    problems: list[str] = field(default_factory=list)
    golden: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.dialect}/{self.case}{'.stream' if self.stream else ''}"


class Matrix:
    """The upstream, the gateway and the cells."""

    def __init__(self, run: Running, upstream: FaultUpstream) -> None:
        self.run, self.upstream = run, upstream
        self.rows = rows(upstream)
        self.cells: list[Cell] = []

    async def provision(self) -> None:
        """Make providers and models, and register the scenarios."""
        for name, case in CASES.items():
            self.upstream.register(name, case.script)
        self.upstream.register("vectors", Script(strict=True))
        await asyncio.gather(*(self._provider(name, row) for name, row in self.rows.items()))

    async def _provider(self, name: str, row: Row) -> None:
        source = {"backend": "encrypted", "values": row.secret}
        await self.run.create("credentials", id=name, type=row.type, source=source)
        url = f"{self.upstream.url}{row.base}"
        members = {"type": row.type, "base_url": url, "credential_id": name, "settings": row.settings}
        await self.run.create("providers", id=name, **members)
        wanted = {case: f"{row.prefix}fault-{case}" for case in CASES}
        if row.vectors:
            wanted["vectors"] = f"{row.vectors}fault-vectors"
        for case, model in wanted.items():
            await self.run.create("models", id=f"{name}-{case}", provider_id=name, provider_model=model)

    async def all(self) -> list[Cell]:
        """Run every cell. Cells of one model go one after another, so that the ledger tells whose is whose."""
        jobs = [self._case(provider, case) for case in CASES for provider in self.rows]
        gate = asyncio.Semaphore(8)

        async def one(job: Any) -> None:
            async with gate:
                await job

        await asyncio.gather(*(one(job) for job in jobs))
        await self.counts()
        await self.embeddings()
        order = {name: number for number, name in enumerate(CASES)}
        return sorted(
            self.cells, key=lambda c: (c.provider, c.dialect, order.get(c.case, len(order)), c.case, c.stream)
        )

    async def _case(self, provider: str, name: str) -> None:
        case = CASES[name]
        for dialect, client in CLIENTS.items():
            for stream in (False, True):
                body = client.ask(f"{provider}-{name}", case.wish, stream=stream)
                if body is not None and (stream or not case.stream_only):
                    cell = Cell(provider, dialect, name, stream)
                    self.cells.append(cell)
                    await self._cell(cell, case, client, body)

    async def _cell(self, cell: Cell, case: Case, client: Client, body: Body) -> None:
        answer, seen, entries = await self._ask(cell, client, body)
        if case.wish.results and seen is not None and seen[1].calls:
            body = client.go_on(body, seen[0])
            answer, seen, entries = await self._ask(cell, client, body)
        cell.status = answer.status_code
        row = self.rows[cell.provider]
        native = cell.dialect in row.native
        dropped = [name for name in answer.headers.get("x-switchgear-dropped", "").split(", ") if name]
        cell.problems += sent_problems(body, entries, dropped, client.options(case.wish), native=native)
        if dropped:
            cell.verdict, cell.detail = "dropped", ", ".join(dropped)
            cell.problems += await self._strictly(client, body, dropped)
        if answer.status_code == 400 and entries and case.expected.refusal:
            cell.verdict = "blocked"  # the vendor gives no answer at all, and says so in one with status 200
        elif answer.status_code == 400 and not entries:
            error = answer.json()["error"]
            cell.verdict, cell.detail = "refused", error.get("param") or _named(error["message"])
            if case.expected.status not in {200, 400} or not error["message"]:
                cell.problems.append(f"refused: {answer.text}")
        elif seen is None:
            if answer.status_code != case.expected.status:
                cell.problems.append(f"status {answer.status_code}, not {case.expected.status}: {answer.text[:300]}")
        else:
            cell.problems += answer_problems(case, row, cell, seen[1], dropped)

    async def _strictly(self, client: Client, body: Body, dropped: list[str]) -> list[str]:
        """Ask the same again and want nothing dropped: it must be refused, naming what, before anything is sent."""
        headers = {**self.run.auth, "anthropic-version": "2023-06-01", "x-switchgear-strict": "true"}
        answer = await self.run.http.post(client.path, json=body, headers=headers)
        named = [name for name in dropped if name in answer.text]
        if answer.status_code != 400 or not named or "x-switchgear-upstream-status" in answer.headers:
            return [f"strict: {answer.status_code} {answer.text[:200]}"]
        return []

    async def counts(self) -> None:
        """Count a prompt at every provider, through Messages."""
        for provider in self.rows:
            body = CLIENTS["messages"].ask(f"{provider}-text", CASES["text"].wish, stream=False)
            assert body is not None
            del body["max_tokens"]
            cell = Cell(provider, "messages", "count", stream=False)
            self.cells.append(cell)
            path = "/v1/messages/count_tokens"
            entries, answer = await self._post(cell, path, body, f"{self.rows[provider].sent}fault-text")
            cell.detail = "" if entries else "estimated"
            wanted = {40} if entries and provider != "gigachat" else range(1, 100)
            if answer.status_code != 200 or answer.json()["input_tokens"] not in wanted:
                cell.problems.append(f"{answer.status_code} {answer.text[:200]}")

    async def embeddings(self) -> None:
        """Embed one text and several, as numbers and packed, at every provider that can."""
        for provider, row in self.rows.items():
            inputs: dict[str, Any] = {
                "one": "two words",
                "several": ["two words", "three more words"],
                "base64": ["two words"],
            }
            found = []
            for name, texts in inputs.items() if row.vectors else ():
                cell = Cell(provider, "embeddings", name, stream=False)
                self.cells.append(cell)
                packed = {"encoding_format": "base64"} if name == "base64" else {}
                body = {"model": f"{provider}-vectors", "input": texts, **packed}
                _, answer = await self._post(cell, "/v1/embeddings", body, f"{row.vectors}fault-vectors")
                if answer.status_code == 200:
                    data = answer.json()["data"]
                    found.append(_numbers(data[0]["embedding"]))
                    count = 1 if isinstance(texts, str) else len(texts)
                    if len(data) != count or max(abs(a - b) for a, b in zip(found[0], found[-1], strict=True)) > 1e-6:
                        cell.problems.append(f"not the vectors of {texts}: {answer.text[:200]}")
                else:
                    cell.problems.append(f"{answer.status_code} {answer.text[:200]}")

    async def _post(self, cell: Cell, path: str, body: Body, model: str) -> tuple[list[Entry], httpx.Response]:
        before = len(self.upstream.ledger)
        headers = {**self.run.auth, "anthropic-version": "2023-06-01"}
        answer = await self.run.http.post(path, json=body, headers=headers)
        entries = [entry for entry in self.upstream.ledger.entries[before:] if model in _said(entry)]
        cell.golden.append(exchange(path, body, entries, answer))
        return entries, answer

    async def _ask(
        self, cell: Cell, client: Client, body: Body
    ) -> tuple[httpx.Response, tuple[Body, Seen] | None, list[Entry]]:
        before = len(self.upstream.ledger)
        headers = {**self.run.auth, "anthropic-version": "2023-06-01"} if cell.dialect == "messages" else self.run.auth
        answer = await self.run.http.post(client.path, json=body, headers=headers)
        mine = re.compile(re.escape(f"{self.rows[cell.provider].sent}fault-{cell.case}") + r"(?![a-z_])")
        entries = [entry for entry in self.upstream.ledger.entries[before:] if mine.search(_said(entry))]
        cell.golden.append(exchange(client.path, body, entries, answer))
        if answer.status_code != 200:
            return answer, None, entries
        try:
            streamed = answer.headers["content-type"].startswith("text/event-stream")
            whole, broken = client.whole(answer.text) if streamed else (answer.json(), False)
            seen = client.read(whole)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            cell.problems.append(f"unreadable answer ({type(error).__name__} {error}): {answer.text[:300]}")
            return answer, None, entries
        seen.broken = broken
        return answer, (whole, seen), entries


def _named(message: str) -> str:
    """Return the part of the conversation that an error names, where the dialect's errors have no member for it."""
    return next((word for word in re.findall(r"`([^`]+)`", message) if word.startswith("messages")), message)


def _numbers(embedding: list[float] | str) -> list[float]:
    if isinstance(embedding, str):
        data = base64.b64decode(embedding)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    return embedding


def _said(entry: Entry) -> str:
    return entry.path + entry.body.decode("utf-8", "replace")


def sent_problems(
    body: Body, entries: list[Entry], dropped: list[str], options: dict[str, Any], *, native: bool
) -> list[str]:
    """Say what reached the upstream that should not have, and what did not though nobody said so."""
    if len(entries) == 2 and entries[0].status in {401, 403}:
        entries = entries[1:]  # a new token was fetched and tried
    if len(entries) != 1:
        return [f"{len(entries)} requests reached the upstream"] if entries else []
    text = entries[0].body.decode()
    sent = json.loads(text)
    problems = []
    if _nulls(sent) > _nulls(body):
        problems.append(f"a null the client did not send: {text[:400]}")
    problems += [f"`{n}` was dropped and never sent" for n in dropped if n.partition(".")[0] not in _sendable(body)]
    if native:
        if "max_tokens" in body and "max_completion_tokens" in sent:
            sent["max_tokens"] = sent.pop("max_completion_tokens")  # models that reason know it by this name alone
        wanted = {name: value for name, value in body.items() if name not in MINE and name not in dropped}
        problems += [f"`{name}` went out as {sent.get(name)!r}" for name in wanted if wanted[name] != sent.get(name)]
        problems += [f"`{name}` was added" for name in sent.keys() - body.keys() - MINE]
    for name, value in options.items():
        needle = json.dumps(next(iter(value.values()))) if isinstance(value, dict) else json.dumps(value).strip("[]")
        if needle not in text and not any(drop == name or drop.startswith(f"{name}.") for drop in dropped):
            problems.append(f"`{name}` was lost silently")
    return problems


def _sendable(body: Body) -> set[str]:
    return set(body)


def _nulls(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_nulls, value.values()))
    if isinstance(value, list):
        return sum(map(_nulls, value))
    return value is None


def answer_problems(case: Case, row: Row, cell: Cell, seen: Seen, dropped: list[str]) -> list[str]:
    """Say what the client should have seen and did not."""
    expected = case.expected
    problems = []

    def check(aspect: str, wanted: Any, found: Any) -> None:
        if wanted != found:
            problems.append(f"{aspect}: expected {wanted!r}, saw {found!r}")

    if expected.status != 200:
        return [f"200 instead of {expected.status}"]
    check("broken", expected.cut, seen.broken)
    if expected.text.startswith("The tools said"):
        check("text", True, seen.text.startswith(expected.text) and "mild" in seen.text)
    elif case.script.refusal:
        check("refusal", True, expected.refusal in seen.text + seen.refusal)
    elif expected.finish == "content_filter":
        check("text", True, expected.text in seen.text + seen.refusal)
    elif not (case.wish.choice == "none" and seen.text.startswith("Nobody offered")):
        check("text", expected.text, seen.text)
    calls = expected.calls if row.parallel else expected.calls[:1]
    check("calls", calls, seen.calls)
    check("answers", 2 if case.wish.several else 1, seen.answers)
    if expected.reasoning and "reasoning_effort" not in dropped and cell.dialect in row.shows:
        check("reasoning", expected.reasoning, seen.reasoning)
    if not expected.cut:
        check(
            "finish", True, seen.finish in {expected.finish, "content_filter" if expected.refusal else expected.finish}
        )
        check("usage", expected.usage, seen.usage[:3])
        check("output tokens", True, seen.usage[3] > 0)
    return problems


async def matrix(directory: Path) -> list[Cell]:
    """Set everything up, run every cell and return them."""
    async with FaultUpstream() as upstream:
        upstream.keep_answers = True
        async with running(directory, upstream, plugins=PLUGINS, routing=AT_ONCE) as run:
            made = Matrix(run, upstream)
            await made.provision()
            return await made.all()
