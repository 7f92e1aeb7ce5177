"""What the documentation tells of the code, read from the source: names that plugins may use, helpers of the wire, events.

python contrib/site/reference.py    # writes contrib/docs/plugins/wire.md
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core"
WIRE_PAGE = ROOT / "contrib" / "docs" / "plugins" / "wire.md"
PACKAGES = ("switchgear.contracts", "switchgear.wire", "switchgear.testing")
"""All that is in them is for plugins; the modules beside them stand in the guide under **What you may import**."""

_MOST = 100
_INTRO = """\
# Helpers of the wire

All public names of `switchgear.wire`, for providers and dialects. This page is written by `python contrib/site/reference.py` from
the docstrings, and a test holds it to them. Where to begin: [a provider](provider.md) is a
`switchgear.wire.translating.TranslatingProvider`, one with OpenAI's API a `switchgear.wire.chat_provider.ChatProvider`, one with
Anthropic's a `switchgear.wire.messages.provider.MessagesProvider`.
"""


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules of a package that hold something, by name."""
    folder = CORE / Path(*package.split("."))
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(CORE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if path.read_text("utf-8").strip():
            yield name, path


def public_modules() -> list[str]:
    """Return every module for plugins: those of the packages, and those that the guide lists beside them."""
    guide = (ROOT / "contrib" / "docs" / "plugins.md").read_text("utf-8").partition("**What you may import**")[2]
    listed = re.findall(r"^\| `(switchgear[\w.]*)` \|", guide, re.MULTILINE)
    found = [name for package in PACKAGES for name, _ in modules(package)]
    return sorted({*found, *(name for name in listed if name not in PACKAGES)})


def names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the public names that a module defines, with what they are in one line."""
    tree = ast.parse(path.read_text("utf-8"))
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name, said = node.name, ast.get_docstring(node)
        else:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            name = target.id if isinstance(target, ast.Name) else "_"
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            said = str(following.value.value) if is_text else _value(node)
        if not name.startswith("_"):
            yield name, first_sentence(said or "")


def _value(node: ast.stmt) -> str:
    """Return what a name that nothing is said of stands for, if that is short."""
    value = ast.unparse(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None else ""
    return f"`{value}`" if value and len(value) <= _MOST else ""


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring in one line, fit for a table."""
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0].replace("|", "\\|")


def wire_page() -> str:
    """Return the page of the helpers of the wire."""
    lines = [_INTRO]
    for name, path in modules("switchgear.wire"):
        found = list(names(path))
        if found:
            lines.append(f"## {name}\n")
            lines.append(first_sentence(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "") + "\n")
            lines.append("| name | |\n|---|---|")
            lines += [f"| `{one}` | {said} |" for one, said in found]
            lines.append("")
    return "\n".join(lines)


def announced() -> set[str]:
    """Return the names of the events that the kernel announces, from the calls that announce them."""
    found: set[str] = set()
    for path in (CORE / "switchgear").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func).rpartition(".")[2]
                if called in ("Event", "announce", "_announce"):
                    found |= set(_literals(node.args[0]))
    return {name for name in found if re.fullmatch(r"[\w-]+\.[a-z_]+", name)}


def _literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        ends = [it.value for it in node.values if isinstance(it, ast.Constant)]
        inner = [it.value for it in node.values if isinstance(it, ast.FormattedValue)]
        choices = [it for one in inner for it in _literals(one)] or [""]
        yield from ("KIND" + "".join(map(str, ends)) + choice for choice in choices)
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


if __name__ == "__main__":
    WIRE_PAGE.write_text(wire_page(), "utf-8")
