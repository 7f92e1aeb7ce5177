"""The rules of the house, held by reading the source."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import switchgear
from switchgear import errors
from switchgear.contracts.event import EVENTS
from switchgear.hooks import Hooks

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "switchgear"
PLUGINS = ROOT / "plugins" / "switchgear_plugins"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VENDORS = re.compile(
    r"openai|anthropic|claude|azure|bedrock|vertex|gemini|gigachat|cohere|mistral|ollama|sqlite|postgres|redis|hashicorp",
    re.IGNORECASE,
)

FEATURES: dict[str, tuple[re.Pattern[str], dict[str, str]]] = {
    "keys and teams": (
        re.compile(r"\bapi[- ]?keys?\b|api_keys?\b|\bkey_id\b|\bteams?\b|\bteam_id\b|\buser_id\b|\bsg_", re.IGNORECASE),
        {
            "contracts/credential.py": "`api_key` is the usual member of a provider's credential",
            "contracts/principal.py": "headers in which clients of all dialects send a token",
            "exchange/engine.py": "the code by which every client knows that its credentials are not good",
            "exchange/in_flight.py": "likewise",
            "first_run.py": "the name of the file that has the first secret of a first run",
        },
    ),
    "limits": (
        re.compile(r"\b(requests|tokens)_per_\w+|\b[rt]pm\b|\bquotas?\b|\bbudgets\b", re.IGNORECASE),
        {
            "exchange/attempt.py": "`quota` is what a provider may say of its own account",
            "exchange/faults.py": "likewise",
            "contracts/provider.py": "likewise",
        },
    ),
    "chats": (
        re.compile(
            r"\btools?\b|\btool_\w+|response_format|image_url|\bmessages\b|\bfunctions\b|\bassistant\b|\bprompts?\b",
            re.IGNORECASE,
        ),
        {
            "cli/db.py": "tools of a database",
            "cli/serve.py": "shows a first request to copy",
            "contracts/capability.py": "well-known names of an open set",
            "contracts/conversation.py": "the one form of what is said, for every dialect",
            "contracts/estimate.py": "which members ask for several answers",
            "contracts/filter.py": "the channels of that form",
            "exchange/continuation.py": "goes on with a chat that broke, in the canonical form",
            "exchange/capabilities.py": "says what a chat needs of a model, in the canonical form",
            "tokens.py": "where the texts stand whose bytes are counted",
        },
    ),
    "prices": (
        re.compile(r"\bpric(e|es|ed|ing)\b|microusd", re.IGNORECASE),
        {
            "catalogue/__init__.py": "a model resource may have `pricing`",
            "catalogue/checks.py": "likewise",
            "catalogue/own_targets.py": "what answers by calls of its own has no price besides theirs",
            "catalogue/specs.py": "a model resource may have `pricing`",
            "contracts/estimate.py": "what a request may cost is a contract",
            "contracts/exchange.py": "what an exchange costs is a contract",
            "contracts/inside.py": "likewise, of a call from inside",
            "contracts/usage.py": "the price of a unit is a contract, which price books offer",
            "exchange/cost.py": "the one place where a cost is worked out",
            "exchange/inside.py": "hands the cost on",
            "exchange/meters.py": "counts it",
            "exchange/reply.py": "tells it to the client",
            "exchange/routes.py": "nothing was asked, so 0",
            "own.py": "names of its metrics",
        },
    ),
    "records of usage": (
        re.compile(r"UsageRecord|usage_records?\b|usage_kind|[\"']usage[\"']"),
        {
            "contracts/exchange.py": "an attribute of an exchange and of an attempt",
            "exchange/continuation.py": "a member of the canonical form",
            "exchange/hedge.py": "an attribute of an attempt",
        },
    ),
}
"""Words of what plugins do, with the modules of the kernel that have such a word all the same, and why."""

PUBLIC_PACKAGES = frozenset({"switchgear.contracts", "switchgear.counters", "switchgear.testing", "switchgear.wire"})
"""All that is in them is for plugins."""
PUBLIC = frozenset({
    "switchgear.admin.bodies", "switchgear.ambient", "switchgear.commands", "switchgear.errors", "switchgear.json_paths",
    "switchgear.migrate", "switchgear.regular", "switchgear.telemetry.metrics", "switchgear.weighted_hashing",
    "switchgear.phrasing",
})  # fmt: skip
"""Modules for plugins beside these packages and the names in `switchgear` itself. What is not here may change without notice."""


def modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def imported(path: Path) -> list[tuple[str, str]]:
    """Return every module that is imported, at run time or for types, and what of it by name."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
    return found


def imports(path: Path) -> set[str]:
    return {module for module, _ in imported(path)}


def private(path: Path) -> list[str]:
    """Return what is imported of the kernel that is not public."""
    return [
        one for module, of in imported(path) if module.split(".")[0] == "switchgear" and (one := _private(module, of))
    ]


def _private(module: str, of: str) -> str | None:
    """Return the module, or the name of it, that is not for plugins."""
    folder = CORE.parent / Path(*module.split("."), of) if of else CORE
    if of and (folder.is_dir() or folder.with_suffix(".py").is_file()):
        module, of = f"{module}.{of}", ""
    if module == "switchgear":
        return None if of in {"", *switchgear.__all__} else f"{module}.{of}"
    if module not in PUBLIC and not any(f"{module}.".startswith(f"{package}.") for package in PUBLIC_PACKAGES):
        return module
    return f"{module}.{of}" if of == "*" or of.startswith("_") else None


@cache
def words(path: Path) -> list[str]:
    """Return identifiers and strings, without docstrings and comments."""
    source = path.read_text()
    docstrings = {
        node.body[0].value.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    return [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME or (token.type == tokenize.STRING and token.start[0] not in docstrings)
    ]


@pytest.mark.parametrize("path", modules(CORE), ids=name)
def test_the_kernel_names_no_vendor(path: Path) -> None:
    # A bare string after an attribute is its documentation; those start with three quotes.
    found = [word for word in words(path) if VENDORS.search(word) and not word.startswith('"""')]
    assert found == []


@pytest.mark.parametrize("feature", FEATURES)
def test_the_kernel_names_no_feature_of_plugins(feature: str) -> None:
    pattern, reasons = FEATURES[feature]
    found: dict[str, list[str]] = {}
    for path in modules(CORE):
        inside = path.relative_to(CORE)
        if inside.parts[0] in ("wire", "testing"):
            continue  # wire formats have members of such names, and tests of stores records with them
        # A bare string after an attribute is its documentation; those start with three quotes.
        if named := [word for word in words(path) if pattern.search(word) and not word.startswith('"""')]:
            found[str(inside)] = named
    assert {file: named for file, named in found.items() if file not in reasons} == {}
    assert sorted(reasons) == sorted(found), "a reason is for what is there"


@pytest.mark.parametrize("path", modules(PLUGINS), ids=name)
def test_plugins_import_neither_each_other_nor_private_parts(path: Path) -> None:
    own = path.relative_to(PLUGINS).parts[0]
    assert [m for m in imports(path) if m.startswith("switchgear_plugins.") and m.split(".")[1] != own] == []
    assert private(path) == []


EXAMPLES = sorted(
    path
    for folder in ("examples", "example-provider", "plugin-template")
    for path in (ROOT / "contrib" / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_examples_import_public_names_only(path: Path) -> None:
    assert private(path) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from switchgear import Plugin, Offer\nfrom switchgear.contracts.usage import Usage", []),
        ("import switchgear", []),
        ("from switchgear import contracts", []),
        ("from switchgear import gateway", ["switchgear.gateway"]),
        ("from switchgear import tokens", ["switchgear.tokens"]),
        ("import switchgear.kernel", ["switchgear.kernel"]),
        ("import switchgear.exchange.engine", ["switchgear.exchange.engine"]),
        ("from switchgear.catalogue.specs import ModelSpec", ["switchgear.catalogue.specs"]),
        ("from switchgear.telemetry import redact", ["switchgear.telemetry.redact"]),
        ("from switchgear.telemetry import metrics", []),
        ("from switchgear.offer import NoSettings", ["switchgear.offer"]),
        ("from switchgear.wire.members import _decoder", ["switchgear.wire.members._decoder"]),
        ("from switchgear.errors import *", ["switchgear.errors.*"]),
    ],
)
def test_what_is_private_is_seen(source: str, found: list[str], tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(source)
    assert found == private(path)


def test_the_guide_lists_what_is_public() -> None:
    guide = (ROOT / "contrib" / "docs" / "plugins.md").read_text()
    _, _, listed = guide.partition("**What you may import**")
    assert [module for module in sorted(PUBLIC | PUBLIC_PACKAGES) if f"`{module}`" not in listed] == []
    assert [
        module for module in PUBLIC if not (CORE.parent / Path(*module.split("."))).with_suffix(".py").is_file()
    ] == []


@pytest.mark.parametrize("path", modules(CORE), ids=name)
def test_the_kernel_imports_no_plugin(path: Path) -> None:
    assert [m for m in imports(path) if m.split(".")[0] == "switchgear_plugins"] == []


@pytest.mark.parametrize("room", ["exchange", "edge", "admin", "upstream", "wire", "ledger"])
def test_what_runs_per_request_knows_nothing_of_boot(room: str) -> None:
    boot = {"pluggy", "tomllib", "tomlkit", "tomli_w"}
    kernel = {
        "switchgear.kernel",
        "switchgear.config",
        "switchgear.discovery",
        "switchgear.registry",
        "switchgear.gateway",
    }
    for path in modules(CORE / room):
        assert {m for m in imports(path) if m.split(".")[0] in boot or m in kernel} == set(), name(path)


def test_only_the_upstream_calls_out() -> None:
    clients = {"httpx", "httpcore", "pyreqwest", "aiohttp", "requests", "urllib.request", "http.client"}
    for path in [*modules(CORE), *modules(PLUGINS)]:
        if path.is_relative_to(CORE / "upstream") or path.is_relative_to(CORE / "testing"):
            continue
        tree = ast.parse(path.read_text())
        lazy = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in lazy:
                continue
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [m for m in found if m in clients or m.split(".")[0] in clients - {"http.client"}], name(path)


def test_time_and_chance_come_from_one_source() -> None:
    forbidden = re.compile(
        r"\btime\.(time|time_ns|monotonic|monotonic_ns)\(|\brandom\.\w+\(|\buuid\.uuid|\bsecrets\.\w+\(|datetime\.(now|utcnow)\("
    )
    for path in [*modules(CORE), *modules(PLUGINS)]:
        if path == CORE / "ambient.py" or path.is_relative_to(CORE / "testing"):
            continue
        found = [line.strip() for line in path.read_text().splitlines() if forbidden.search(line)]
        assert found == [], f"{name(path)}: take it from the ambient"


def test_sql_is_in_files() -> None:
    statement = re.compile(
        r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b", re.DOTALL
    )
    for path in [*modules(CORE), *modules(PLUGINS)]:
        strings = [w for w in words(path) if w[-1:] in "\"'" and statement.search(w)]
        assert strings == [], name(path)


def test_every_event_is_in_the_list_and_in_the_guide() -> None:
    announced: set[str] = set()
    for path in modules(CORE):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"announce", "_announce", "Event"}:
                announced |= set(event_names(node.args[0]))
    assert announced == set(EVENTS)
    guide = (ROOT / "contrib" / "docs" / "plugins.md").read_text()
    assert [it for it, what in EVENTS.items() if f"| `{it}` | {what} |" not in guide] == []


def event_names(node: ast.expr) -> Iterator[str]:
    """Yield the names that an event may have by this expression; what is put together stands for every kind."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for value in node.values[1:]:
            for inner in ast.walk(value):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.strip("."):
                    yield f"KIND.{inner.value}"


def test_every_exception_says_what_happened() -> None:
    raised = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert [c.__name__ for c in raised if not c.__doc__] == []
    answers = [c for c in raised if issubclass(c, errors.ApiError)]
    assert [c.__name__ for c in answers if "status" not in vars(c)] == []
    drawn = errors.__doc__ or ""
    assert [c.__name__ for c in raised if c.__name__ not in drawn] == []


@pytest.mark.parametrize("path", [*modules(CORE), *modules(PLUGINS)], ids=name)
def test_modules_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_every_hook_is_documented_and_tested() -> None:
    hooks = [hook for hook in vars(Hooks) if hook.startswith("switchgear_")]
    tests = "".join(p.read_text() for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__))
    guide = (ROOT / "contrib" / "docs" / "plugins.md").read_text()
    assert [hook for hook in hooks if not (vars(Hooks)[hook].__doc__ or "").strip()] == []
    assert [hook for hook in hooks if hook not in tests] == []
    assert [hook for hook in hooks if hook not in guide] == []


def test_every_builtin_is_in_the_example_configuration() -> None:
    example = tomllib.loads((ROOT / "plugins.toml.example").read_text())
    declared = PYPROJECT["project"]["entry-points"]["switchgear.plugins"]
    assert sorted(declared) == sorted(example["plugins"])
    assert sorted(declared) == sorted(p.parent.name for p in PLUGINS.glob("*/plugin.py"))


def test_an_extra_is_named_like_its_plugin() -> None:
    extras = set(PYPROJECT["project"]["optional-dependencies"]) - {"dev", "docs", "testing"}
    assert extras <= set(PYPROJECT["project"]["entry-points"]["switchgear.plugins"])


def test_the_public_names_are_these() -> None:
    assert ["API", "Context", "NoSettings", "Offer", "OfferKind", "Plugin", "__version__"] == switchgear.__all__


def test_the_top_level_holds_what_it_should() -> None:
    wanted = {
        "pyproject.toml", "core", "plugins", "plugins.toml.example", "migrations", "tests", "contrib", "Dockerfile",
        "README.md", "LICENSE",
    }  # fmt: skip
    extra = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - wanted - {"plugins.toml", "build", "dist"}
    assert extra == set()
    assert wanted <= {p.name for p in ROOT.iterdir()}
