from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.distributions import Site, installed
from switchgear.config import Config, load
from switchgear.kernel import Kernel

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with installed(tmp_path / "site") as found:
        yield found


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    def make(toml: str = "", **environ: str) -> Config:
        path = tmp_path / "plugins.toml"
        path.write_text(toml)
        return load(path, environ=environ)

    return make


@pytest.fixture
def kernel(configure: Callable[..., Config], tmp_path: Path) -> MakeKernel:
    def make(*enabled: str, gateway: str = "", toml: str = "") -> Kernel:
        text = f"[gateway]\ndata_dir = '{tmp_path / 'data'}'\n{gateway}\n" + toml
        text += "" if enabled or "[plugins" in text else "\n[plugins]\n"
        text += "".join(f"\n[plugins.{name}]\nenabled = true\n" for name in enabled)
        return Kernel(configure(text))

    return make
