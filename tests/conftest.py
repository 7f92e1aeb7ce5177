import gc
import os
from collections.abc import Iterator

import pytest
import trustme
from hypothesis import HealthCheck, settings

from support.pulse import Pulse

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


def pytest_sessionstart(session: pytest.Session) -> None:
    pulse = session.config.stash[PULSE] = Pulse()
    session.config.add_cleanup(pulse.close)
    pulse.start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have a test that failed while the machine stood still run again: deadlines passed that nobody could have met."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=2, condition=config.stash[PULSE].missed))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[PULSE].begin()


def pytest_collection_finish() -> None:
    """Take what was collected, some thousand tests, out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()
