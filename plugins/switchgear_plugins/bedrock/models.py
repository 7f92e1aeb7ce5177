"""The models of a region: foundation models that can be called by their own name, then inference profiles.

Wire: docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html, …/API_ListInferenceProfiles.html. The
first list comes whole, the second in pages.
"""

import msgspec
from msgspec import Struct

from switchgear.contracts.provider import DiscoveredModel, Head, ModelPage
from switchgear.wire.members import BROKEN
from switchgear_plugins.bedrock.faults import protocol_fault, read_fault

_PROFILES = "profiles"
_NEXT = "next:"
_PAGE = "1000"


class _Model(Struct, rename="camel"):
    model_id: str
    model_name: str | None = None
    provider_name: str | None = None
    output_modalities: list[str] = []
    inference_types_supported: list[str] = []


class _Profile(Struct, rename="camel"):
    inference_profile_id: str
    inference_profile_arn: str
    inference_profile_name: str | None = None
    type: str = "SYSTEM_DEFINED"


class _Page(Struct, rename="camel"):
    model_summaries: list[_Model] | None = None
    inference_profile_summaries: list[_Profile] | None = None
    next_token: str | None = None


_decoder = msgspec.json.Decoder(_Page)


def page_address(cursor: str | None) -> tuple[str, list[tuple[str, str]]]:
    """Return path and query of a page. Raises ValueError for a cursor that `read_page` did not make."""
    if cursor is None:
        return "/foundation-models", []
    if cursor == _PROFILES:
        return "/inference-profiles", [("maxResults", _PAGE)]
    if not cursor.startswith(_NEXT):
        raise ValueError("the cursor is not one of this provider's")
    return "/inference-profiles", [("maxResults", _PAGE), ("nextToken", cursor.removeprefix(_NEXT))]


def read_page(head: Head, body: bytes) -> ModelPage:
    """Read one page. Raises `ProviderFault`."""
    if not 200 <= head.status < 300:  # noqa: PLR2004 - HTTP's classes
        raise read_fault(head, body)
    try:
        page = _decoder.decode(body)
    except BROKEN:
        raise protocol_fault(head) from None
    if page.model_summaries is not None:
        return ModelPage(tuple(_discovered(one) for one in page.model_summaries if _callable(one)), _PROFILES)
    if page.inference_profile_summaries is None:
        raise protocol_fault(head)
    profiles = tuple(
        DiscoveredModel(
            # A profile of the account is called by its ARN; its id alone says nothing.
            one.inference_profile_arn if one.type == "APPLICATION" else one.inference_profile_id,
            title=one.inference_profile_name,
        )
        for one in page.inference_profile_summaries
    )
    return ModelPage(profiles, _NEXT + page.next_token if page.next_token else None)


def _callable(model: _Model) -> bool:
    return "ON_DEMAND" in model.inference_types_supported and bool({"TEXT", "EMBEDDING"} & {*model.output_modalities})


def _discovered(model: _Model) -> DiscoveredModel:
    return DiscoveredModel(model.model_id, title=model.model_name, owned_by=model.provider_name)
