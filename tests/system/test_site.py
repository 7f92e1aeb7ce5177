"""The documentation as pages: built strictly, whole, and made of nothing from elsewhere; its tables are those of the code."""

import re
import subprocess
import sys
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from support.environments import CHECKOUT
from switchgear.contracts import event

SITE = CHECKOUT / "contrib" / "site"
EVENTS = CHECKOUT / "contrib" / "docs" / "plugins" / "events.md"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = spec_from_file_location("reference", SITE / "reference.py")
    assert spec is not None
    made = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(made)
    return made


def test_the_helpers_of_the_wire_are_those_of_the_code(reference: ModuleType) -> None:
    assert reference.wire_page() == reference.WIRE_PAGE.read_text("utf-8"), "run python contrib/site/reference.py"


def test_the_events_are_those_that_are_announced(reference: ModuleType) -> None:
    listed = set(re.findall(r"^\| `([\w.-]+)` \|", EVENTS.read_text("utf-8"), re.MULTILINE))
    assert reference.announced() == listed
    assert set(event.EVENTS) == listed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-q",
        "-f",
        str(SITE / "mkdocs.yml"),
        "-d",
        str(made),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return made


@pytest.mark.slow
def test_every_public_module_has_a_page(site: Path, reference: ModuleType) -> None:
    for module in reference.public_modules():
        page = (site / "reference" / f"{module}.html").read_text("utf-8")
        assert "doc-symbol" in page or module in page
    writer = (site / "reference" / "switchgear.wire.answer_writer.html").read_text("utf-8")
    assert "Takes what one answer says, in order." in writer


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
        r"|<link\b(?![^>]*\brel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
        r"|url\([\"']?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;"
    )
    hosts = re.compile(
        r"//(?:[\w.-]*cdn[\w.-]*|fonts\.googleapis\.com|fonts\.gstatic\.com|unpkg\.com|[\w.-]*jsdelivr\.net)"
    )
    found = []
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.js")]:
        text = path.read_text("utf-8")
        found += [(path.name, it[0]) for it in [*loads.finditer(text), *hosts.finditer(text)]]
    assert [] == found


@pytest.mark.slow
def test_every_link_leads_somewhere(site: Path) -> None:
    broken = []
    for page in (it for it in site.rglob("*.html") if it.name != "404.html"):  # which may be shown at any path
        for link in re.findall(r"<a\b[^>]*\bhref=\"([^\"]+)\"", page.read_text("utf-8")):
            path, _, anchor = unquote(unescape(link)).partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            target = (page.parent / path).resolve() if path else page
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (
                anchor and target.suffix == ".html" and f'id="{anchor}"' not in target.read_text("utf-8")
            ):
                broken.append((page.name, link))
    assert [] == broken
