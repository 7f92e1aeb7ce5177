from switchgear_plugin_name.plugin import HideDigits, PluginNamePolicy

from switchgear.contracts.filter import Piece
from switchgear.testing.filter_suite import FilterSuite
from switchgear.testing.policy_suite import PolicySuite, WatchedCounters


class TestHideDigits(FilterSuite):
    texts = ("Call 555 0100.", "nothing", "")

    def make(self) -> HideDigits:
        return HideDigits()


class TestPluginNamePolicy(PolicySuite):
    def make(self, counters: WatchedCounters) -> PluginNamePolicy:
        return PluginNamePolicy()


def test_hides_digits_and_nothing_else() -> None:
    assert [Piece(0, "text", "Call ###.")] == HideDigits().feed(Piece(0, "text", "Call 555."))
