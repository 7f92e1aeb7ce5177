"""The proof of hard budgets: what is spent of one by many at once, as whoever sends the bill has it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear_plugins.prove.bill import BillingUpstream
from switchgear_plugins.prove.clients import Clients, Spent
from switchgear_plugins.prove.replicas import LEASE_S, MODEL, Replicas
from switchgear_plugins.prove.wire import Address, Unreached

_now = Ambient().monotonic
_KILL_AT = (0.1, 0.2)
"""When gateways are killed, as parts of the time there is."""
_SETTLED_S = 20.0
_NEVER_S = 8.0
_PATIENCE = 3
"""How many times as long a slow machine may take until all is spent."""

Tell = Callable[[str], None]


class Proof(Struct, frozen=True):
    """What came of it. Records are counted where they can be read; None elsewhere.

    overspend_microusd  by how much the bill is over the budget
    spendable_share     which part of the budget could be spent, by the bill
    lost, doubled       answers that clients have whole and that no record, or more than one, tells of
    billed_microusd     the bill
    exhausted           whether all that was left could pay for no call any more when time was up
    """

    overspend_microusd: int
    spendable_share: float
    lost: int | None
    doubled: int | None
    amount_microusd: int
    billed_microusd: int
    calls: int
    answered: int
    refused: int
    broken: int
    kills: int
    exhausted: bool
    seconds: float


async def prove(amount_microusd: int, clients: int, seconds: float, seed: int, tell: Tell) -> Proof:
    """Spend from four gateways of this machine, of which two are killed. Raises `NotStarted`."""
    with TemporaryDirectory(prefix="sg") as directory, Replicas(Path(directory)) as replicas:
        async with BillingUpstream(seed=seed) as upstream:
            tell("Starting PostgreSQL, Redis and four gateways …")
            await replicas.start(upstream.base_url, amount_microusd)
            tell(f"{clients} clients spend {amount_microusd / 1e6:.2f} USD; gateways are killed, answers break off …")
            spending = Clients([it.address for it in replicas.all], replicas.key, MODEL, seed)
            began = _now()
            killing = asyncio.create_task(_kill(replicas, began, seconds, tell))
            last_kill_s = seconds * _KILL_AT[-1]

            def is_over() -> bool:
                now = _now() - began
                upstream.well = now < last_kill_s + LEASE_S / 2
                done = now > last_kill_s + LEASE_S + _NEVER_S and spending.spent.refused_in_a_row > 2 * clients
                return done or now > _PATIENCE * seconds

            await spending.run(clients, is_over)
            await killing
            took = _now() - began
            tell("Waiting until all is recorded …")
            lost, doubled = await _compare(replicas, spending.spent)
            return _proof(amount_microusd, upstream, spending.spent, lost, doubled, len(_KILL_AT), took, clients)


async def prove_at(
    target: Address, key: str, model: str, upstream: BillingUpstream, amount_microusd: int, clients: int, seconds: float,
    seed: int, tell: Tell,
) -> Proof:  # fmt: skip
    """Spend from a gateway that is there, and whose `model` leads to the upstream."""
    async with upstream:
        tell(f"The provider that bills is at {upstream.base_url}. {clients} clients spend at the gateway …")
        spending = Clients([target], key, model, seed)
        began = _now()

        def is_over() -> bool:
            now = _now() - began
            upstream.well = now < seconds / 2
            return now > _PATIENCE * seconds or (now > _NEVER_S and spending.spent.refused_in_a_row > 2 * clients)

        await spending.run(clients, is_over)
        took = _now() - began
        return _proof(amount_microusd, upstream, spending.spent, None, None, 0, took, clients)


async def _kill(replicas: Replicas, began: float, seconds: float, tell: Tell) -> None:
    for replica, part in zip(replicas.all[1:], _KILL_AT, strict=False):
        await asyncio.sleep(max(0.0, began + part * seconds - _now()))
        replica.kill()
        tell(f"Gateway {replica.number} was killed, and is started again.")
        replica.start()


async def _compare(replicas: Replicas, spent: Spent) -> tuple[int, int]:
    """Return how many answers have no record, and how many have several, when records have stopped coming."""
    wanted = set(spent.acknowledged)
    until = _now() + _SETTLED_S
    while True:
        try:
            counts = Counter(str(record["id"]) for record in await replicas.records())
        except Unreached:
            counts = Counter()
        lost = len(wanted - counts.keys())
        if not lost or _now() > until:
            return lost, sum(count > 1 for count in counts.values())
        await asyncio.sleep(1.0)


def _proof(
    amount: int, upstream: BillingUpstream, spent: Spent, lost: int | None, doubled: int | None, kills: int, took: float,
    clients: int,
) -> Proof:  # fmt: skip
    billed = upstream.billed_microusd
    return Proof(
        overspend_microusd=max(0, billed - amount),
        spendable_share=round(min(1.0, billed / amount), 4),
        lost=lost,
        doubled=doubled,
        amount_microusd=amount,
        billed_microusd=billed,
        calls=spent.calls,
        answered=len(spent.acknowledged),
        refused=spent.refused,
        broken=spent.broken,
        kills=kills,
        exhausted=spent.refused_in_a_row >= clients,
        seconds=round(took, 1),
    )
