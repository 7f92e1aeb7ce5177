"""The kind of resource that attaches policies to exchanges by selector."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from switchgear.catalogue import checks
from switchgear.contracts.policy import Policy
from switchgear.contracts.principal import Principal
from switchgear.contracts.resource import Problem, Resource, ResourceKind, View
from switchgear.exchange.attachments import KIND, Attachment, Selector
from switchgear.offer import Offer


class AttachmentSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy that runs in the exchanges that `selector` means: all if it is empty. `settings` are the policy's own there."""

    policy: str
    selector: Selector = Selector()
    settings: dict[str, Any] = {}
    enabled: bool = True


class PolicyAttachments:
    """Declares the kind over the policies that are offered; which of them are `attachable` is known once they are made."""

    def __init__(self, offers: Mapping[str, Offer[Policy]]) -> None:
        self._offers = offers
        self.attachable: frozenset[str] | None = None

    def kind(self) -> ResourceKind[AttachmentSpec, Attachment]:
        """Return the declaration."""
        return ResourceKind(
            name=KIND, title="policy attachment", spec=AttachmentSpec, validate=self._validate, compile=self._compile
        )

    def _validate(self, spec: AttachmentSpec, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG002 - the kind's form
        can = self._offers if self.attachable is None else {name: self._offers[name] for name in self.attachable}
        if spec.policy in self._offers and spec.policy not in can:
            return [Problem("/policy", f"`{spec.policy}` runs in every exchange; attachable: {checks.listed(can)}.")]
        if problems := checks.one_of("/policy", spec.policy, can, "attachable policy"):
            return problems
        return [
            *checks.fits("/settings", spec.settings, self._offers[spec.policy].settings_type),
            *(
                Problem(
                    f"/selector/labels/{name}", "A label lists the values of which one must fit; this has no value."
                )
                for name, values in spec.selector.labels.items()
                if not values
            ),
        ]

    def _compile(self, resource: Resource[AttachmentSpec], view: View) -> Attachment:  # noqa: ARG002 - the kind's form
        spec = resource.spec
        offer = self._offers.get(spec.policy)
        if offer is None:
            raise ValueError(f"no enabled plugin offers the policy {spec.policy!r}")
        settings = msgspec.convert(spec.settings, offer.settings_type)
        return Attachment(resource.id, spec.policy, spec.selector, settings, spec.enabled)
