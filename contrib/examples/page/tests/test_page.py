from typing import Any


async def test_the_page_is_listed_and_its_files_are_served(gateway: Any) -> None:
    async with gateway(plugins={"page": {}}) as run:
        [page] = [it for it in (await run.admin.get("/pages")).json()["data"] if it["plugin"] == "page"]
        assert {"slug": "models", "title": "Models at a glance", "module": "/ui/page/page.js"}.items() <= page.items()
        module = await run.http.get(page["module"])
        assert (200, "text/javascript; charset=utf-8") == (module.status_code, module.headers["content-type"])
        assert "export const show" in module.text
        assert 200 == (await run.http.get("/ui/page/index.html")).status_code
