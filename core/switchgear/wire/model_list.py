"""Lists of models, as `GET /models` of OpenAI's API and its kin gives them (platform.openai.com/docs/api-reference/models/list).

The list is `{"data": […]}` or bare. Windows have many names: each is taken where it is found.
"""

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import DiscoveredModel, Head, ModelPage
from switchgear.wire.chat import decode_fault
from switchgear.wire.members import BROKEN, decode_text


class _Model(Struct):
    id: str
    name: str | None = None
    display_name: str | None = None
    owned_by: str | None = None
    organization: str | None = None
    created: int | float | None = None
    created_at: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    max_context_length: int | None = None
    max_model_len: int | None = None
    max_completion_tokens: int | None = None


class _List(Struct):
    data: list[_Model]


_decoder = msgspec.json.Decoder(_List | list[_Model])


def read_models(head: Head, body: bytes) -> ModelPage:
    """Read the list, which is whole. Raises `ProviderFault`, also for a status that is not 2xx."""
    if not 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
        raise decode_fault(head.status, body, head)
    try:
        found = decode_text(_decoder, body)
    except BROKEN:
        raise decode_fault(head.status, body, head) from None
    return ModelPage(tuple(_discovered(model) for model in (found.data if isinstance(found, _List) else found)))


def _discovered(model: _Model) -> DiscoveredModel:
    title = model.display_name or model.name
    created = model.created or model.created_at
    return DiscoveredModel(
        name=model.id,
        title=None if title == model.id else title,
        owned_by=model.owned_by or model.organization,
        created_us=int(created) * 1_000_000 if created else None,
        context_window=model.context_length or model.context_window or model.max_context_length or model.max_model_len,
        max_output_tokens=model.max_completion_tokens,
    )
