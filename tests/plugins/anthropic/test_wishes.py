"""What a client of the Messages API says in headers: its version and its opt-ins."""

import json

import pytest
from msgspec import Raw

from plugins.anthropic.inbound import MESSAGES
from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.contracts.provider import ProviderConfig
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_suite import MODEL
from switchgear_plugins.anthropic.provider import AnthropicProvider
from switchgear_plugins.anthropic.settings import AnthropicProviderSettings
from switchgear_plugins.vertex.provider import VertexProvider
from switchgear_plugins.vertex.settings import VertexProviderSettings

BODY = {
    "model": Raw(b'"m"'),
    "max_tokens": Raw(b"5"),
    "messages": Raw(b'[{"role":"user","content":"hi"}]'),
}


def parsed(**headers: bytes):
    return MESSAGES.parse(dict(BODY), {name.replace("_", "-").encode(): value for name, value in headers.items()})


def provider(**settings) -> AnthropicProvider:
    return AnthropicProvider(ProviderConfig("p", None, {}, AnthropicProviderSettings(**settings), Ambient()))


def sent(made: AnthropicProvider, **headers: bytes) -> dict[str, str]:
    return made.prepare(parsed(**headers), MODEL, Secret({"api_key": "k"})).headers


def test_they_go_to_a_provider_of_that_api():
    headers = sent(provider(), anthropic_version=b"2026-10-21", anthropic_beta=b"a-1, b-2")
    assert ("2026-10-21", "a-1,b-2") == (headers["anthropic-version"], headers["anthropic-beta"])


def test_the_settings_stand_where_the_client_says_nothing():
    headers = sent(provider(version="2023-06-01", betas=("ours-1",)))
    assert ("2023-06-01", "ours-1") == (headers["anthropic-version"], headers["anthropic-beta"])


def test_opt_ins_of_both_sides_add_up():
    assert "ours-1,a-1" == sent(provider(betas=("ours-1",)), anthropic_beta=b"a-1,ours-1")["anthropic-beta"]


def test_no_other_header_of_the_client_goes_along():
    assert "x-evil" not in sent(provider(), x_evil=b"1")
    assert "k" == sent(provider(), x_api_key=b"theirs")["x-api-key"]


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a b", b"a;b", b",", b"\xff", b"a," * 70])
def test_what_is_no_list_of_words_is_refused(value: bytes):
    with pytest.raises(InvalidRequest) as caught:
        parsed(anthropic_beta=value)
    assert "anthropic-beta" == caught.value.param


def test_elsewhere_they_are_in_the_body_or_dropped():
    settings = VertexProviderSettings(project="proj-1", location="us-east5")
    vertex = VertexProvider(ProviderConfig("v", None, {}, settings, Ambient()))
    model = type(MODEL)(id="c", name="claude-sonnet-4-5", name_json=Raw(b'"claude-sonnet-4-5"'))
    body = vertex.prepare(
        parsed(anthropic_beta=b"context-1m-2025-08-07,a-1"), model, Secret({"access_token": "t"})
    ).body
    assert ["context-1m-2025-08-07"] == json.loads(body)["anthropic_beta"]
    assert ("anthropic-beta",) == MESSAGES.canonical(parsed(anthropic_beta=b"a-1")).dropped
