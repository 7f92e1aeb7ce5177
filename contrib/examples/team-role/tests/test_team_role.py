from typing import Any, ClassVar

import httpx
from team_role import Roles, User, Users

from switchgear.contracts.principal import Principal
from switchgear.testing.authority_suite import AuthenticatorSuite, AuthorizerSuite
from switchgear.testing.gateway import Running

USERS = [
    {"id": "rita", "token": "rita-token", "team": "red"},
    {"id": "lea", "token": "lea-token", "team": "red", "role": "lead", "models": ["ec*"]},
]


LEAD = Principal("lea", "user", labels={"team": "red"}, facts={"role": "lead"})
READER = Principal("rita", "user", labels={"team": "red"}, facts={"role": "reader"})


class TestUsers(AuthenticatorSuite):
    good: ClassVar = {"rita": {"authorization": "Bearer rita-token"}, "lea": {"cookie": "session=lea-token"}}
    bad: ClassVar = ({"authorization": "Bearer eve-token"},)

    def make(self) -> Users:
        users = Users()
        users.read((User("rita", "rita-token", "red"), User("lea", "lea-token", "red", "lead", ("ec*",))))
        return users


class TestRoles(AuthorizerSuite):
    make: ClassVar = Roles
    allowed: ClassVar = ((READER, "read", "api-keys", "key_1"), (LEAD, "create", "api-keys", None))
    denied: ClassVar = ((READER, "create", "api-keys", None), (LEAD, "read", "models", "m"))


async def ask(
    run: Running, who: str, method: str, path: str, *, cookie: bool = False, **body: object
) -> httpx.Response:
    headers = {"cookie": f"session={who}-token"} if cookie else {"authorization": f"Bearer {who}-token"}
    return await run.http.request(method, path, headers=headers, json=body or None)


async def test_users_see_and_keep_the_keys_of_their_team(gateway: Any) -> None:
    async with gateway(plugins={"team_role": {"users": USERS}, "tenancy": {"enabled": False}}) as run:
        red, blue = [(await run.new_key(team_id=team))[0] for team in ("red", "blue")]
        for cookie in (False, True):
            listed = await ask(run, "rita", "GET", "/admin/v1/api-keys", cookie=cookie)
            assert [red] == [key["id"] for key in listed.json()["data"]]
        assert 404 == (await ask(run, "rita", "GET", f"/admin/v1/api-keys/{blue}")).status_code
        new = {"name": "k", "team_id": "red", "permissions": {"models": ["echo"]}}
        assert 403 == (await ask(run, "rita", "POST", "/admin/v1/api-keys", **new)).status_code
        assert 201 == (await ask(run, "lea", "POST", "/admin/v1/api-keys", **new)).status_code
        assert 403 == (await ask(run, "lea", "GET", "/admin/v1/models")).status_code
        assert 401 == (await ask(run, "nobody", "GET", "/admin/v1/api-keys")).status_code


async def test_users_call_the_models_that_are_theirs(gateway: Any) -> None:
    async with gateway(plugins={"team_role": {"users": USERS}, "tenancy": {"enabled": False}}) as run:
        chat = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
        assert 200 == (await ask(run, "lea", "POST", "/v1/chat/completions", **chat)).status_code
        assert 404 == (await ask(run, "rita", "POST", "/v1/chat/completions", **chat)).status_code
