"""New settings while running: for plugins that can take them, all or nothing, and what takes a restart is named."""

import pytest
from structlog.testing import capture_logs

from support.distributions import Site
from switchgear.errors import ConfigError

PLUGINS = """
    import msgspec

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        size: int = 1

    class Live(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings
        live = True

        def reconfigure(self, settings):
            if settings.size > 99:
                raise OSError("too large")
            super().reconfigure(settings)

    class Fixed(switchgear.Plugin[Settings]):
        api = 1
        settings_type = Settings
"""


@pytest.fixture
def made(kernel, site: Site):
    site.add("acme", {"live": "Live", "fixed": "Fixed", "other": "Fixed"}, PLUGINS)
    made = kernel(toml=tables("[plugins.live]", "enabled = true", "[plugins.fixed]", "enabled = true"))
    made.boot()
    return made


@pytest.fixture
def again(made, configure, tmp_path):
    """Read a configuration again and hand it to the kernel."""

    def read(*lines: str) -> list[str]:
        return made.reconfigure(configure(f"[gateway]\ndata_dir = '{tmp_path / 'data'}'\n{tables(*lines)}"))

    return read


def tables(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def sizes(kernel) -> dict[str, tuple[int, int]]:
    return {item.installed.name: (item.plugin.settings.size, item.settings.size) for item in kernel.plugins}


def test_a_live_plugin_takes_its_new_settings_and_another_takes_a_restart(made, again):
    lines = ("[plugins.live]", "enabled = true", "size = 2", "[plugins.fixed]", "enabled = true", "size = 2")
    assert ["fixed"] == again(*lines)
    assert {"live": (2, 2), "fixed": (1, 1)} == sizes(made)
    assert ["fixed"] == again(*lines)


def test_nothing_changes_when_anything_is_wrong(made, again):
    with pytest.raises(ConfigError) as caught:
        again("[plugins.live]", "enabled = true", "size = 2", "[plugins.fixed]", "enabled = true", "sise = 'a'")
    assert "[plugins.fixed] sise: there is no such setting. Did you mean `size`?" in str(caught.value)
    assert {"live": (1, 1), "fixed": (1, 1)} == sizes(made)


def test_a_plugin_that_raises_keeps_its_settings_and_is_named(made, again):
    with capture_logs() as logs:
        assert ["live"] == again("[plugins.live]", "enabled = true", "size = 100", "[plugins.fixed]", "enabled = true")
    assert [("live", "reconfigure")] == [(entry["plugin"], entry["what"]) for entry in logs]
    assert (1, 1) == sizes(made)["live"]


def test_what_is_switched_on_or_off_and_the_gateways_own_settings_take_a_restart(again):
    assert ["fixed", "gateway", "other"] == again(
        "port = 1", "[plugins.live]", "enabled = true", "[plugins.other]", "enabled = true"
    )
