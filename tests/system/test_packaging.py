"""What pip installs, whichever way, is the tree: complete, without anything that does not belong, and it runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.environments import CHECKOUT, Environment
from support.process import Server

pytestmark = pytest.mark.slow
NOT_OURS = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "dist", "build")
SHIPPED = {"migrations", "plugin-template", "plugins.toml.example"}


def build(project: Path, directory: Path, *what: str) -> Path:
    """Build a distribution without asking an index; return its file."""
    options = ["--no-isolation", *what, "--outdir", str(directory), str(project)]
    done = subprocess.run(
        [sys.executable, "-m", "build", *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = directory.iterdir()
    return made


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as somebody would clone it."""
    return shutil.copytree(CHECKOUT, tmp_path_factory.mktemp("tree") / "switchgear", ignore=NOT_OURS)


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, tmp_path_factory.mktemp("sdist"), "--sdist")


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def described(wheel: Path) -> Message:
    [text] = [data for name, data in contents(wheel).items() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(text.decode())


def test_the_wheel_is_the_tree(wheel: Path, tree: Path) -> None:
    found = {name: data for name, data in contents(wheel).items() if ".dist-info/" not in name}
    wanted = {}
    sources = [(tree / "core", ""), (tree / "plugins", ""), (tree, "switchgear/")]
    for root, prefix in sources:
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if not path.is_file():
                continue
            if root != tree:
                wanted[relative.as_posix()] = path.read_bytes()
            elif relative.parts[0] in SHIPPED:
                wanted[prefix + relative.as_posix()] = path.read_bytes()
            elif relative.parts[:2] == ("contrib", "plugin-template"):
                wanted[prefix + Path(*relative.parts[1:]).as_posix()] = path.read_bytes()
    assert sorted(wanted) == sorted(found)
    assert [] == [name for name in wanted if wanted[name] != found[name]]


def test_the_wheel_holds_nothing_that_does_not_belong(wheel: Path, tree: Path) -> None:
    found = contents(wheel)
    assert {"switchgear", "switchgear_plugins", "switchgear-0.1.0.dist-info"} == {name.split("/")[0] for name in found}
    template = "switchgear/plugin-template/"
    strange = re.compile(r"(^|/)(tests?|conftest\.py|test_\w+\.py)(/|$)|\.(pth|pyc|so|toml\.bak)$|(^|/)\.")
    assert [] == [name for name in found if strange.search(name) and not name.startswith(template)]
    places = [str(place).encode() for place in (CHECKOUT, tree)]
    assert [] == [name for name, data in found.items() if any(place in data for place in places)]
    [said] = [data.decode() for name, data in found.items() if name.endswith(".dist-info/WHEEL")]
    assert "Root-Is-Purelib: true" in said
    assert "Tag: py3-none-any" in said


def test_the_wheel_made_from_the_source_distribution_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    assert {"tests", "contrib", "LICENSE", "README.md"} <= {path.name for path in unpacked.iterdir()}
    again = build(unpacked, tmp_path / "dist", "--wheel")
    assert wheel.read_bytes() == again.read_bytes(), "building it again gives the same bytes"


def test_it_requires_what_it_imports_and_no_less(wheel: Path) -> None:
    """And what it requires is what the tests run with."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    said = described(wheel)
    requires = [Requirement(line) for line in said.get_all("Requires-Dist", [])]
    plain = {canonicalize_name(one.name): one for one in requires if "extra" not in str(one.marker)}
    assert {canonicalize_name(Requirement(line).name) for line in project["dependencies"]} == set(plain)
    assert project["requires-python"] == said["Requires-Python"]
    for name, one in plain.items():
        assert one.specifier.contains(metadata.version(name)), f"{one} is not what is installed"
    owners = metadata.packages_distributions()
    owned = {name: {canonicalize_name(owner) for owner in owners.get(name, [])} for name in imported()}
    extras = {
        canonicalize_name(one.name) for one in requires if "extra" in str(one.marker) and "dev" not in str(one.marker)
    }
    undeclared = {name for name, distributions in owned.items() if not distributions & (plain.keys() | extras)}
    # Of the standard library, from 3.14; and what the extra `pool` of psycopg brings.
    assert {"compression", "psycopg_pool"} >= undeclared


def imported() -> Iterator[str]:
    """Yield the foreign top-level modules that are imported."""
    ours = {"switchgear", "switchgear_plugins"}
    for path in (path for root in ("core", "plugins") for path in (CHECKOUT / root).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                if top not in ours and top not in sys.stdlib_module_names:
                    yield top


@pytest.fixture(params=["wheel", "sdist", "editable", "git"])
def installed(request: pytest.FixtureRequest, tree: Path, tmp_path: Path) -> Environment:
    made = Environment(tmp_path / "environment")
    match request.param:
        case "wheel" | "sdist" as kind:
            made.install(request.getfixturevalue(kind))
        case "editable":
            made.install("--editable", tree)
        case _:
            made.install(f"git+file://{repository(tree)}")
    where = made.run("python", "-c", "import switchgear; print(switchgear.__file__)", cwd=tmp_path).strip()
    assert str(tree if request.param == "editable" else made.bin.parent) in where
    return made


def repository(tree: Path) -> Path:
    """Make a git repository of the tree."""
    name = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=tree, env=os.environ | name, check=True, timeout=60)
    return tree


def test_it_runs_however_it_was_installed(installed: Environment, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    assert "0.1.0" in installed.run("switchgear", "version", cwd=here)
    installed.run("switchgear", "config", "check", cwd=here)
    names = [
        row["name"] for row in json.loads(installed.run("switchgear", "plugins", "list", "--json", cwd=here))["plugins"]
    ]
    assert sorted(tomllib.loads((CHECKOUT / "plugins.toml.example").read_text())["plugins"]) == sorted(names)
    installed.run("switchgear", "plugins", "new", "mine", "--kind", "provider", cwd=here)
    assert (here / "switchgear-mine" / "pyproject.toml").is_file()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SWITCHGEAR"))}
    argv = [str(installed.bin / "switchgear"), "serve", "--port", "{port}", "--data-dir", str(here / "data")]
    with Server(argv, env=clean, cwd=here) as gateway:
        gateway.wait_ready()
        key = (here / "data" / "first-api-key").read_text().strip()
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
        assert "Hello" == answer.json()["choices"][0]["message"]["content"]
        page = httpx.get(f"{gateway.url}/docs").text
        assets = re.findall(r"""(?:src|href)=["']?(/[^"'>\s]+\.(?:js|css))""", page)
        assert assets
        assert "http" not in "".join(re.findall(r"<(?:script|link)[^>]*>", page)), "nothing comes from elsewhere"
        for asset in assets:
            assert len(httpx.get(f"{gateway.url}{asset}").raise_for_status().content) > 1000
        gateway.terminate()
        assert 0 == gateway.wait()
