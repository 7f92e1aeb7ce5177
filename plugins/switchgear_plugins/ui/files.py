"""Where the console's files are."""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
