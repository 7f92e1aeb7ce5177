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
        # As plain paths: the .pth files in them are not read, so the checkout is not there unless it is installed.
        (packages / "shared.pth").write_text("\n".join(site.getsitepackages()) + "\n")

    def install(self, *projects: Path | str) -> None:
        """Build projects and install them, without dependencies and without asking an index."""
        self.pip(
            "install", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", *map(str, projects)
        )

    def pip(self, *arguments: str) -> None:
        """Run pip on this environment. Building needs the backend, which is in the shared part."""
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.bin / "python"),
            "--disable-pip-version-check",
            "--quiet",
        ]
        self._check([*pip, *arguments])

    def run(self, *command: str, cwd: Path, **environ: str) -> str:
        """Run a command of the environment; return what it wrote. Fails with all it wrote when it fails."""
        return self._check([str(self.bin / command[0]), *command[1:]], cwd=cwd, **environ)

    def refusal(self, *command: str, cwd: Path) -> str:
        """Run a command that must refuse (exit code 2); return why."""
        done = self._run([str(self.bin / command[0]), *command[1:]], cwd)
        assert done.returncode == 2, f"{command}\n{done.stdout}{done.stderr}"
        return done.stderr

    def _check(self, command: list[str], cwd: Path | None = None, **environ: str) -> str:
        done = self._run(command, cwd, **environ)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @staticmethod
    def _run(command: list[str], cwd: Path | None, **environ: str) -> "subprocess.CompletedProcess[str]":
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SWITCHGEAR", "COVERAGE"))
        }
        return subprocess.run(
            command, cwd=cwd, env=clean | environ, capture_output=True, text=True, check=False, timeout=300
        )
