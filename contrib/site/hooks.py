"""What mkdocs is told beside its configuration: pages made of the code, and links that lead out of contrib/docs."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import reference

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:]+)(#[^)]*)?\)")
_ROOT = "README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the front page, the decisions, and a page of reference for each package or module that is for plugins."""
    files.append(File.generated(config, "index.md", content=(reference.ROOT / _ROOT).read_text("utf-8")))
    for path in sorted((reference.ROOT / "contrib" / "adr").glob("*.md")):
        files.append(File.generated(config, f"adr/{path.name}", content=path.read_text("utf-8")))
    listed = ["# Reference\n", "Every module for plugins, with its public names.\n"]
    for module in reference.public_modules():
        files.append(File.generated(config, f"reference/{module}.md", content=f"# {module}\n\n::: {module}\n"))
        listed.append(f"- [`{module}`]({module}.md)")
    files.append(File.generated(config, "reference/index.md", content="\n".join(listed) + "\n"))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """Lead links to where a page has gone, and write those to files that are no pages as the file's path."""
    source = page.file.src_uri
    if source.startswith("reference/"):
        return markdown
    folder = {"index.md": reference.ROOT}.get(source)
    if folder is None:
        base = reference.ROOT / "contrib" if source.startswith("adr/") else reference.ROOT / "contrib" / "docs"
        folder = (base / source).parent

    def led(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        place = (folder / target).resolve()
        uri = _uri(place)
        if uri is not None and files.get_file_from_path(uri) is not None:
            up = "../" * source.count("/")
            return f"[{text}]({up}{uri}{anchor})"
        if not place.exists():
            return link[0]  # told by the strict build
        shown = place.relative_to(reference.ROOT).as_posix()
        return text if shown in text else f"{text} (`{shown}`)"

    return _LINK.sub(led, markdown)


def _uri(place: Path) -> str | None:
    """Return which page a file of the repository is."""
    if place == reference.ROOT / _ROOT:
        return "index.md"
    for folder, prefix in ((reference.ROOT / "contrib" / "docs", ""), (reference.ROOT / "contrib" / "adr", "adr/")):
        if place.is_relative_to(folder):
            return prefix + place.relative_to(folder).as_posix()
    return None
