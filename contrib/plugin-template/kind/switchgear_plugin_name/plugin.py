import msgspec

from switchgear import NoSettings, Plugin
from switchgear.contracts.resource import Reference, Resource, ResourceKind, View


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stored of one, `id` aside."""

    text: str
    model: str | None = None


def compiled(resource: Resource[Greeting], view: View) -> str:
    """Make what requests use (`x.snapshot.live("plugin-names", id)`). Raises ValueError to refuse the write."""
    if not resource.spec.text.strip():
        raise ValueError("`text` says nothing")
    return resource.spec.text.upper()


PLUGIN_NAMES = ResourceKind(
    name="plugin-names",  # /admin/v1/plugin-names, and [plugin-names.ID] in files
    title="plugin-name",
    spec=Greeting,
    references=(Reference("model", "callable"),),  # a model, an alias, a pool: whoever answers to the name
    compile=compiled,
)


class PluginNamePlugin(Plugin[NoSettings]):
    """Brings the kind of resource."""

    api = 1

    def switchgear_resource_kinds(self) -> list[ResourceKind]:
        """Declare it."""
        return [PLUGIN_NAMES]
