"""What is written wrong is refused where it is written, in words, and what is meant is taken."""

from pathlib import Path
from typing import Any

import pytest

from kernel.upstream.peer import Peer, answers
from support.faultup import FaultUpstream
from support.gateway import PROVIDER_KEY, Running
from switchgear.config import load
from switchgear.errors import BootError, ConfigError
from switchgear.kernel import Kernel

MERGE = {"content-type": "application/merge-patch+json"}


async def refusal(gateway: Running, **members: Any) -> str:
    answer = await gateway.admin.post("/providers", json={"id": "x", "type": "openai_compatible", **members})
    assert 422 == answer.status_code, answer.text
    return answer.text


async def test_a_query_of_the_address_stands_behind_the_path(gateway: Running) -> None:
    async with Peer(answers) as peer:
        base_url = f"http://127.0.0.1:{peer.port}/v1?api-version=1"
        await gateway.create("providers", id="x", type="openai_compatible", base_url=base_url)
        await gateway.chat(model="x/any")
        assert peer.requests[0].start.startswith("POST /v1/chat/completions?api-version=1 ")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"base_url": "http://127.0.0.1:1/v1#f"}, "fragment"),
        ({"base_url": "http://127.0.0.1:1/v1?api_key=sk-1"}, "No secret in the address"),
        ({"base_url": "http://127.0.0.1:1/v1?sv=1&sig=abc"}, "No secret in the address"),
        ({"base_url": "http://u:p@127.0.0.1:1/v1"}, "No user or password"),
        ({"base_url": "http://127.0.0.1:1", "proxy": "http://u:p@127.0.0.1:3128"}, "proxy_auth"),
        ({"base_url": "http://127.0.0.1:1", "proxy_auth": "u:p"}, "proxy_auth"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"auth_header": "x\r\ny: z"}}, "auth_header"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"auth_header": "Host"}}, "auth_header"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"auth_scheme": "a\r\nb: c"}}, "auth_scheme"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"models_path": "/a\r\nb: c"}}, "models_path"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"models_path": "/../../x"}}, "models_path"),
        ({"base_url": "http://127.0.0.1:1", "settings": {"models_path": "/%2e%2e/x"}}, "models_path"),
    ],
)
async def test_providers_that_could_never_be_meant(gateway: Running, members: dict[str, Any], why: str) -> None:
    assert why in await refusal(gateway, **members)


async def test_what_a_proxy_wants_is_a_secret_of_its_provider(gateway: Running) -> None:
    secret = "user:a-canary-of-the-proxy"
    members = {"base_url": "http://127.0.0.1:1", "proxy": "http://127.0.0.1:3128"}
    made = await gateway.create("providers", id="x", type="openai_compatible", **members, proxy_auth=secret)
    assert "canary" not in str(made)
    away = {"proxy": "http://127.0.0.2:3128"}
    assert 422 == (await gateway.admin.patch("/providers/x", json=away, headers=MERGE)).status_code
    assert (
        200
        == (
            await gateway.admin.patch("/providers/x", json={**away, "proxy_auth": "u:other"}, headers=MERGE)
        ).status_code
    )


async def test_secrets_are_taken_as_they_are_meant_or_refused(gateway: Running, upstream: FaultUpstream) -> None:
    for value, why in (('"sk-1"', "quotes"), ("sk-\u0430", "not ASCII")):
        source = {"backend": "encrypted", "values": {"api_key": value}}
        answer = await gateway.admin.post("/credentials", json={"id": "x", "type": "openai", "source": source})
        assert (422, True) == (answer.status_code, why in answer.text)
    source = {"backend": "encrypted", "values": {"api_key": f"{PROVIDER_KEY}\n"}}
    await gateway.create("credentials", id="x", type="openai", source=source)
    await gateway.create("providers", id="x", type="openai", base_url=upstream.base_url, credential_id="x")
    assert 200 == (await gateway.chat(model="x/any")).status_code


async def test_lists_are_filtered_by_what_is_in_them(gateway: Running) -> None:
    await gateway.create("providers", id="a", type="echo", tags=["t", "u"], metadata={"team": "red"})
    await gateway.create("providers", id="b", type="echo", tags=["u"], enabled=False)

    async def found(**filters: str) -> list[str]:
        answer = await gateway.admin.get("/providers", params=filters)
        assert 200 == answer.status_code, answer.text
        return [it["id"] for it in answer.json()["data"]]

    assert ["a"] == await found(tags="t")
    assert ["a", "b"] == await found(tags="u")
    assert ["a"] == await found(**{"metadata.team": "red"})
    assert ["b"] == await found(enabled="false")
    for bad in (
        {"metadata": "x"},
        {"enabled": "True"},
        {"enabled": "1"},
        {"id.x": "a"},
        {"tags.x": "a"},
        {"metadata.": "x"},
    ):
        answer = await gateway.admin.get("/providers", params=bad)
        assert 400 == answer.status_code, bad


def boot(directory: Path, text: str, **environ: str) -> Kernel:
    (directory / "plugins.toml").write_text(text)
    kernel = Kernel(load(directory / "plugins.toml", environ=environ))
    kernel.boot()
    return kernel


def test_the_admin_key_is_the_one_that_is_meant(tmp_path: Path) -> None:
    for written in ("a-good-admin-key\n", " a-good-admin-key ", "\ufeffa-good-admin-key\r\n"):
        assert "a-good-admin-key" == boot(tmp_path, "", ADMIN_KEY=written).config.gateway.admin_key
    assert boot(tmp_path, "", ADMIN_KEY=" ").config.gateway.admin_key is None
    for written, why in (('"a-good-admin-key"', "quotes"), ("\u0430-good-admin-key", "not ASCII")):
        with pytest.raises(BootError, match=why):
            boot(tmp_path, "", ADMIN_KEY=written)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "plugins.toml").write_bytes(b"\xef\xbb\xbf[gateway]\nport = 1234\n")
    assert 1234 == load(tmp_path / "plugins.toml", environ={}).gateway.port


def test_a_plugins_toml_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "plugins.toml").mkdir()
    for path in (tmp_path / "plugins.toml", None):
        with pytest.raises(ConfigError, match="it is a directory"):
            load(path, environ={}, directory=tmp_path)


def test_what_a_setting_may_be_is_listed(tmp_path: Path) -> None:
    with pytest.raises(BootError, match=r"debug.*error.*info.*warning"):
        boot(tmp_path, '[gateway]\nlog_level = "loud"\n')


def test_without_a_home_it_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(ConfigError, match="set HOME"):
        _ = load(None, environ={}, directory=tmp_path).gateway.data_path
