from types import SimpleNamespace
from typing import Any, ClassVar

from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.kind_suite import ResourceKindSuite
from switchgear_plugins.routing.aliases import aliases
from switchgear_plugins.routing.chains import chains
from switchgear_plugins.routing.pools import pools

SOMEBODY: Any = SimpleNamespace(enabled=True, owned_by="somebody", created_us=0, plan=lambda x: None)
LIVE = {("callable", "m"): SOMEBODY, ("callable", "n"): SOMEBODY}


class TestAliases(ResourceKindSuite):
    kind: ClassVar = aliases()
    examples: ClassVar = ({"target": "m", "config": {"temperature": 0.5}, "tags": ["a"]},)
    live: ClassVar = LIVE


class TestPools(ResourceKindSuite):
    kind: ClassVar = pools(FixedAmbient())
    examples: ClassVar = ({"targets": [{"model": "m", "weight": 3}, {"model": "n"}], "strategy": "weighted"},)
    refused: ClassVar = (({"targets": []}, "/targets"),)
    live: ClassVar = LIVE


class TestChains(ResourceKindSuite):
    kind: ClassVar = chains()
    examples: ClassVar = (
        {
            "steps": [{"target": "m", "max_latency_ms": 300}, {"target": "n"}],
            "recovery": "buffer",
            "hedge_after_ms": 100,
        },
    )
    refused: ClassVar = (({"steps": []}, "/steps"),)
    live: ClassVar = LIVE
