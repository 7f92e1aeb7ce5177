import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
from hypothesis import HealthCheck, settings
from xdist.workermanage import WorkerController

from security import proxies
from support import order
from support.pulse import Pulse

# Bytecode is kept, whatever the environment says: the workers rewrite the same tests, and hundreds of processes start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A plugin that comes with a client takes longer to import than all else of pytest, in each that a test starts.
os.environ["PYTEST_ADDOPTS"] = "-p no:langsmith_plugin"

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
PLACE = pytest.StashKey[Path]()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Say how many workers there are: more than cores, as the tests wait half of their time."""
    cores = os.cpu_count() or 2
    return cores if all(Path(name.partition("::")[0]).is_file() for name in config.args) else 2 * cores


def pytest_report_header() -> str:
    """Say behind which proxies the gateway is tested."""
    return f"proxies: {', '.join(proxies.wanted()) or 'none; apt-get install haproxy nginx-light brings them'}"


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where to write down which tests are taken alone."""
    node.workerinput[order.ALONE] = str(_place(node.config))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> order.Scheduler | None:
    return order.Scheduler(config, log, _place(config)) if config.getoption("dist") == "loadfile" else None


def _place(config: pytest.Config) -> Path:
    if PLACE not in config.stash:
        directory = TemporaryDirectory()
        config.add_cleanup(directory.cleanup)
        config.stash[PLACE] = Path(directory.name) / "alone.json"
    return config.stash[PLACE]


def pytest_sessionstart(session: pytest.Session) -> None:
    pulse = session.config.stash[PULSE] = Pulse()
    session.config.add_cleanup(pulse.close)
    pulse.start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have a test that failed while the machine stood still run again: deadlines passed that nobody could have met."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=2, condition=config.stash[PULSE].missed))
    if (told := getattr(config, "workerinput", None)) is not None:
        order.lay_out(items, Path(told[order.ALONE]))


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
        gc.set_threshold(10_000, 20, 20)  # as `serve` does: a gateway that starts makes many things that stay
        gc.enable()
