"""Installed distributions for tests: real metadata and real modules in a directory on the import path."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent


class Site:
    """A directory of installed distributions."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        distribution: str,
        plugins: dict[str, str],
        source: str = "",
        *,
        version: str = "1.0",
        module: str | None = None,
        extras: tuple[str, ...] = (),
    ) -> Path:
        """Install a distribution of one module; `plugins` maps plugin names to attributes of that module.

        An attribute with a colon is a whole entry point value. Returns the module's file.
        """
        module = module or distribution.replace("-", "_")
        info = self.root / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.4", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Provides-Extra: {extra}" for extra in extras]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        points = [f"{name} = {at if ':' in at else f'{module}:{at}'}" for name, at in plugins.items()]
        (info / "entry_points.txt").write_text("[switchgear.plugins]\n" + "\n".join(points) + "\n")
        file = self.root / f"{module}.py"
        file.write_text("import switchgear\n" + dedent(source))
        invalidate_caches()
        return file


@contextmanager
def installed(root: Path) -> Iterator[Site]:
    """Put a site on the import path, and forget on leaving whatever was imported from it."""
    root.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(root))
    try:
        yield Site(root)
    finally:
        sys.path.remove(str(root))
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(root)):
                del sys.modules[name]
        invalidate_caches()
