"""Who comes to the front door: a person is led to the console, a client is told where things are."""

import re
from pathlib import Path

import pytest

from support.distributions import installed
from support.gateway import running as bare
from switchgear.errors import PluginError
from switchgear.testing.gateway import running

BROWSER = {"accept": "text/html,application/xhtml+xml"}


async def test_a_browser_is_led_to_the_console_and_a_client_told_where_things_are(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        led = await run.http.get("/", headers=BROWSER)
        assert (302, "ui/") == (led.status_code, led.headers["location"])
        told = (await run.http.get("/")).json()
        assert {"name": "Switchgear", "admin": "admin/v1", "docs": "docs"}.items() <= told.items()
        page = await run.http.get("/ui/")
        assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
        policy = page.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=|https?://", page.text)
        assert (302, "ui/") == ((it := await run.http.get("/ui")).status_code, it.headers["location"])


async def test_without_a_console_a_person_is_told_what_this_is(tmp_path: Path) -> None:
    async with bare(tmp_path) as run:
        page = await run.http.get("/", headers=BROWSER)
        assert 200 == page.status_code
        assert "gateway for large language models" in page.text
        assert 404 == (await run.http.get("/ui/")).status_code


async def test_two_consoles_refuse_to_start(tmp_path: Path) -> None:
    source = """
        from pathlib import Path
        from switchgear.contracts.kernel import Assets

        class Plug(switchgear.Plugin):
            api = 1
            def switchgear_assets(self): return [Assets(Path(__file__).parent, front="plug.py")]
    """
    with installed(tmp_path / "site") as site:
        site.add("plug", {"plug": "Plug"}, source)
        with pytest.raises(PluginError, match="both bring a console"):
            async with running(tmp_path, plugins={"plug": {}}):
                pass
