"""Turns of a dialog: what a model is told, by a call from inside, and its answer."""

from collections.abc import Mapping
from typing import Any, Literal, overload

import msgspec

from switchgear import Context
from switchgear.contracts.dialect import RouteRequest
from switchgear.contracts.inside import InsideAnswer, InsideStream
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.members import parse_object
from switchgear_plugins.dialogs.context import Chosen, Message, Said, choose, read, rounds
from switchgear_plugins.dialogs.heard import Heard
from switchgear_plugins.dialogs.making import Making, Workers, shown
from switchgear_plugins.dialogs.settings import DialogsSettings
from switchgear_plugins.dialogs.shelf import LATEST, Shelf, Spent, Turn
from switchgear_plugins.dialogs.streamed import Streamed
from switchgear_plugins.dialogs.summary import Summaries
from switchgear_plugins.dialogs.window import Window, Windows

_PAGE = 100
_MOST_TRIES = 3
_LESS = 0.6
"""How much of it is told the next time, where a model says that it was told too much."""


class Turns:
    """Makes answers."""

    def __init__(self, context: Context, shelf: Shelf, settings: DialogsSettings) -> None:
        self._context = context
        self._shelf = shelf
        self._settings = settings
        self._windows = Windows(context, settings)
        self._summaries = Summaries(context, shelf, settings)
        self.workers = Workers()

    async def whole(self, turn: Turn, request: RouteRequest, parameters: Mapping[str, Any]) -> bytes:
        """Answer whole: a chat completion, and in its member `dialog` what was kept. Raises `ApiError`."""
        async with self._making(turn, request) as making:
            answer = await self._asked(making, parameters, stream=False)
            making.spent = Spent.of(answer.usage, answer.cost_microusd)
            row = await making.keep(Heard.whole(answer.body), answer.id, "complete")
        if answer.cost_microusd is not None:
            request.exchange.headers.append((b"x-switchgear-cost", b"%d" % answer.cost_microusd))
        return msgspec.json.encode({**parse_object(answer.body), "dialog": shown(turn, row)})

    async def streamed(self, turn: Turn, request: RouteRequest, parameters: Mapping[str, Any]) -> Streamed:
        """Begin an answer that is told as it comes. Raises `ApiError` where it does not begin."""
        async with self._making(turn, request) as making:
            answer = await self._asked(making, parameters, stream=True)
            making.passed_on = True
        return Streamed(making, answer, self.workers, self._settings.most_bytes, self._context.log)

    def _making(self, turn: Turn, request: RouteRequest) -> Making:
        return Making(turn, request, self._shelf, self.workers, self._context.log)

    @overload
    async def _asked(
        self, making: Making, parameters: Mapping[str, Any], *, stream: Literal[False]
    ) -> InsideAnswer: ...

    @overload
    async def _asked(self, making: Making, parameters: Mapping[str, Any], *, stream: Literal[True]) -> InsideStream: ...

    async def _asked(
        self, making: Making, parameters: Mapping[str, Any], *, stream: bool
    ) -> InsideAnswer | InsideStream:
        """Ask the model, with less where it says that it was too much."""
        turn, request, spec = making.turn, making.request, making.turn.spec
        body: dict[str, Any] = {**spec.parameters, **parameters}
        window = self._windows.of(spec.model, request.principal, request.exchange.dialect)
        budget = window.budget(body, self._settings, spec.context_tokens)
        system: list[Message] = [{"role": "system", "content": spec.system}] if spec.system else []
        budget -= sum(map(window.count_message, system))
        if stream:
            body["stream_options"] = {"include_usage": True}
        strict = request.headers.get(b"x-switchgear-strict")
        headers = None if strict is None else {"x-switchgear-strict": strict.decode("latin-1")}
        tries = 0
        while True:
            tries += 1
            chosen, summary = await self._context_of(making, window, max(budget, 1))
            body["messages"] = [*system, *summary, *chosen.messages]
            try:
                answer: InsideAnswer | InsideStream = await self._context.call(
                    "chat",
                    body,
                    principal=request.principal,
                    parent=request.exchange,
                    model=spec.model,
                    stream=stream,  # type: ignore[call-overload]  # whichever of the two
                    headers=headers,
                    labels={"dialog": turn.dialog["id"]},
                )
            except ApiError as error:
                if error.code != "context_length_exceeded" or tries == _MOST_TRIES or len(chosen.messages) == 1:
                    raise
                budget = int(min(budget, chosen.tokens) * _LESS)
            else:
                return answer

    async def _context_of(self, making: Making, window: Window, budget: int) -> tuple[Chosen, list[Message]]:
        """Choose what is told of the dialog, and what stands for the rest of it. Raises `InvalidRequest`."""
        turn = making.turn
        summarises = self._settings.summarise if turn.spec.summarise is None else turn.spec.summarise
        known = making.summary if summarises else None
        after = 0 if known is None else known.seq
        said = rounds(await self._newest(turn, window, budget, after))
        left = budget if known is None else budget - window.count_message(known.message)
        chosen = choose(said, left, window.count_message)
        if not chosen.messages:
            raise InvalidRequest("The dialog has nothing to answer.", param="content", code="missing_field")
        if summarises and await self._shelf.messages(turn.dialog["id"], after=after, before=chosen.first_seq, limit=1):
            # Half of the room is left free, so that not every turn has something to sum up.
            kept = choose(said, budget // 2, window.count_message)
            made = await self._summaries.make(turn, making.request, window, known, kept.first_seq)
            if made is not None:
                making.summary = made
                return kept, [made.message]
        return chosen, [] if known is None else [known.message]

    async def _newest(self, turn: Turn, window: Window, budget: int, after: int) -> list[Said]:
        """Read messages from the end, as many as may be told, in order."""
        said: list[Said] = []
        before, tokens = LATEST, 0
        while tokens <= budget or said[-1].role != "user":
            rows = await self._shelf.messages(turn.dialog["id"], after=after, before=before, limit=_PAGE)
            for row in rows:
                said.append(read(row["seq"], row["message"]))
                tokens += window.count_message(said[-1].message)
                if tokens > budget and said[-1].role == "user":
                    break
            if len(rows) < _PAGE:
                break
            before = rows[-1]["seq"]
        said.reverse()
        return said
