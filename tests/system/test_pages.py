"""Files and pages of plugins: the example `page`, and files that must not be reached."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.distributions import installed
from support.gateway import Running, running
from switchgear.errors import PluginError

EXAMPLE = Path(__file__).parents[2] / "contrib" / "examples" / "page" / "switchgear_page"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        shutil.copytree(EXAMPLE, site.root / "switchgear_page")
        assets = site.root / "switchgear_page" / "assets"
        (assets / "deep").mkdir()
        (assets / "deep" / "a b.svg").write_text("<svg/>")
        (assets / ".hidden").write_text("secret")
        (tmp_path / "outside.txt").write_text("secret")
        (assets / "link.txt").symlink_to(tmp_path / "outside.txt")
        (assets / "out").symlink_to(tmp_path)
        site.add("page", {"page": "switchgear_page:PagePlugin"})
        async with running(tmp_path, plugins="page = { enabled = true }", gateway='root_path = "/gw"') as run:
            yield run


async def test_files_have_a_type_a_tag_and_a_policy(gateway: Running) -> None:
    page = await gateway.http.get("/ui/page/index.html")
    assert 200 == page.status_code
    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "nosniff" == page.headers["x-content-type-options"]
    again = await gateway.http.get("/ui/page/index.html", headers={"if-none-match": page.headers["etag"]})
    assert (304, b"") == (again.status_code, again.content)
    head = await gateway.http.head("/ui/page/index.html")
    assert (200, page.headers["content-length"]) == (head.status_code, head.headers["content-length"])
    svg = await gateway.http.get("/ui/page/deep/a%20b.svg")
    assert ("image/svg+xml", "<svg/>") == (svg.headers["content-type"], svg.text)
    assert (await gateway.http.get("/ui/page/page.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/page/none.js",
        "/ui/other/page.js",
        "/ui/page/.hidden",
        "/ui/page/link.txt",
        "/ui/page/out/outside.txt",
        "/ui/page/../__init__.py",
        "/ui/page/%2e%2e/__init__.py",
        "/ui/page/..%2f__init__.py",
        "/ui/page/deep/../../__init__.py",
        "/ui/page//etc/passwd",
        "/ui/page/%2fetc%2fpasswd",
        "/ui/page/deep",
        "/ui/page",
    ],
)
async def test_nothing_else_is_served(gateway: Running, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)  # a client would tidy the path up
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in answer


async def test_pages_are_listed_for_those_who_may(gateway: Running) -> None:
    listed = await gateway.admin.get("/pages")
    page = {"plugin": "page", "slug": "models", "title": "Models at a glance", "module": "/gw/ui/page/page.js"}
    page |= {"group": "Resources", "kind": None, "panel": False, "needs": "config"}
    assert [page] == listed.json()["data"]
    assert 200 == (await gateway.http.get(page["module"])).status_code
    assert 401 == (await gateway.http.get("/admin/v1/pages")).status_code


@pytest.mark.parametrize(
    ("bring", "said"),
    [
        ("switchgear_assets = lambda self: [Assets(Path('/none/at/all'))]", "which is no directory"),
        ("switchgear_ui_pages = lambda self: [UIPage('a', 'A', 'a.js')]", "is not among the plugin's assets"),
        ("switchgear_ui_pages = lambda self: [UIPage('a', 'A', 'a.js', panel=True)]", "is a panel and has no `kind`"),
    ],
)
async def test_what_is_not_there_refuses_to_start(tmp_path: Path, bring: str, said: str) -> None:
    source = f"""
        from pathlib import Path
        from switchgear.contracts.kernel import Assets, UIPage

        class Plug(switchgear.Plugin):
            api = 1
            {bring}
    """
    with installed(tmp_path / "site") as site:
        site.add("plug", {"plug": "Plug"}, source)
        with pytest.raises(PluginError, match=said):
            async with running(tmp_path, plugins="plug = { enabled = true }"):
                pass
