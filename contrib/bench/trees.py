"""Which gateway is measured: that of a checkout, whatever is installed here, or that of a virtual environment."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec

OWN = Path(__file__).resolve().parents[2]
_SEEN = "import switchgear; from switchgear.shipped import shipped; print(switchgear.__file__); "
_SEEN += "print(shipped('plugins.toml.example', 'plugins.toml.example').read_text())"


class Tree(msgspec.Struct, frozen=True):
    """A gateway to run: a checkout by this interpreter, or what is installed beside another one."""

    name: str
    python: Path
    checkout: Path | None = None

    @classmethod
    def of(cls, text: str) -> "Tree":
        """Read `[NAME=]PATH`; the path is a checkout or a virtual environment. Raises `ValueError`."""
        name, _, path = text.rpartition("=")
        folder = Path(path).expanduser().absolute()
        name = name or folder.name
        if folder.joinpath("core", "switchgear").is_dir():
            return cls(name, Path(sys.executable), folder)
        if folder.joinpath("bin", "python").exists():
            return cls(name, folder / "bin/python")
        raise ValueError(f"{folder} is neither a checkout (core/switchgear) nor a virtual environment (bin/python)")

    def command(self) -> list[str]:
        return [str(self.python), "-m", "switchgear"]

    def env(self, home: Path) -> dict[str, str]:
        """Return the environment that makes it this tree; `home` takes what its distribution would have installed."""
        if self.checkout is None:
            return {"PYTHONPATH": ""}
        declare(self.checkout, home / "metadata")
        parts = [home / "metadata", self.checkout / "core", self.checkout / "plugins"]
        return {"PYTHONPATH": os.pathsep.join(map(str, parts))}

    def example(self, home: Path) -> str:
        """Return its `plugins.toml.example`. Raises `ValueError` when it is not what would run."""
        argv = [str(self.python), "-c", _SEEN]
        env = {**os.environ, **self.env(home)}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=home, timeout=60, check=False)
        file, _, example = done.stdout.partition("\n")
        if done.returncode or not example:
            raise ValueError(f"{self.name}: it cannot be imported: {done.stderr[-400:].strip()}")
        if self.checkout is not None and not Path(file).is_relative_to(self.checkout):
            raise ValueError(f"{self.name}: it would run {file}, not {self.checkout}")
        return example


def declare(folder: Path, metadata: Path) -> list[str]:
    """Write what an installer would have of the distribution in `folder`; return the names of its plugins.

    It comes first on the path, so that its entry points count and not those of another version that is installed.
    """
    project = tomllib.loads(folder.joinpath("pyproject.toml").read_text())["project"]
    points = project.get("entry-points", {})
    name = project["name"].replace("-", "_")
    place = metadata / f"{name}-{project.get('version', '0')}.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    place.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project.get('version', '0')}\n"
    )
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in found.items()) for group, found in points.items()]
    place.joinpath("entry_points.txt").write_text("\n\n".join(lines) + "\n")
    return list(points.get("switchgear.plugins", {}))


THIS = Tree("switchgear", Path(sys.executable), OWN)
