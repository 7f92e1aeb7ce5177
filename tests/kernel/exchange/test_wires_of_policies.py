"""Policies that are for the calls of some wire formats alone."""

from types import SimpleNamespace
from typing import Any

import structlog

from switchgear.contracts.exchange import Exchange
from switchgear.contracts.policy import Policy
from switchgear.contracts.provider import Call
from switchgear.exchange.attachments import KIND, Attachment, Policies, Selector
from switchgear.telemetry.metrics import Metrics


class Always(Policy):
    def settle(self, x: Exchange) -> None:
        """Do nothing."""


class Some(Policy):
    wires = frozenset({"responses"})

    def answered(self, x: Exchange, answer: Any) -> None:
        """Do nothing."""


class Attached(Some):
    attachable = True


def exchange(wire: str, *attachments: Attachment) -> Exchange:
    live = {it.id: it for it in attachments}
    snapshot: Any = SimpleNamespace(all=lambda kind: live if kind == KIND else {})
    x = Exchange("1", "d", snapshot, began=0.0, started_us=0)
    x.call = Call("chat", wire, {}, model="m")
    return x


def policies(**named: Policy) -> Policies:
    return Policies(list(named.items()), Metrics(), structlog.get_logger())


def test_one_runs_in_calls_of_its_wires_and_costs_nothing_elsewhere() -> None:
    made = policies(always=Always(), some=Some())
    assert {"responses"} == made.wires
    assert made.always is made.attach(exchange("chat"))
    assert not made.always.listening
    chain = made.attach(exchange("responses"))
    assert ["some"] == [it.name for it in chain.answering]
    assert chain is made.attach(exchange("responses"))


def test_an_attached_one_is_also_bound_to_its_wires() -> None:
    made = policies(some=Attached())
    attachment = Attachment("a", "some", Selector(), settings="set")
    assert made.always is made.attach(exchange("responses"))
    assert made.always is made.attach(exchange("chat", attachment))
    x = exchange("responses", attachment)
    assert made.attach(x).listening
    assert {"some": "set"} == x.attached


def test_where_all_always_run_nothing_is_selected() -> None:
    made = policies(always=Always())
    assert not made.wires
    assert made.always is made.attach(exchange("chat"))
