"""No address that is not public is called, however it is written or reached."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.upstream.conftest import Clock, Connect, post
from kernel.upstream.peer import Peer, answers, until
from switchgear.errors import ConfigError, ConnectFailed, EgressDenied
from switchgear.upstream.egress import EgressPolicy
from switchgear.upstream.target import parse_target

DENIED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::10.1.2.3",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",
    "2002:0808:0808::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "2607:f8b0::5efe:7f00:1",
    "2607:f8b0::200:5efe:10.0.0.1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "4000::1",
    "not an address",
    "",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "172.32.0.1",
    "100.128.0.1",
]


@pytest.mark.parametrize("address", DENIED)
def test_an_address_that_is_not_public_is_denied(address: str) -> None:
    with pytest.raises(EgressDenied):
        EgressPolicy().check(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    EgressPolicy().check(address)


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1"],
    ids=["v4", "mapped", "nat64", "v6"],
)
def test_the_allow_list_exempts_networks(address: str) -> None:
    EgressPolicy(["10.1.0.0/16", "fd12::/16"]).check(address)


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.1", "64:ff9b::10.2.0.1", "2002:a01:203::1"])
def test_the_allow_list_exempts_nothing_else(address: str) -> None:
    with pytest.raises(EgressDenied):
        EgressPolicy(["10.1.0.0/16"]).check(address)


def test_a_bad_allow_list_names_every_entry() -> None:
    with pytest.raises(ConfigError) as caught:
        EgressPolicy(["10.0.0.0/8", "10.0.0.1/8", "vllm.internal"])
    assert 2 == len(caught.value.failures)
    assert "'10.0.0.1/8'" in caught.value.failures[0]
    assert "'vllm.internal'" in caught.value.failures[1]


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="169.254.0.0/16"))
def test_no_translated_form_of_a_private_address_passes(address: object) -> None:
    bits = int(address)  # type: ignore[call-overload]
    high, low = f"{bits >> 16:x}", f"{bits & 0xFFFF:x}"
    for form in (
        "::ffff:{}:{}",
        "::{}:{}",
        "64:ff9b::{}:{}",
        "64:ff9b:1::{}:{}",
        "2002:{}:{}::1",
        "::ffff:0:{}:{}",
    ):
        with pytest.raises(EgressDenied):
            EgressPolicy().check(form.format(high, low))


PROBES = [
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127\u30020\u30020\u30021:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://[::]:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://100.64.0.1/",
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://LOCALHOST:{port}/",
    "http://\uff4cocalhost:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:127.0.0.1:{port}",
    "http:///127.0.0.1:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "http://public.test@127.0.0.1:{port}/",
    "http://public.test:80#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\n:{port}/",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\0",
    "http://inside.test:{port}/",
    "http://mixed.test:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "unix:/var/run/docker.sock",
    "ws://127.0.0.1:{port}/",
    "javascript:alert(1)",
    "//127.0.0.1:{port}/",
    "/relative",
    "http://",
    "http://:{port}/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "",
]


def names(host: str) -> list[str]:
    """Know only names that lead inside; nothing here may reach a public address."""
    known = {"mixed.test": ["127.0.0.1", "10.9.9.9"], "public.test": []}
    return known.get(host, ["127.0.0.1"])


@pytest.mark.parametrize("probe", PROBES)
async def test_no_probe_reaches_the_inside(connect: Connect, probe: str) -> None:
    async with Peer(answers) as peer:
        with pytest.raises((EgressDenied, ConnectFailed) if "public.test" in probe else EgressDenied) as caught:
            await connect(allow=(), lookup=names).send(post(probe.format(port=peer.port)))
        assert "127" not in str(caught.value)
        assert 0 == peer.accepted


async def test_a_name_that_turns_to_the_inside_is_denied(connect: Connect, clock: Clock) -> None:
    """Rebinding: the first answer may be called, the next may not."""
    async with Peer(answers) as peer:
        given_out = ["127.0.0.1"]
        connection = connect(allow=("127.0.0.1/32",), lookup=lambda _: list(given_out))
        url = f"http://turns.test:{peer.port}/"
        await (await connection.send(post(url))).body(100)
        given_out[:] = ["127.0.0.2"]
        await (await connection.send(post(url))).body(100)  # fresh: nothing is looked up, the pinned address is used
        clock.ahead = 61.0
        with pytest.raises(EgressDenied):
            await connection.send(post(url))
        assert 2 == len(peer.requests)


async def test_a_stale_name_is_renewed_behind_the_calls_and_its_old_connections_dropped(
    connect: Connect, clock: Clock
) -> None:
    async with Peer(answers) as peer:
        asked: list[str] = []
        given_out = ["127.0.0.1"]

        def lookup(host: str) -> list[str]:
            asked.append(host)
            return list(given_out)

        connection = connect(allow=("127.0.0.0/8",), lookup=lookup)
        url = f"http://moves.test:{peer.port}/"
        await (await connection.send(post(url))).body(100)
        given_out[:] = ["127.0.0.9"]
        clock.ahead = 31.0
        await (await connection.send(post(url))).body(100)  # stale: still served by what is known
        await until(lambda: len(asked) == 2)

        async def moved() -> bool:
            try:
                await (await connection.send(post(url))).body(100)
            except ConnectFailed:  # nobody listens on the new address
                return True
            return False

        for _ in range(100):
            if await moved():
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the old address is still used")


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://API.example.com/v1/chat?x=1", ("https", "api.example.com", 443), "/v1/chat?x=1"),
        ("http://bücher.example:8080", ("http", "xn--bcher-kva.example", 8080), "/"),
        ("https://[2606:4700::1111]/a b", ("https", "2606:4700::1111", 443), "/a%20b"),
        ("https://example.com:443/a/../b#fragment", ("https", "example.com", 443), "/b"),
        ("http://@example.com/", ("http", "example.com", 80), "/"),
    ],
)
def test_a_url_is_normalised(url: str, origin: tuple[str, str, int], path: str) -> None:
    target = parse_target(url)
    assert (origin, path) == (target.origin, target.path)
    assert parse_target(target.url) == target


@given(st.text())
def test_any_text_is_a_target_or_denied(text: str) -> None:
    try:
        target = parse_target(text)
    except EgressDenied:
        return
    assert target.scheme in {"http", "https"}
    assert target.host
    assert parse_target(target.url) == target
