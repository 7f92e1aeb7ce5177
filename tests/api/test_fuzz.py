import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchgear_plugins.memory.store import MemoryStore

CREDENTIALS = "/admin/v1/credentials"
MODELS = "/admin/v1/models"
TICKETS = "/admin/v1/tickets"


@pytest.fixture
async def store() -> Any:
    made = MemoryStore()
    await made.open()
    return made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "source", "backend", "values", "target", "weight", "tags"]) | st.text(max_size=4),
            inner,
        )
    ),
    max_leaves=12,
)


async def test_no_body_is_a_server_error(client: httpx.AsyncClient) -> None:
    source = {"backend": "sealed", "values": {"k": "v"}}
    assert (await client.post(CREDENTIALS, json={"id": "main", "source": source})).status_code == 201
    model = {"id": "gpt", "credential_id": "main", "upstream": "x"}
    assert (await client.post(MODELS, json=model)).status_code == 201
    bodies: list[bytes] = []

    @settings(max_examples=150, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(JSON | st.fixed_dictionaries({"id": st.just("x"), "source": JSON}))
    def collect(body: Any) -> None:
        bodies.append(json.dumps(body).encode())

    collect()
    routes = [
        ("POST", CREDENTIALS),
        ("POST", MODELS),
        ("POST", "/admin/v1/aliases"),
        ("POST", TICKETS),
        ("PUT", f"{MODELS}/gpt"),
        ("PATCH", f"{CREDENTIALS}/main"),
        ("POST", f"{MODELS}/gpt/restore"),
    ]
    for number, body in enumerate(bodies):
        method, url = routes[number % 7]
        answer = await client.request(method, url, content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 500, (method, url, body, answer.text)
