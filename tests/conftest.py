import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, settings

from support import order
from support.pulse import Pulse

# Bytecode is kept, whatever the environment says: the workers rewrite the same tests, and hundreds of processes start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long one example takes says nothing on a busy machine. HYPOTHESIS_PROFILE=thorough looks further.
settings.register_profile("fast", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("fast"), max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give httpx one authority to trust: it parses the public ones for every client, and no test calls the public."""
    file = tmp_path_factory.mktemp("trust") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    with pytest.MonkeyPatch.context() as patch:
        if "SSL_CERT_FILE" not in os.environ:
            patch.setenv("SSL_CERT_FILE", str(file))
        yield


PULSE = pytest.StashKey[Pulse]()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Say how many workers there are: more than cores, as the tests wait more than they work."""
    cores = os.cpu_count() or 2
    return cores if all(Path(name.partition("::")[0]).is_file() for name in config.args) else cores + 4


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Call a test by its own name, also where it was taken with others."""
    report.nodeid = order.named(report.nodeid)


def pytest_sessionstart(session: pytest.Session) -> None:
    pulse = session.config.stash[PULSE] = Pulse()
    session.config.add_cleanup(pulse.close)
    pulse.start()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have a test that failed while the machine stood still run again: deadlines passed that nobody could have met."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=2, condition=config.stash[PULSE].missed))
    if hasattr(config, "workerinput"):
        order.lay_out(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[PULSE].begin()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what is collected, some thousand tests, now and in every later round."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
