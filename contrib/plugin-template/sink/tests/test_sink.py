from pathlib import Path

import msgspec
from switchgear_plugin_name.plugin import PluginNamePlugin, PluginNameSink

from switchgear import NoSettings
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow
from switchgear.testing.context import PluginContext

KIND = RecordKind("usage", NoSettings)


async def test_keeps_what_it_is_given_in_order(tmp_path: Path) -> None:
    sink = PluginNameSink(tmp_path)
    await sink.write(KIND, [RecordRow("a", 1, b'{"n":1}'), RecordRow("b", 2, b'{"n":2}')])
    await sink.write(KIND, [RecordRow("c", 3, b'{"n":3}')])
    lines = (tmp_path / "usage.jsonl").read_bytes().splitlines()
    assert [("a", 1), ("b", 2), ("c", 3)] == [(it["id"], it["body"]["n"]) for it in map(msgspec.json.decode, lines)]


def test_its_files_are_the_plugins_own(plugin_context: PluginContext) -> None:
    [offer] = PluginNamePlugin(NoSettings(), plugin_context).switchgear_record_sinks()
    assert frozenset() == offer.factory().kinds
