"""`/admin/v1/webhook-deliveries`, `/admin/v1/webhook-events` and `POST /admin/v1/webhooks/{id}/test`."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Raw, Struct

from switchgear import Context
from switchgear.contracts.times import timestamp
from switchgear.errors import InvalidRequest, NotFound
from switchgear_plugins.webhooks.courier import Courier
from switchgear_plugins.webhooks.outbox import Delivery, Due, Happened, Outbox, event_id
from switchgear_plugins.webhooks.resources import KIND, TEST, LiveWebhook

_STATES = ("pending", "delivered", "dead")
_DELIVERIES = "webhook-deliveries"


class DeliveryView(Struct, frozen=True):
    """A delivery.

    state     `pending`: it will be tried at `due_at`; `delivered`; `dead`: it is not tried any more
    answer    the beginning of what the receiver answered last; `error`: why it answered nothing
    again_of  the delivery that this repeats
    """

    id: str
    webhook: str
    event: str
    name: str
    state: str
    tries: int
    created_at: str
    due_at: str | None
    ended_at: str | None
    status: int | None
    answer: str | None
    error: str | None
    took_ms: int | None
    again_of: str | None


class WholeDelivery(DeliveryView, frozen=True):
    """A delivery, with what is sent."""

    body: Raw


class DeliveryPage(Struct, frozen=True):
    """A page of deliveries, newest first."""

    data: list[DeliveryView]
    next_cursor: str | None


class KnownEvent(Struct, frozen=True):
    """An event that a webhook may want."""

    name: str
    when: str


class KnownEvents(Struct, frozen=True):
    """What is announced. `KIND` stands for any kind of resource."""

    data: list[KnownEvent]


def handlers(context: Context, outbox: Callable[[], Outbox], courier: Callable[[], Courier]) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/webhook-events",
        opt={"action": "list", "resource": KIND},
        summary="Events that a webhook may want",
        tags=[KIND],
    )
    async def events() -> KnownEvents:
        return KnownEvents([KnownEvent(name, when) for name, when in sorted(context.announced.items())])

    @post(
        "/admin/v1/webhooks/{id:str}/test",
        opt={"action": "test", "resource": KIND},
        status_code=200,
        summary="Deliver a test event now, once, and say what came of it",
        tags=[KIND],
    )
    async def test(request: Request[Any, Any, Any], id: FromPath[str]) -> WholeDelivery:
        webhook: LiveWebhook | None = context.resources.snapshot.live(KIND, id)
        if webhook is None:
            raise NotFound(f"There is no webhook {id[:64]!r}.", code="not_found")
        data = {"webhook": id, "by": request.state.principal.id}
        event = Happened(event_id(TEST, context.ambient.new_id()), TEST, context.ambient.now_us(), data)
        [delivery] = await outbox().put([(event, [webhook])], later_s=60.0)
        once = msgspec.structs.replace(webhook, retries=0)
        await courier().try_now(once, Due(delivery, event.id, 0, event.body()))
        return await _whole(outbox(), delivery)

    @get(
        "/admin/v1/webhook-deliveries",
        opt={"action": "list", "resource": _DELIVERIES},
        summary="What was delivered to webhooks, newest first; `state=dead` are the dead letters",
        tags=[KIND],
    )
    async def deliveries(
        webhook: Annotated[str, QueryParameter()] = "",
        in_state: Annotated[str, QueryParameter(name="state", description=f"One of {', '.join(_STATES)}")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, QueryParameter()] = None,
    ) -> DeliveryPage:
        if in_state and in_state not in _STATES:
            raise InvalidRequest(f"`state` is one of {', '.join(_STATES)}.", param="state", code="invalid_value")
        before = None
        if cursor is not None:
            last = await _found(outbox(), cursor)
            before = (last.created_us, last.id)
        found = await outbox().newest(webhook, in_state, before, limit + 1)
        more = len(found) > limit
        return DeliveryPage(
            [DeliveryView(**_members(it)) for it in found[:limit]], found[limit - 1].id if more else None
        )

    @get(
        "/admin/v1/webhook-deliveries/{id:str}",
        opt={"action": "read", "resource": _DELIVERIES},
        summary="One delivery, with what is sent",
        tags=[KIND],
    )
    async def delivery(id: FromPath[str]) -> WholeDelivery:
        return await _whole(outbox(), id)

    @post(
        "/admin/v1/webhook-deliveries/{id:str}/redeliver",
        opt={"action": "redeliver", "resource": _DELIVERIES},
        status_code=200,
        summary="Deliver once more, under the same id of the event",
        tags=[KIND],
    )
    async def redeliver(id: FromPath[str]) -> WholeDelivery:
        found = await _found(outbox(), id)
        if context.resources.snapshot.live(KIND, found.webhook) is None:
            raise NotFound(f"There is no webhook {found.webhook[:64]!r} any more.", code="not_found")
        again = await outbox().again(found)
        courier().wake()
        return await _whole(outbox(), again)

    return [events, test, deliveries, delivery, redeliver]


async def _found(outbox: Outbox, id: str) -> Delivery:
    found = await outbox.find(id)
    if found is None:
        raise NotFound(f"There is no delivery {id[:64]!r}.", code="not_found")
    return found


async def _whole(outbox: Outbox, id: str) -> WholeDelivery:
    found = await _found(outbox, id)
    assert found.body is not None
    return WholeDelivery(**_members(found), body=Raw(found.body.encode()))


def _members(it: Delivery) -> dict[str, Any]:
    copied = ("id", "webhook", "event", "name", "state", "tries", "status", "answer", "error", "took_ms", "again_of")
    return {name: getattr(it, name) for name in copied} | {
        "created_at": _time(it.created_us),
        "due_at": _time(it.due_us) if it.state == "pending" else None,
        "ended_at": _time(it.ended_us),
    }


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else timestamp(at_us)
