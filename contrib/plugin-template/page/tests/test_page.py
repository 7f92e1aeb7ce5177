from switchgear_plugin_name.plugin import PluginNamePlugin

from switchgear import NoSettings
from switchgear.testing.context import PluginContext


def test_its_module_is_among_its_files(plugin_context: PluginContext) -> None:
    plugin = PluginNamePlugin(NoSettings(), plugin_context)
    [assets], [page] = plugin.switchgear_assets(), plugin.switchgear_ui_pages()
    assert (assets.directory / page.module).is_file()
    assert "export const show" in (assets.directory / page.module).read_text()
