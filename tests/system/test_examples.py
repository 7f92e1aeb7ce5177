"""The examples in contrib/examples: distributions of third parties, installed by pip beside the gateway, which work together."""

import ast
import io
import json
import os
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.environments import CHECKOUT, Environment
from support.process import Server

FOLDER = CHECKOUT / "contrib" / "examples"
EXAMPLES = sorted(file.parent for file in FOLDER.glob("*/pyproject.toml"))
ADMIN = {"authorization": "Bearer the-admin-key"}
MOST_LINES = 150

each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda it: it.name)


def project(example: Path) -> dict[str, Any]:
    return tomllib.loads((example / "pyproject.toml").read_text())


def plugins(example: Path) -> list[str]:
    return list(project(example)["project"]["entry-points"]["switchgear.plugins"])


def lines(file: Path) -> int:
    """Count the lines that hold code: no blank ones, comments or docstrings."""
    source = file.read_text()
    if file.suffix == ".sql":
        return sum(1 for line in source.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    none = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [it for it in tokenize.generate_tokens(io.StringIO(source).readline) if it.type not in none]
    return len(
        {line for it in tokens for line in range(it.start[0], it.end[0] + 1)} - set(_lines_of_docstrings(source))
    )


def _lines_of_docstrings(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


@each
def test_it_is_small(example: Path) -> None:
    files = [it for it in example.rglob("*") if it.suffix in (".py", ".sql") and "tests" not in it.parts]
    assert 0 < sum(map(lines, files)) < MOST_LINES


@each
def test_it_is_a_distribution_with_tests_that_says_what_it_is(example: Path) -> None:
    assert f"switchgear-example-{example.name}" == project(example)["project"]["name"]
    assert ["switchgear"] == project(example)["project"]["dependencies"]
    assert list(example.glob("tests/test_*.py"))
    assert "pip install ./contrib/examples/" + example.name in (example / "README.md").read_text()
    assert f"[{example.name}]({example.name}/)" in (FOLDER / "README.md").read_text()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install the gateway and all of them."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(CHECKOUT, *EXAMPLES)
    return made


@pytest.mark.slow
@each
def test_its_own_tests_pass(environment: Environment, example: Path, tmp_path: Path) -> None:
    flags = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "of-its-tests"))
    said = environment.run("python", "-m", "pytest", *flags, str(example), cwd=tmp_path)
    assert re.search(r"\d+ passed", said), said


@pytest.mark.slow
def test_a_gateway_with_all_of_them_serves(environment: Environment, tmp_path: Path) -> None:
    found = [name for example in EXAMPLES for name in plugins(example)]
    for name in found:
        environment.run("switchgear", "plugins", "enable", name, cwd=tmp_path)
    environment.run("switchgear", "config", "check", cwd=tmp_path)
    rows = json.loads(environment.run("switchgear", "plugins", "list", "--json", cwd=tmp_path))["plugins"]
    assert set(found) == {
        row["name"] for row in rows if row["enabled"] and row["distribution"].startswith("switchgear-example-")
    }
    program = str(environment.bin / "switchgear")
    argv = [program, "serve", "--host", "127.0.0.1", "--port", "{port}", "--data-dir", str(tmp_path / "data")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SWITCHGEAR"))}
    with Server(argv, env={**clean, "ADMIN_KEY": "the-admin-key"}, cwd=tmp_path) as server:
        server.wait_ready()
        with httpx.Client(base_url=server.url, timeout=60) as http:
            made = http.post("/admin/v1/api-keys", json={"name": "k", "permissions": {"models": ["*"]}}, headers=ADMIN)
            assert 201 == made.status_code, made.text
            chat = {"model": "echo", "messages": [{"role": "user", "content": "All of them."}]}
            for body in (chat, chat | {"stream": True}):
                key = {"authorization": f"Bearer {made.json()['key']}"}
                answer = http.post("/v1/chat/completions", json=body, headers=key)
                assert 200 == answer.status_code, answer.text
                said = re.findall(r'"content":\s*"([^"]*)"', answer.text)
                assert "All of them." == "".join(said)
            health = http.get("/health/detailed", headers=ADMIN)
            assert 200 == health.status_code, health.text
        server.terminate()
        assert 0 == server.wait(), server.output()
        assert "Traceback" not in server.output()
