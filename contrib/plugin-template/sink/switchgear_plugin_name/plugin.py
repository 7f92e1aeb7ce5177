import asyncio
from collections.abc import Sequence
from pathlib import Path

from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.kernel import RecordSink
from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow


class PluginNameSink:
    """Adds records to a file of JSON lines for each kind. They come at least once: a reader goes by `id` and `at_us`."""

    kinds: frozenset[str] = frozenset()  # of every kind; name some to get those alone

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def write(self, kind: RecordKind, rows: Sequence[RecordRow]) -> None:
        """Take a batch. Whatever this raises has it tried again later."""
        lines = b"".join(b'{"id":"%b","at_us":%d,"body":%b}\n' % (row.id.encode(), row.at_us, row.body) for row in rows)
        await asyncio.to_thread(self._append, self._directory / f"{kind.name}.jsonl", lines)

    def _append(self, file: Path, lines: bytes) -> None:
        with file.open("ab") as out:
            out.write(lines)


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the sink."""

    api = 1

    def switchgear_record_sinks(self) -> list[Offer[RecordSink]]:
        """Offer it."""
        return [Offer("plugin_name", lambda: PluginNameSink(self.context.data_dir))]
