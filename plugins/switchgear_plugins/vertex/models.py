"""The models Google says it has.

Wire: ai.google.dev/api/models#method:-models.list,
docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1beta1/publishers.models/list.
"""

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import DiscoveredModel, Head, ModelPage, ProviderFault
from switchgear.wire.members import BROKEN
from switchgear_plugins.vertex.faults import read_fault


class _Model(Struct, rename="camel"):
    name: str
    display_name: str | None = None
    input_token_limit: int | None = None
    output_token_limit: int | None = None


class _Page(Struct, rename="camel"):
    models: list[_Model] = []
    publisher_models: list[_Model] = []
    next_page_token: str = ""


_decoder = msgspec.json.Decoder(_Page)


def read_models(head: Head, body: bytes) -> ModelPage:
    """Read one page. A publisher other than Google stays in the name, as `provider_model` wants it."""
    if head.status != 200:  # noqa: PLR2004 - OK
        raise read_fault(head, body)
    try:
        found = _decoder.decode(body)
    except BROKEN:
        raise ProviderFault("protocol", head.status) from None
    models = tuple(_model(model) for model in (*found.models, *found.publisher_models))
    return ModelPage(models, found.next_page_token or None)


def _model(model: _Model) -> DiscoveredModel:
    path = model.name.split("/")
    publisher = path[1] if path[0] == "publishers" and len(path) > 1 else "google"
    return DiscoveredModel(
        name=path[-1] if publisher == "google" else model.name,
        title=model.display_name,
        owned_by=publisher,
        context_window=model.input_token_limit,
        max_output_tokens=model.output_token_limit,
    )
