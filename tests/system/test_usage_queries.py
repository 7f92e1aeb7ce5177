"""What the usage endpoints refuse, they refuse as the client's mistake, naming the parameter. A date is a whole day."""

from datetime import UTC, datetime, timedelta

import pytest

from support.gateway import Running
from support.shared import gateway, shared_upstream

__all__ = ["gateway", "shared_upstream"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/usage", "since", "\u00b2"),
        ("/usage", "until", "9" * 400),
        ("/usage", "since", "yesterday"),
        ("/usage", "cursor", "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDA6eA"),  # a time of 24 digits
        ("/usage", "cursor", "LTE6eA"),  # -1
        ("/usage", "cursor", "\u00e9"),
        ("/usage", "status", "good"),
        ("/usage", "colour", "red"),
        ("/usage", "labels.", "x"),
        ("/usage", "labels.a b", "x"),
        ("/usage", "since", "20261130"),
        ("/usage", "since", "1764460800"),  # seconds
        ("/usage", "since", "1764460800000"),  # milliseconds
        ("/usage", "until", "9999-12-31"),
        ("/usage/summary", "by", "a,b"),
        ("/usage/summary", "by", "labels"),
        ("/usage/summary", "by", "labels.a b"),
    ],
)
async def test_a_bad_parameter_is_named(gateway: Running, path: str, name: str, value: str):
    answer = await gateway.admin.get(path, params={name: value})
    assert (400, True) == (answer.status_code, f"`{name}`" in answer.json()["detail"])


async def test_a_date_is_a_whole_day(gateway: Running):
    answer = await gateway.chat()
    record = await gateway.usage_of(answer.headers["x-request-id"])
    day = datetime.fromtimestamp(record["at_us"] / 1e6, UTC).date()
    before, after = str(day - timedelta(days=1)), str(day + timedelta(days=1))
    for params, there in (
        ({"since": str(day), "until": str(day)}, True),
        ({"since": before, "until": after}, True),
        ({"since": str(day)}, True),
        ({"until": before}, False),
        ({"since": after}, False),
        ({"since": f"{day}T00:00:00Z", "until": f"{day}T00:00:00Z"}, False),
        ({"since": str(record["at_us"]), "until": str(record["at_us"] + 1)}, True),
        ({"since": "0"}, True),
    ):
        found = await gateway.usage(request_id=record["id"], **params)
        assert there == bool(found), params


async def test_the_description_names_the_filters(gateway: Running):
    description = (await gateway.http.get("/openapi.json")).json()
    told = description["paths"]["/admin/v1/usage"]["get"]["description"]
    assert all(name in told for name in ("since", "until", "key_id", "labels.*"))
