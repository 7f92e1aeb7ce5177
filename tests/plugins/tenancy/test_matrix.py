"""Every admin route, by who asks, whose the thing is, and how they prove who they are. What is in no row is a failure."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from plugins.tenancy.conftest import House, housing
from switchgear.admin.admin import KIND_IN_PATH
from switchgear.contracts.dialect import Route
from switchgear.hooks import Hooks

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
NOBODY, OWN, TEAM, ALL = "-", "own", "team", "all"
WHO = ("keeper", "reader", "owner", "admin", "member", "viewer")
"""Users: an owner and a viewer of the administrators, and one of each role in the team red."""
READS = {"keeper": ALL, "reader": ALL}
KEEPS = {"keeper": ALL}
TABLE: dict[str, dict[str, dict[str, str]]] = {
    "api-keys": {
        **{it: READS | dict.fromkeys(("owner", "admin", "viewer"), TEAM) | {"member": OWN} for it in ("list", "read")},
        **{
            it: KEEPS | dict.fromkeys(("owner", "admin"), TEAM) | {"member": OWN}
            for it in ("create", "replace", "patch", "delete", "revoke", "rotate")
        },
        **{it: KEEPS | dict.fromkeys(("owner", "admin"), TEAM) for it in ("suspend", "activate")},
        "restore": KEEPS,
    },
    "users": {
        **{it: READS | dict.fromkeys(("owner", "admin", "member", "viewer"), TEAM) for it in ("list", "read")},
        **{
            it: KEEPS | dict.fromkeys(("owner", "admin"), TEAM)
            for it in ("create", "replace", "patch", "delete", "sign-out")
        },
        "restore": KEEPS,
    },
    "teams": {
        **{it: READS | dict.fromkeys(("owner", "admin", "member", "viewer"), TEAM) for it in ("list", "read")},
        **{it: KEEPS | {"owner": TEAM} for it in ("replace", "patch")},
        **dict.fromkeys(("create", "delete", "restore"), KEEPS),
    },
    "prompts": {
        **{it: READS | dict.fromkeys(("owner", "admin", "member", "viewer"), TEAM) for it in ("list", "read")},
        **{
            it: KEEPS | dict.fromkeys(("owner", "admin"), TEAM)
            for it in ("create", "replace", "patch", "delete", "restore")
        },
    },
    "usage": {"list": READS | dict.fromkeys(("owner", "admin", "member", "viewer"), TEAM)},
    "auth": dict.fromkeys(("read", "patch", "end"), dict.fromkeys(WHO, ALL)),
    **{
        kind: {action: dict.fromkeys(WHO, ALL)}
        for kind, action in (("kinds", "read"), ("pages", "list"), ("search", "list"))
    },
}
"""By kind and action, how far whoever may do it reaches. All other kinds are the administrators' alone."""
GATEWAY = {"list": READS, "read": READS}
PUBLIC = {
    "/live", "/ready", "/health", "/metrics", "/openapi.json", "/docs", "/redoc", "/admin/v1/auth/ways",
    "/admin/v1/auth/login", "/admin/v1/auth/setup", "/admin/v1/auth/refresh", "/docs/rapidoc-min.js",
    "/", "/ui", "/ui/{plugin:str}/{path:path}", "/admin/v1/kinds", "/admin/v1/kinds/{name:str}",
}  # fmt: skip


NOT_OF_TEAMS = {"/admin/v1/usage/anomalies"}
"""What says nothing of whose it is, and so is for those alone who have no bounds."""


class Entry(NamedTuple):
    method: str
    path: str
    action: str
    resource: str
    keeps_to_bounds: bool


class Street(NamedTuple):
    """The house, who lives there, and whose is what: ids by kind, then `own`, `team`, `other`."""

    house: House
    carriers: dict[str, list[tuple[httpx.AsyncClient, dict[str, str]]]]
    things: dict[str, dict[str, dict[str, str]]]


def routes(house: House) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for route in house.run.gateway._admin.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods - {"OPTIONS"}:
                named = {"resource": route.path.split("/")[3]} if handler.opt.get("resource") == KIND_IN_PATH else {}
                yield method, route.path, {**handler.opt, **named}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with housing(tmp_path_factory.mktemp("street")) as house:
        run = house.run
        users = {"keeper": ("administrators", "owner"), "reader": ("administrators", "viewer")}
        users |= {role: ("red", role) for role in ("owner", "admin", "member", "viewer")}
        ids = {name: (await house.user(name, *of))["id"] for name, of in users.items()}
        await house.user("peer", "red", "viewer")
        stranger = (await house.user("stranger", "blue"))["id"]
        carriers: dict[str, list[tuple[httpx.AsyncClient, dict[str, str]]]] = {}
        for name in WHO:
            browser, csrf = await house.in_a_browser(name)
            carriers[name] = [(await house.signed_in(name), {}), (browser, {"x-csrf-token": csrf})]
        carriers["operator"] = [(run.admin, {})]
        for name, members in (("admin key", {"permissions": {"admin": True}}), ("key", {})):
            carriers[name] = [(house.client(authorization=f"Bearer {(await run.new_key(**members))[1]}"), {})]
        carriers["nobody"] = [(house.client(), {}), (house.client(authorization="Bearer sg_live_nothing"), {})]
        keys = {
            name: (await run.new_key(team_id=users[name][0], owner_id=ids[name]))[0]
            for name in (*WHO, "peer")
            if name != "peer"
        }
        others = {
            "api-keys": (await run.new_key(team_id="blue", owner_id=stranger))[0],
            "users": stranger,
            "teams": "blue",
        }
        peer = (await run.new_key(team_id="red"))[0]
        things = {
            name: {
                "api-keys": {OWN: keys[name], TEAM: peer, "other": others["api-keys"]},
                "users": {OWN: ids[name], TEAM: ids["member"], "other": others["users"]},
                "teams": {OWN: users[name][0], TEAM: "red", "other": others["teams"]},
            }
            for name in WHO
        }
        yield Street(house, carriers, things)


def declared(street: Street) -> list[Entry]:
    return [
        Entry(method, path, opt["action"], opt["resource"], opt.get("scoped") is True and path not in NOT_OF_TEAMS)
        for method, path, opt in routes(street.house)
        if not opt.get("public")
    ]


def expected(entry: Entry, who: str) -> str:
    of_kind = TABLE.get(entry.resource)
    row = GATEWAY.get(entry.action, KEEPS) if of_kind is None else of_kind[entry.action]
    reach = row.get(who, NOBODY)
    return reach if reach == ALL or entry.keeps_to_bounds else NOBODY


async def ask(carrier: tuple[httpx.AsyncClient, dict[str, str]], entry: Entry, id: str) -> httpx.Response:
    """Send what changes nothing: a body that no route takes, for a version that is none."""
    client, headers = carrier
    path = re.sub(r"\{version[^}]*\}", "1", entry.path)
    path = re.sub(r"\{[^}]*\}", id, path)
    body = None if entry.method == "GET" else {"there-is-no-such-field": 1}
    if entry.method == "POST" and path.rsplit("/", 1)[-1] in ("suspend", "activate", "revoke", "sign-out"):
        body = None
    headers = {**headers, "if-match": '"9999"'}
    return await client.request(entry.method, f"{street_url(client)}{path}", json=body, headers=headers)


def street_url(client: httpx.AsyncClient) -> str:
    return str(client.base_url).split("/admin/v1")[0]


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code in (401, 403)


def bare(answer: httpx.Response, id: str) -> str:
    return re.sub(r'"request_id":"[^"]*"', "", answer.text).replace(id, "ID")


async def test_every_route_says_what_it_is_about_and_only_these_are_open(street: Street) -> None:
    undeclared = [
        (method, path)
        for method, path, opt in routes(street.house)
        if not opt.get("public") and not (isinstance(opt.get("action"), str) and isinstance(opt.get("resource"), str))
    ]
    assert [] == undeclared
    assert {path for _, path, opt in routes(street.house) if opt.get("public")} <= PUBLIC
    known = {(entry.resource, entry.action) for entry in declared(street)}
    rows = {(kind, action) for kind, actions in TABLE.items() for action in actions}
    assert set() == rows - known, "rows without a route"


@pytest.mark.parametrize("who", ["nobody", "key"])
async def test_whoever_was_given_nothing_gets_nowhere(street: Street, who: str) -> None:
    wanted = 401 if who == "nobody" else 403
    for carrier in street.carriers[who]:
        for entry in declared(street):
            assert wanted == (await ask(carrier, entry, "x")).status_code, entry


@pytest.mark.parametrize("who", ["operator", "admin key"])
async def test_whoever_was_given_everything_gets_everywhere(street: Street, who: str) -> None:
    for carrier in street.carriers[who]:
        for entry in declared(street):
            answer = await ask(carrier, entry, "no-such-thing")
            assert answer.status_code < 500, (entry, answer.text)
            has_no_session = entry.resource == "auth" and answer.json().get("type", "").endswith(":no_session")
            assert has_no_session or not is_refused(answer), (entry, answer.text)


@pytest.mark.parametrize("who", WHO)
async def test_a_user_gets_as_far_as_the_table_says(street: Street, who: str) -> None:
    for entry in declared(street):
        reach = expected(entry, who)
        things = street.things[who].get(entry.resource, {}) if "{" in entry.path else {}
        for carrier in street.carriers[who]:
            missing = await ask(carrier, entry, "no-such-thing")
            assert missing.status_code < 500, (entry, missing.text)
            assert is_refused(missing) == (reach == NOBODY), (entry, reach, missing.text)
            for whose, id in things.items():
                answer = await ask(carrier, entry, id)
                assert answer.status_code < 500, (entry, answer.text)
                is_there = reach == ALL or (reach == TEAM and whose in (OWN, TEAM)) or (reach == OWN and whose == OWN)
                if reach == NOBODY:
                    assert is_refused(answer), (entry, whose)
                elif is_there:
                    assert answer.status_code not in (401, 404), (entry, whose, reach, answer.text)
                else:
                    assert bare(missing, "no-such-thing") == bare(answer, id), (entry, whose, reach)


async def test_every_path_of_the_data_plane_takes_credentials(street: Street) -> None:
    run = street.house.run
    dialects = [made for _, made in run.gateway.kernel.make_all(Hooks.switchgear_dialects)]
    paths = [("POST", it.path) for dialect in dialects for it in dialect.inference]
    paths += [
        (it.method, it.path) for d in dialects for it in d.routes if isinstance(it, Route) and it.open_to != "everybody"
    ]
    assert paths
    for method, path in paths:
        for headers in ({}, {"authorization": "Bearer sg_live_nothing"}, {"cookie": "switchgear_session=x"}):
            answer = await run.http.request(method, re.sub(r"\{[^}]*\}", "x", path), json={}, headers=headers)
            assert 401 == answer.status_code, (method, path, answer.text)
