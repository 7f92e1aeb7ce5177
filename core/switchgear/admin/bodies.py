"""Bodies of admin requests that are no resources, checked as those are."""

from typing import Any, TypeVar

from litestar import Request
from msgspec import Struct

from switchgear.admin import conditions
from switchgear.resources.body import MAX_DEPTH as MAX_DEPTH  # noqa: PLC0414 - here is where plugins take both from
from switchgear.resources.body import parse_json as parse_json  # noqa: PLC0414
from switchgear.resources.body import plain, refuse
from switchgear.resources.shape import decode

S = TypeVar("S", bound=Struct)


async def read(request: Request[Any, Any, Any], type: type[S]) -> S:
    """Decode a JSON body. Raises `ApiError`, naming every field that is wrong.

    The handler says `"body": type` in its `opt`, so that the API description has it.
    """
    conditions.require_media(request, conditions.JSON)
    found, problems = decode(type, plain(parse_json(await request.body())))
    refuse(problems)
    assert found is not None
    return found
