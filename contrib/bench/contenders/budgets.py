"""The gateway with budgets: the model has prices, and each request reserves from two hard budgets, which are large enough."""

from contenders.base import Contender, Options, Target
from contenders.switchgear import Switchgear

_NEVER_SPENT = 10**15


class Budgets(Switchgear):
    name = "budgets"

    def provision(self, url: str, upstream: str) -> Target:
        target = super().provision(url, upstream)
        self.admin(url, f"models/{target.model}", {"pricing": {"input": 150_000, "output": 600_000}}, method="PATCH")
        for id, scope in (("all", {"all": True}), ("each-key", {"each": "key"})):
            budget = {"id": id, "scope": scope, "amount_microusd": _NEVER_SPENT, "period": "month"}
            self.admin(url, "budgets", budget)
        return target


def make(options: Options) -> Contender:
    return Budgets(options)
