from switchgear_plugin_name.plugin import PluginNameCounters

from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.counters_suite import CountersSuite


class TestPluginNameCounters(CountersSuite):
    def make(self, ambient: FixedAmbient) -> PluginNameCounters:
        return PluginNameCounters(ambient)
