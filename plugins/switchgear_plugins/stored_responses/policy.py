"""Keeps responses as they are given, and tells what went before where a call goes on from one.

A provider that keeps a response itself, and is the only one that may be asked, is told its id alone; every other is told the
whole conversation, in order.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec import Raw, Struct

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Answer, Call
from switchgear.errors import ApiError, InvalidRequest
from switchgear.wire.chat_provider import COMPACT, INPUT_TOKENS, RESPONSES
from switchgear.wire.members import member, raw
from switchgear.wire.sse import SSEParser
from switchgear.wire.texts import NULL, members_of, text_of
from switchgear_plugins.stored_responses.settings import StoredResponsesSettings
from switchgear_plugins.stored_responses.shelf import Given, Shelf, id_of, items, told

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

NAME = "stored_responses"
PREVIOUS = "previous_response_id"
_MOST_REFERENCES = 1000


class _Note(Struct):
    """What the policy knows of an exchange: the items that the client sent, and where they go on from."""

    own: list[Raw]
    previous: str | None = None
    thread: str | None = None


class _Event(Struct):
    response: Raw = NULL


_event = msgspec.json.Decoder(_Event)


class StoredResponsesPolicy(Policy):
    """The policy. What cannot be kept changes no answer."""

    on_error: ClassVar[Literal["deny", "allow"]] = "deny"
    budget_s: ClassVar[float] = 10.0
    order: ClassVar[int] = -500
    """Before those that look at what is said: what went before is a part of it."""
    wires: ClassVar[frozenset[str] | None] = frozenset({RESPONSES, COMPACT, INPUT_TOKENS})

    def __init__(self, shelf: Shelf, settings: StoredResponsesSettings, log: "FilteringBoundLogger") -> None:
        self._shelf = shelf
        self._settings = settings
        self._log = log

    def prepare(self, x: Exchange) -> Awaitable[None] | None:
        """Tell what went before. Raises `InvalidRequest` for a response or an item that is not there."""
        call = x.call
        assert call is not None
        previous = call.member(PREVIOUS, str)
        is_kept = call.wire == RESPONSES and self._wants_it_kept(call)
        refers = b"item_reference" in bytes(call.members.get("input", b""))
        if not is_kept and previous is None and not refers:
            return None
        note = _Note(_own(call), previous)
        if is_kept:
            call.handled |= {"store"}
            x.notes[NAME] = note
        return self._go_on(x, call, note) if previous is not None or refers else None

    def answered(self, x: Exchange, answer: Answer | None) -> Awaitable[None] | None:
        """Keep the response."""
        note: _Note | None = x.notes.get(NAME)
        if note is None or answer is None:
            return None
        body = _response(x, answer)
        found = told(body)
        target = x.target
        is_native = target is not None and x.sent is not None and x.sent.wire == RESPONSES
        kept_by = target.provider_id if target is not None and is_native and found.store else None
        given = Given(
            found.id,
            note.thread or found.id,
            note.previous,
            kept_by,
            found.status or "completed",
            msgspec.json.encode(note.own),
            body,
        )
        size = len(given.input) + len(given.response)
        if not found.id or found.id == note.previous or size > self._settings.most_bytes:
            self._log.info("response not kept", request_id=x.id, bytes=size)
            return None
        assert x.principal is not None
        ids = [id for item in items(found.output) if (id := id_of(item)) is not None]
        return self._shelf.put(x.principal.id, given, ids)

    def _wants_it_kept(self, call: Call) -> bool:
        said = call.member("store", bool)
        return self._settings.by_default if said is None else said

    async def _go_on(self, x: Exchange, call: Call, note: _Note) -> None:
        assert x.principal is not None
        owner = x.principal.id
        thread = [] if note.previous is None else await self._shelf.thread(owner, note.previous)
        if note.previous is not None and not thread:
            raise _no_response(note.previous)
        referred = await self._shelf.of_items(owner, _references(note.own))
        last = [*thread[-1:], *referred.values()]
        note.thread = next((given.thread for given in last if given is not None), None)
        output = {
            id_of(it): it for given in {it.id: it for it in last if it is not None}.values() for it in given.output()
        }
        note.own = [_resolved(item, output) for item in note.own]
        keeper = last[0].kept_by if last and last[0] is not None else None
        if keeper is not None and all(it is not None and it.kept_by == keeper for it in last) and _asks_only(x, keeper):
            return
        history = [item for given in thread for item in given.told_again()]
        if thread and (thread[0].previous is not None or not all(given.is_final for given in thread)):
            assert note.previous is not None
            raise _no_response(note.previous)
        call.members = {**call.members, "input": raw([*history, *note.own])}
        call.handled |= {PREVIOUS}


def _own(call: Call) -> list[Raw]:
    """Return the items of the input; a text is one."""
    given: Any = member(call.members, "input", str | list[Raw])  # type: ignore[arg-type]  # a union is a type here
    if isinstance(given, str):
        return [raw({"type": "message", "role": "user", "content": given})]
    return list(given or ())


def _response(x: Exchange, answer: Answer) -> bytes:
    """Return a response as its client got it. Raises `msgspec.DecodeError` for an answer that holds none."""
    if not answer.events:
        return answer.body
    assert x.endpoint is not None
    assert x.call is not None
    if answer.wire == x.endpoint.wire:
        last = answer.events[-1].data
    else:
        encoder = x.endpoint.encoder(x.call, translate=True)
        parser = SSEParser()
        said = b"".join([encoder.event(event) for event in answer.events if event.data]) + encoder.end()
        last = parser.feed(said)[-1]
    found = _event.decode(last).response
    if found == NULL:
        raise msgspec.DecodeError("the last event of the stream holds no response")
    return bytes(found)


def _references(own: Iterable[Raw]) -> list[str]:
    """Return the ids that are referred to. Raises `InvalidRequest` for too many."""
    items = (members_of(item) for item in own)
    found = [text_of(it.get("id")) or "" for it in items if text_of(it.get("type")) == "item_reference"]
    if len(found) > _MOST_REFERENCES:
        message = f"`input` refers to {len(found)} items, and {_MOST_REFERENCES} are the most; use `{PREVIOUS}`."
        raise InvalidRequest(message, param="input", code="too_many_references")
    return found


def _resolved(item: Raw, output: Mapping[str | None, Raw]) -> Raw:
    """Return the item that a reference means. Raises `InvalidRequest` where that is not there."""
    members = members_of(item)
    if text_of(members.get("type")) != "item_reference":
        return item
    id = text_of(members.get("id")) or ""
    found = output.get(id)
    if found is None:
        message = f"Item with id '{id[:100]}' not found: what it stands for is not kept. Send the item itself."
        raise InvalidRequest(message, param="input", code="item_not_found")
    return found


def _asks_only(x: Exchange, provider: str) -> bool:
    """Say whether nobody else may be asked."""
    assert x.call is not None
    found = x.snapshot.callable(x.call.model)
    try:
        targets = () if found is None else found.plan(x).targets
    except ApiError:
        return False  # it is refused where it is planned
    return bool(targets) and all(target.provider_id == provider for target in targets)


def _no_response(id: str) -> InvalidRequest:
    message = f"Previous response with id '{id[:100]}' not found."
    return InvalidRequest(message, param=PREVIOUS, code="previous_response_not_found")
