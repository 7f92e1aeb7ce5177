"""Announces, once in a period, that so much of a budget is spent."""

import asyncio

from switchgear import Context
from switchgear.contracts.event import Event
from switchgear.errors import SwitchgearError
from switchgear_plugins.budgets.live import Budget
from switchgear_plugins.budgets.policy import BudgetsPolicy

EVENT = "budgets.threshold"
EVERY_S = 1.0
_MOST_TOLD = 200_000


class Thresholds:
    """Looks at the budgets that something was spent of. Of many gateways, and after a restart, the first announces."""

    def __init__(self, context: Context, policy: BudgetsPolicy) -> None:
        self._context = context
        self._policy = policy
        self._told: set[tuple[str, str | None, int, int]] = set()
        self._crossed = context.metrics.counter(
            "budgets_thresholds", "Thresholds of budgets that were crossed.", ("budget", "percent")
        )

    async def run(self) -> None:
        """Look for ever, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Announce what was crossed since somebody looked."""
        touched, self._policy.touched = self._policy.touched, {}
        exhausted, self._policy.exhausted = self._policy.exhausted, set()
        if not touched:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        held: dict[tuple[str, int | None], int] = {}
        for buckets, _ in self._policy.seeds.held.values():
            for bucket in buckets:
                name = bucket.key, bucket.start_us
                held[name] = held.get(name, 0) + bucket.amount
        now_us = self._context.ambient.now_us()
        for (id, whose), budget in touched.items():
            bucket = budget.bucket(whose, now_us, 0)
            try:
                [room] = await self._policy.seeds.peek((bucket,))
                if not room.seeded:
                    continue
                spent = bucket.limit - room.remaining - held.get((bucket.key, bucket.start_us), 0)
                await self._tell(budget, whose, now_us, budget.amount if (id, whose) in exhausted else spent)
            except SwitchgearError as error:
                self._policy.touched.setdefault((id, whose), budget)
                self._context.log.warning("thresholds of a budget could not be looked at", budget=id, error=str(error))

    async def _tell(self, budget: Budget, whose: str | None, now_us: int, spent: int) -> None:
        begin_us, _ = budget.bounds(now_us)
        for percent in budget.spec.thresholds:
            line = budget.id, whose, begin_us, percent
            if spent * 100 < percent * budget.amount or (not spent and budget.amount) or line in self._told:
                continue
            async with self._context.tables.transaction() as t:
                is_first = await t.execute(
                    "cross", budget=budget.id, whose=whose or "", begin_us=begin_us, percent=percent, at_us=now_us
                )
            self._told.add(line)
            if is_first:
                self._announce(budget, whose, now_us, percent, spent)

    def _announce(self, budget: Budget, whose: str | None, now_us: int, percent: int, spent: int) -> None:
        self._crossed.child(budget.id, str(percent)).inc()
        begin_us, end_us = budget.bounds(now_us)
        data = {
            "id": budget.id, "whose": whose, "percent": percent, "spent_microusd": spent, "amount_microusd": budget.amount,
            "mode": budget.spec.mode, "begin_us": begin_us, "end_us": end_us,
        }  # fmt: skip
        self._context.log.warning("a threshold of a budget is crossed", **data)
        self._context.emit(Event(EVENT, now_us, data))
