"""Dialogs as they are kept, each found by its owner alone. Each method is one database transaction.

Of the answers to one dialog, one is made at a time: whoever makes it holds the dialog's turn, until it is done or nothing was
heard of its maker for a while. What was sent is kept before anybody is asked; it is withdrawn where that failed.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import Principal
from switchgear.contracts.tables import Tables, Transaction
from switchgear.contracts.usage import Usage
from switchgear.errors import Conflict, InvalidRequest, NotFound
from switchgear_plugins.dialogs.said import DialogSpec, calls_in, patched, tool_results
from switchgear_plugins.dialogs.settings import DialogsSettings

TURN_S = 30.0
"""How long the maker of an answer that says nothing more is waited for."""
LATEST = 2**62
_DAY_US = 86_400_000_000

Row = Mapping[str, Any]


class Turn(Struct, frozen=True):
    """The right to answer, and what is answered: the dialog as it was found, and the first of the messages that were sent.

    `replayed` is the answer where this was sent before and has one.
    """

    id: str
    dialog: Row
    spec: DialogSpec
    first_seq: int
    sent: int = 0
    sent_bytes: int = 0
    replayed: Row | None = None


class Spent(Struct, frozen=True):
    """What calls of a turn consumed. A cost of None is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0

    @classmethod
    def of(cls, usage: Usage | None, cost_microusd: int | None) -> "Spent":
        """Read it from an answer."""
        read, written = (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens)
        return cls(read, written, cost_microusd)

    def columns(self) -> dict[str, int]:
        """Write what is added to the dialog's sums."""
        cost = self.cost_microusd
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_microusd": cost or 0,
            "unpriced": int(cost is None),
        }


class Answered(Struct, frozen=True):
    """An answer to keep. `status` is `complete` or `partial`."""

    message: bytes
    status: str
    model: str | None
    call: str | None
    finish_reason: str | None
    spent: Spent


def owner_of(principal: Principal) -> str:
    """Return whose the dialogs of a principal are."""
    return quote(f"{principal.kind}:{principal.id}", safe=":@/+", errors="surrogatepass")


def not_found(id: str) -> NotFound:
    """Say that there is no such dialog, or that it is somebody else's."""
    return NotFound(f"Dialog with id '{id[:100]}' not found.", param="dialog_id", code="dialog_not_found")


class Shelf:
    """Keeps dialogs within the settings' bounds."""

    def __init__(self, tables: Tables, settings: DialogsSettings, ambient: Ambient) -> None:
        self._tables = tables
        self._settings = settings
        self._ambient = ambient

    async def create(self, owner: str, spec: DialogSpec) -> Row:
        """Keep a new one. Raises `Conflict` where there are too many."""
        id = f"dlg_{self._ambient.new_id()}"
        async with self._tables.transaction() as t:
            said = msgspec.json.encode(spec)
            found = await self._room(t, owner, len(said))
            if found >= self._settings.most_per_owner:
                message = f"There are {found} dialogs, which is the most; delete some."
                raise Conflict(message, code="too_many_dialogs")
            at_us = self._ambient.now_us()
            await t.execute("create", id=id, owner=owner, spec=said, bytes=len(said), at_us=at_us)
            return (await t.query("get", owner=owner, id=id))[0]

    async def get(self, owner: str, id: str) -> Row:
        """Return one. Raises `NotFound`."""
        return _only(await self._tables.query("get", owner=owner, id=id), id)

    async def page(self, owner: str | None, before: tuple[int, str], limit: int) -> list[Row]:
        """Return those touched before this, the latest first; of everybody where no owner is named."""
        at_us, id = before
        if owner is None:
            return list(await self._tables.query("list_all", at_us=at_us, id=id, limit=limit))
        return list(await self._tables.query("list", owner=owner, at_us=at_us, id=id, limit=limit))

    async def change(self, owner: str, id: str, patch: Mapping[str, Any]) -> Row:
        """Have something else said of one. Raises `NotFound`, and `InvalidRequest` for what cannot be said."""
        async with self._tables.transaction() as t:
            row = _only(await t.query("get", owner=owner, id=id), id)
            said = msgspec.json.encode(patched(msgspec.json.decode(row["spec"], type=DialogSpec), patch))
            more = len(said) - len(row["spec"])
            await self._room(t, owner, more)
            await t.execute("change", owner=owner, id=id, spec=said, more=more, at_us=self._ambient.now_us())
            return _only(await t.query("get", owner=owner, id=id), id)

    async def delete(self, owner: str | None, id: str) -> None:
        """Forget one, with its messages. Raises `NotFound`."""
        async with self._tables.transaction() as t:
            gone = (
                await t.execute("delete_any", id=id) if owner is None else await t.execute("delete", owner=owner, id=id)
            )
        if not gone:
            raise not_found(id)

    async def messages(self, dialog: str, *, after: int = 0, before: int = LATEST, limit: int) -> list[Row]:
        """Return messages of a dialog, the newest first."""
        return list(await self._tables.query("messages", dialog=dialog, after=after, before=before, limit=limit))

    async def begin(self, owner: str, id: str, messages: Sequence[bytes], key: str | None) -> Turn:
        """Keep what is sent, and take the turn. Raises `NotFound`, `Conflict` and `InvalidRequest`."""
        now_us = self._ambient.now_us()
        async with self._tables.transaction() as t:
            dialog = _only(await t.query("get", owner=owner, id=id), id)
            turn = Turn(
                self._ambient.new_id(), dialog, msgspec.json.decode(dialog["spec"], type=DialogSpec), dialog["next_seq"]
            )
            known = [] if key is None else await t.query("by_idempotency", dialog=id, idempotency=key)
            answer = await self._known(t, known[0], messages) if known else None
            if answer is not None:
                return msgspec.structs.replace(turn, replayed=answer)
            if dialog["turn"] is not None and dialog["turn_until_us"] > now_us:
                message = "An answer to this dialog is being made; send this once that is done."
                raise Conflict(message, code="dialog_busy", retry_after=1)
            added: Sequence[bytes] = () if known else messages
            await self._check(t, dialog, added)
            size = sum(map(len, added))
            for place, one in enumerate(added):
                await t.execute(
                    "add",
                    dialog=id,
                    seq=turn.first_seq + place,
                    id=f"msg_{self._ambient.new_id()}",
                    role=msgspec.json.decode(one)["role"],
                    at_us=now_us,
                    message=one,
                    status="complete",
                    idempotency=None if place else key,
                    **dict.fromkeys(_OF_ANSWERS),
                )
            until_us = now_us + int(TURN_S * 1e6)
            await t.execute("begin", id=id, turn=turn.id, until_us=until_us, at_us=now_us, added=len(added), bytes=size)
        return msgspec.structs.replace(turn, sent=len(added), sent_bytes=size)

    async def renew(self, turn: Turn) -> None:
        """Hold the turn for longer."""
        until_us = self._ambient.now_us() + int(TURN_S * 1e6)
        async with self._tables.transaction() as t:
            await t.execute("renew", id=turn.dialog["id"], turn=turn.id, until_us=until_us)

    async def withdraw(self, turn: Turn) -> None:
        """Give the turn up, and forget what was sent."""
        id = turn.dialog["id"]
        async with self._tables.transaction() as t:
            if turn.sent and await t.query("of_turn", id=id, turn=turn.id):
                await t.execute("withdraw", dialog=id, seq=turn.first_seq)
            await self._end(t, turn, -turn.sent, -turn.sent_bytes, Spent())

    async def release(self, turn: Turn, spent: Spent) -> None:
        """Give the turn up without an answer. What was sent stays."""
        async with self._tables.transaction() as t:
            await self._end(t, turn, 0, 0, spent)

    async def finish(self, turn: Turn, answer: Answered) -> Row:
        """Keep the answer and give the turn up. Raises `Conflict` where the dialog is gone, or goes on without it."""
        id = turn.dialog["id"]
        async with self._tables.transaction() as t:
            found = await t.query("of_turn", id=id, turn=turn.id)
            if not found:
                message = "The dialog was deleted, or went on without this answer, while it was made; it is not kept."
                raise Conflict(message, code="dialog_gone")
            seq = found[0]["next_seq"]
            spent = answer.spent
            await t.execute(
                "add",
                dialog=id,
                seq=seq,
                id=f"msg_{self._ambient.new_id()}",
                role="assistant",
                at_us=self._ambient.now_us(),
                message=answer.message,
                status=answer.status,
                idempotency=None,
                model=answer.model,
                call=answer.call,
                finish_reason=answer.finish_reason,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                cost_microusd=spent.cost_microusd,
            )
            await self._end(t, turn, 1, len(answer.message), spent)
            return (await t.query("from", dialog=id, seq=seq, limit=1))[0]

    async def summarise(self, turn: Turn, summary: bytes | None, seq: int, spent: Spent) -> None:
        """Keep what stands for all messages up to one."""
        async with self._tables.transaction() as t:
            await t.execute(
                "summarise", id=turn.dialog["id"], turn=turn.id, summary=summary, seq=seq, **spent.columns()
            )

    async def purge(self) -> None:
        """Forget dialogs that nobody has touched for as long as they are kept."""
        if self._settings.days is None:
            return
        now_us = self._ambient.now_us()
        async with self._tables.transaction() as t:
            await t.execute("purge", since=now_us - self._settings.days * _DAY_US, now_us=now_us)

    async def _known(self, t: Transaction, first: Row, messages: Sequence[bytes]) -> Row | None:
        """Return the answer to what was sent before, None if it has none. Raises `Conflict` where something else was sent."""
        rows = await t.query("from", dialog=first["dialog"], seq=first["seq"], limit=len(messages) + 1)
        if [bytes(row["message"]) for row in rows[: len(messages)]] != list(messages):
            message = "This `Idempotency-Key` was used for another message of this dialog."
            raise Conflict(message, code="idempotency_key_reused")
        return rows[-1] if len(rows) > len(messages) and rows[-1]["role"] == "assistant" else None

    async def _check(self, t: Transaction, dialog: Row, added: Sequence[bytes]) -> None:
        bounds = self._settings
        if dialog["messages"] + len(added) >= bounds.most_messages:
            message = f"The dialog has {dialog['messages']} messages, and {bounds.most_messages} are the most."
            raise Conflict(message, code="dialog_full")
        if dialog["bytes"] + sum(map(len, added)) > bounds.most_bytes:
            raise Conflict(f"The dialog may have {bounds.most_bytes} bytes.", code="dialog_full")
        if added:
            await self._room(t, dialog["owner"], sum(map(len, added)))
        else:
            last = await t.query("messages", dialog=dialog["id"], after=0, before=LATEST, limit=1)
            if not last or last[0]["role"] == "assistant":
                message = "There is nothing to answer: say something in `content`."
                raise InvalidRequest(message, param="content", code="missing_field")
        if results := tool_results(added):
            await _check_calls(t, dialog, results)

    async def _room(self, t: Transaction, owner: str, more: int) -> int:
        """Return how many dialogs somebody has. Raises `Conflict` where there is no room for so many more bytes."""
        [row] = await t.query("count", owner=owner)
        most = self._settings.bytes_per_owner
        if more > 0 and row["bytes"] + more > most:
            raise Conflict(f"Your dialogs may have {most} bytes together; delete some.", code="too_many_dialogs")
        return int(row["found"])

    async def _end(self, t: Transaction, turn: Turn, added: int, size: int, spent: Spent) -> None:
        await t.execute(
            "end",
            id=turn.dialog["id"],
            turn=turn.id,
            at_us=self._ambient.now_us(),
            added=added,
            bytes=size,
            **spent.columns(),
        )


_OF_ANSWERS = ("model", "call", "finish_reason", "input_tokens", "output_tokens", "cost_microusd")
_MOST_RESULTS = 256


async def _check_calls(t: Transaction, dialog: Row, results: Sequence[str]) -> None:
    """Refuse results of tools that nobody waits for. Raises `InvalidRequest`."""
    open_calls: set[str] = set()
    given: set[str] = set()
    for row in await t.query("messages", dialog=dialog["id"], after=0, before=LATEST, limit=_MOST_RESULTS):
        if row["role"] == "assistant":
            open_calls = set(calls_in(row["message"])) - given
            break
        if row["role"] != "tool":
            break
        given |= set(tool_results([row["message"]]))
    if unknown := sorted(set(results) - open_calls):
        message = f"No call of a tool waits for the result of `{unknown[0][:100]}`."
        raise InvalidRequest(message, param="messages", code="unknown_tool_call")
    if len(set(results)) < len(results):
        raise InvalidRequest("A call of a tool has one result.", param="messages", code="unknown_tool_call")


def _only(rows: Sequence[Row], id: str) -> Row:
    if not rows:
        raise not_found(id)
    return rows[0]
