"""What SCIM's clients are told of this service: its features, schemas and types."""

from typing import Any

from switchgear_plugins.scim.messages import GROUP, USER

_CORE = "urn:ietf:params:scim:schemas:core:2.0"
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def _attribute(name: str, type: str = "string", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "type": type, "multiValued": False, "required": False, "caseExact": False, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none", **more,
    }  # fmt: skip


def _listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemas": [_LIST],
        "totalResults": len(items),
        "startIndex": 1,
        "itemsPerPage": len(items),
        "Resources": items,
    }


_CONFIG = {
    "schemas": [f"{_CORE}:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
    "filter": {"supported": True, "maxResults": 200},
    "changePassword": {"supported": False},
    "sort": {"supported": False},
    "etag": {"supported": False},
    "authenticationSchemes": [
        {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token of [plugins.scim]",
            "primary": True,
        }
    ],
}
_VALUE = _attribute("value")
_SCHEMAS: list[dict[str, Any]] = [
    {"schemas": [f"{_CORE}:Schema"], "id": USER, "name": "User", "attributes": [
        _attribute("userName", required=True, uniqueness="server"), _attribute("externalId", caseExact=True),
        _attribute("displayName"), _attribute("name", "complex", subAttributes=[_attribute("formatted")]),
        _attribute("emails", "complex", multiValued=True, subAttributes=[_VALUE, _attribute("primary", "boolean")]),
        _attribute("active", "boolean"),
        _attribute("groups", "complex", multiValued=True, mutability="readOnly", subAttributes=[_VALUE]),
    ]},
    {"schemas": [f"{_CORE}:Schema"], "id": GROUP, "name": "Group", "attributes": [
        _attribute("displayName", required=True, uniqueness="server"), _attribute("externalId", caseExact=True),
        _attribute("members", "complex", multiValued=True, subAttributes=[_VALUE]),
    ]},
]  # fmt: skip
_TYPES: list[dict[str, Any]] = [
    {"schemas": [f"{_CORE}:ResourceType"], "id": name, "name": name, "endpoint": f"/{name}s", "schema": schema}
    for name, schema in (("User", USER), ("Group", GROUP))
]
DOCUMENTS: dict[str, Any] = {
    "ServiceProviderConfig": _CONFIG,
    "Schemas": _listed(_SCHEMAS),
    "ResourceTypes": _listed(_TYPES),
    **{f"Schemas/{it['id']}": it for it in _SCHEMAS},
    **{f"ResourceTypes/{it['id']}": it for it in _TYPES},
}
"""By path below /scim/v2."""
