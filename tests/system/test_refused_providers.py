"""A provider that could never be called is refused when it is written."""

from typing import Any

import pytest

from support.gateway import Running


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("proxy", "https://127.0.0.1:1"),
        ("ca_bundle", "/nonexistent"),
        ("client_cert", "/etc/passwd"),
        ("headers", {"Content-Length": "5"}),
        ("headers", {"Transfer-Encoding": "chunked"}),
        ("headers", {"Host": "elsewhere"}),
        ("timeouts", {"total": -1}),
        ("timeouts", {"connect": 0}),
    ],
)
async def test_it_is_named_by_field(gateway: Running, field: str, value: Any) -> None:
    body = {"id": "x", "type": "openai", "base_url": "https://api.example.com/v1", field: value}
    answer = await gateway.admin.post("/providers", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{field}")
