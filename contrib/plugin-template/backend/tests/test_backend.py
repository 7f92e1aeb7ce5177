from pathlib import Path

import pytest
from switchgear_plugin_name.plugin import PluginNameBackend

from switchgear.testing.credential_suite import CredentialBackendSuite

THERE = {"backend": "plugin_name", "file": "secret"}
NOT_THERE = {"backend": "plugin_name", "file": "none"}
VALUES = {"api_key": "sk-canary"}


class TestPluginNameBackend(CredentialBackendSuite):
    source = THERE
    values = VALUES
    absent = NOT_THERE

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("secret").write_text("sk-canary\n")

    def make(self) -> PluginNameBackend:
        return PluginNameBackend()
