from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchgear import Offer, Plugin
from switchgear.contracts.kernel import Assets, UIPage
from switchgear.contracts.policy import Policy
from switchgear.contracts.resource import ResourceKind
from switchgear_plugins.prompts.policy import PromptsPolicy
from switchgear_plugins.prompts.resources import prompts
from switchgear_plugins.prompts.settings import PromptsSettings
from switchgear_plugins.prompts.shelf import Shelf

if TYPE_CHECKING:
    import click
    from litestar.handlers import HTTPRouteHandler


class PromptsPlugin(Plugin[PromptsSettings]):
    """Prompts that are kept by the gateway and referred to by calls: the kind, the policy, a library, rendering."""

    api = 1
    settings_type = PromptsSettings
    requires = ("store",)

    def switchgear_resource_kinds(self) -> list[ResourceKind[Any, Any]]:
        """Declare `prompts`."""
        return [prompts()]

    def switchgear_policies(self) -> list[Offer[Policy]]:
        """Offer the policy that replaces references."""
        return [
            Offer(
                "prompts",
                lambda: PromptsPolicy(self.shelf, self.settings),
                summary="Says what the prompts say that calls refer to",
            )
        ]

    def switchgear_assets(self) -> list[Assets]:
        """Bring the files of its pages."""
        return [Assets(Path(__file__).parent / "assets")]

    def switchgear_ui_pages(self) -> list[UIPage]:
        """Bring its pages of the console."""
        return [
            UIPage("try", "Try", "try.js", kind="prompts", panel=True),
            UIPage("edit", "Edit", "edit.js", kind="prompts", panel=True),
            UIPage("prompt-library", "Prompt library", "library.js", group="Resources"),
        ]

    def switchgear_routes(self) -> "list[HTTPRouteHandler]":
        """Bring rendering and the library."""
        from switchgear_plugins.prompts.routes import prompts_handlers  # noqa: PLC0415 - Litestar takes long to import

        return prompts_handlers(self.context, self.settings)

    def switchgear_commands(self) -> "list[click.Command]":
        """Bring `switchgear prompts`."""
        from switchgear_plugins.prompts.commands import prompts as group  # noqa: PLC0415 - a gateway has no use for it

        return [group]

    @cached_property
    def shelf(self) -> Shelf:
        """What finds them; there is none before the store is open."""
        return Shelf(self.context.store)
