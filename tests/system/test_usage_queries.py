"""What the usage endpoints refuse, they refuse as the client's mistake, naming the parameter."""

import pytest

from support.gateway import Running


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
        ("/usage/summary", "by", "a,b"),
    ],
)
async def test_a_bad_parameter_is_named(gateway: Running, path: str, name: str, value: str):
    answer = await gateway.admin.get(path, params={name: value})
    assert (400, True) == (answer.status_code, f"`{name}`" in answer.json()["detail"])
