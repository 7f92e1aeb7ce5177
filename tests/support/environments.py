"""A Python environment of its own, into which pip installs what a test is about; the rest it shares with the tests."""

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


class Environment:
    """A virtual environment at `directory`.

    What the tests' own environment holds can be imported there too, after what is installed there: so nothing but the
    distributions in question has to be built and nothing fetched.
    """

    def __init__(self, directory: Path) -> None:
        venv.create(directory, with_pip=False)
        self.bin = directory / "bin"
        [packages] = directory.glob("lib/python*/site-packages")
        shared = "; ".join(f"site.addsitedir({path!r})" for path in site.getsitepackages())
        (packages / "shared.pth").write_text(f"import site; {shared}\n")

    def install(self, *projects: Path) -> None:
        """Build projects and install them, without dependencies and without asking an index."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "--disable-pip-version-check"]
        options = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
        # Building needs the backend, which is in the shared part.
        self._check([*pip, *options, *map(str, projects)])

    def run(self, *command: str, cwd: Path, **environ: str) -> str:
        """Run a command of the environment; return what it wrote. Fails with all it wrote when it fails."""
        return self._check([str(self.bin / command[0]), *command[1:]], cwd=cwd, **environ)

    def _check(self, command: list[str], cwd: Path | None = None, **environ: str) -> str:
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SWITCHGEAR", "COVERAGE"))
        }
        done = subprocess.run(
            command, cwd=cwd, env=clean | environ, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout
