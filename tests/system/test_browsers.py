"""Calls of pages from other origins, and a gateway behind a proxy that has it below a path."""

from pathlib import Path

from support.gateway import running

HERE = "https://app.example.com"
CORS = f'[gateway.cors]\norigins = ["{HERE}"]\nmax_age = 60'
ASK = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


async def test_without_origins_in_the_settings_browsers_are_told_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        asked = await gateway.http.options("/v1/chat/completions", headers={"origin": HERE, **ASK})
        listed = await gateway.http.get("/v1/models", headers={"origin": HERE, **gateway.auth})
    assert 405 == asked.status_code
    assert 200 == listed.status_code
    assert [] == [
        name for name in (*asked.headers, *listed.headers) if name.startswith("access-control") or name == "vary"
    ]


async def test_a_page_of_a_listed_origin_may_call(tmp_path: Path) -> None:
    async with running(tmp_path, gateway=CORS) as gateway:
        asked = await gateway.http.options("/v1/chat/completions", headers={"origin": HERE, **ASK})
        assert (204, b"") == (asked.status_code, asked.content)
        wanted = {
            "access-control-allow-origin": HERE,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "authorization,content-type",
            "access-control-max-age": "60",
        }
        assert wanted.items() <= dict(asked.headers).items()
        assert "origin" in asked.headers["vary"]
        path = await gateway.http.options("/v1/models/m", headers={"origin": HERE, **ASK})
        assert "GET" == path.headers["access-control-allow-methods"]
        for body in ({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}, {}):
            for stream in (False, True):
                headers = {"origin": HERE, **gateway.auth}
                answer = await gateway.http.post(
                    "/v1/chat/completions", json=body | {"stream": stream}, headers=headers
                )
                assert (200 if body else 400) == answer.status_code
                assert HERE == answer.headers["access-control-allow-origin"]
                assert "*" == answer.headers["access-control-expose-headers"]
                assert "origin" == answer.headers["vary"]
        refused = await gateway.http.get("/v1/models", headers={"origin": HERE})
        assert (401, HERE) == (refused.status_code, refused.headers["access-control-allow-origin"])


async def test_a_page_of_another_origin_is_given_no_leave(tmp_path: Path) -> None:
    async with running(tmp_path, gateway=CORS) as gateway:
        for origin in ("https://evil.example", HERE + ".evil.example", "null", HERE.upper()):
            asked = await gateway.http.options("/v1/chat/completions", headers={"origin": origin, **ASK})
            listed = await gateway.http.get("/v1/models", headers={"origin": origin, **gateway.auth})
            for answer in (asked, listed):
                assert "access-control-allow-origin" not in answer.headers
                assert "origin" in answer.headers["vary"]
        unknown = await gateway.http.options("/v1/nothing", headers={"origin": HERE, **ASK})
        assert 404 == unknown.status_code
        plain = await gateway.http.options("/v1/models", headers={"origin": HERE})
        assert (405, "GET, HEAD") == (plain.status_code, plain.headers["allow"])
        admin = await gateway.http.options("/admin/v1/models", headers={"origin": HERE, **ASK})
        assert "access-control-allow-origin" not in admin.headers


async def test_every_origin_may_be_let_in(tmp_path: Path) -> None:
    async with running(tmp_path, gateway='[gateway.cors]\norigins = ["*"]') as gateway:
        listed = await gateway.http.get("/v1/models", headers={"origin": "null", **gateway.auth})
    assert "*" == listed.headers["access-control-allow-origin"]
    assert "vary" not in listed.headers


async def test_everything_is_also_served_below_the_root_path(tmp_path: Path) -> None:
    async with running(tmp_path, gateway='root_path = "/llm/gw"') as gateway:
        for root in ("", "/llm/gw"):
            body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
            answer = await gateway.http.post(f"{root}/v1/chat/completions", json=body, headers=gateway.auth)
            assert 200 == answer.status_code
            assert 200 == (await gateway.http.get(f"{root}/v1/models/echo", headers=gateway.auth)).status_code
            assert 200 == (await gateway.http.get(f"{root}/ready")).status_code
            document = (await gateway.http.get(f"{root}/openapi.json")).json()
            assert [{"url": "/llm/gw"}] == document["servers"]
            page = (await gateway.http.get(f"{root}/docs")).text
            assert 'src="/llm/gw/docs/rapidoc-min.js"' in page
            assert 'spec-url="/llm/gw/openapi.json"' in page
            assert "/llm/gw/docs" == (await gateway.http.get(f"{root}/redoc")).headers["location"]
            unknown = (await gateway.http.post(f"{root}/v1/messages/none", headers=gateway.auth)).json()
            assert "error" == unknown["type"]
        admin = {"authorization": gateway.admin.headers["authorization"]}
        alias = {"id": "a/b", "target": "echo"}
        made = await gateway.http.post("/llm/gw/admin/v1/aliases", json=alias, headers=admin)
        assert 201 == made.status_code, made.text
        assert "/llm/gw/admin/v1/aliases/a%2Fb" == made.headers["location"]
        assert "a/b" == (await gateway.http.get(made.headers["location"], headers=admin)).json()["id"]
        for path in ("/llm/gwv1/models", "/llm/v1/models", "/llm"):
            assert 404 == (await gateway.http.get(path, headers=gateway.auth)).status_code


async def test_the_description_has_the_data_plane(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert ["application/json"] == list(paths["/v1/chat/completions"]["post"]["requestBody"]["content"])
    [parameter] = paths["/v1/models/{model}"]["get"]["parameters"]
    assert ("model", "path", True) == (parameter["name"], parameter["in"], parameter["required"])
    assert "List the models you may use" == paths["/v1/models"]["get"]["summary"]
    assert {"/v1/messages", "/v1/embeddings", "/admin/v1/models"} <= paths.keys()
