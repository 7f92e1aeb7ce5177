import pytest
from switchgear_plugin_name.plugin import PluginNamePolicy

from switchgear.contracts.principal import Principal
from switchgear.errors import InvalidRequest
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters, make_exchange


class TestPluginNamePolicy(PolicySuite):
    def make(self, counters: WatchedCounters) -> PluginNamePolicy:
        return PluginNamePolicy(100)


@pytest.mark.parametrize("wanted", [None, 100])
def test_lets_pass_what_is_short_enough(wanted: int | None) -> None:
    x = make_exchange(Principal("k", "key"))
    x.call.max_tokens = wanted
    PluginNamePolicy(100).admit(x)


def test_refuses_what_is_too_long() -> None:
    x = make_exchange(Principal("k", "key"))
    x.call.max_tokens = 101
    with pytest.raises(InvalidRequest, match="at most 100 tokens"):
        PluginNamePolicy(100).admit(x)
