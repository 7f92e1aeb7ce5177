"""A gateway without a console, a console without a gateway, and both below a path."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from console.conftest import PASSWORD, House, Opens
from switchgear_plugins.ui.files import ASSETS


@contextmanager
def command(*args: str, cwd: Path, **environ: str) -> Iterator[str]:
    """Run a command of Switchgear's until the block is over; give the address that it says it is at."""
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "switchgear", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    assert child.stdout is not None
    try:
        found = None
        while found is None:
            line = child.stdout.readline()
            assert line, "it ended"
            found = re.search(r"(?:serves|here:) (http://[\d.]+:\d+)", line)
        yield found[1]
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


@pytest.mark.slow
def test_api_serves_without_a_console(tmp_path: Path) -> None:
    with command("api", "--port", "0", "--data-dir", str(tmp_path), cwd=tmp_path, ADMIN_KEY="a-long-enough-key") as url:
        assert 404 == httpx.get(f"{url}/ui/").status_code
        assert 404 == httpx.get(f"{url}/ui/ui/main.js").status_code
        assert 200 == httpx.get(f"{url}/", headers={"accept": "text/html"}).status_code
        listed = httpx.get(f"{url}/admin/v1/pages", headers={"authorization": "Bearer a-long-enough-key"})
        assert [] == listed.json()["data"]


@pytest.mark.slow
def test_ui_serves_the_console_of_a_gateway_elsewhere(house: House, opens: Opens, tmp_path: Path) -> None:
    with command("ui", "--api-url", house.run.url, "--port", "0", cwd=tmp_path) as url:
        assert url != house.run.url
        console = opens(url=url)
        console.sign_in()
        console.settled()
        console.go("playground?models=echo")
        console.page.get_by_label("Message").fill("Through the proxy")
        console.page.get_by_role("button", name="Send").click()
        console.page.locator(".turn:last-child").get_by_text("first token").wait_for()
        console.page.reload()
        console.page.wait_for_selector(".shell")
        assert 404 == httpx.get(f"{url}/ui/ui/..%2f..%2fplugin.py").status_code


@pytest.mark.slow
def test_the_console_works_below_a_path(opens: Opens, tmp_path: Path) -> None:
    with House(tmp_path, gateway={"root_path": "/llm"}) as below:
        console = opens(url=f"{below.run.url}/llm")
        console.sign_in("admin", PASSWORD)
        console.go("k/models/echo")
        console.page.get_by_role("tab", name="Where requests go").click()
        console.page.get_by_text("breaker closed").wait_for()
        assert all(
            "/llm/" in url
            for url in console.page.evaluate("() => performance.getEntriesByType('resource').map((it) => it.name)")
        )


def test_what_is_shipped_stays_small() -> None:
    scripts = [path for plugin in ASSETS.parents[1].iterdir() for path in (plugin / "assets").rglob("*.js")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) <= 250 * 1024
    assert sum(path.stat().st_size for path in (ASSETS / "vendor").glob("*.js")) <= 100 * 1024
    named = "\n".join(path.read_text() for path in scripts if path.parent.name != "vendor")
    assert not re.search(r"innerHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function", named)
    assert not re.search(r"""from ["']https?:|import\(["']https?:""", named)
