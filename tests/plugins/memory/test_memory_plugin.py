import subprocess
import sys

import pytest

from switchgear.testing.context import PluginContext
from switchgear_plugins.memory.plugin import MemoryPlugin
from switchgear_plugins.memory.settings import MemorySettings


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        (MemorySettings(), (["memory"], [])),
        (MemorySettings(store=True), (["memory"], ["memory"])),
        (MemorySettings(store=True, counters=False), ([], ["memory"])),
    ],
)
def test_it_offers_what_the_settings_say(settings, offered, tmp_path):
    plugin = MemoryPlugin(settings, PluginContext("memory", tmp_path))
    assert offered == (
        [offer.name for offer in plugin.switchgear_counters()],
        [offer.name for offer in plugin.switchgear_stores()],
    )


async def test_the_offers_make_working_things(plugin_context):
    plugin = MemoryPlugin(MemorySettings(store=True), plugin_context)
    store = plugin.switchgear_stores()[0].factory()
    await store.open()
    assert 0 == await store.revision()
    await store.close()
    assert plugin.switchgear_counters()[0].factory().reserve("a", [], 1).refused is None


def test_the_store_is_not_imported_for_its_counters():
    script = "import sys, switchgear_plugins.memory.plugin; print('switchgear_plugins.memory.store' in sys.modules)"
    assert (
        "False"
        == subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    )
