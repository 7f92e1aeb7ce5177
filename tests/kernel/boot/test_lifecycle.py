"""Order, start and stop of real plugins that write down what happens to them."""

import asyncio
import re
import threading
import time

import httpx
import pytest
from structlog.testing import capture_logs

from support.distributions import Site
from support.stopwatch import Stopwatch
from switchgear.context import Services
from switchgear.contracts.event import Event
from switchgear.errors import PluginError
from switchgear.hooks import Hooks
from switchgear.kernel import Kernel

NOTING = """
    import asyncio, time
    import switchgear.contracts.kernel
    from support.stubs import stub
    from switchgear.contracts.counters import Counters
    from switchgear.contracts.credential import CredentialBackend
    SEEN = []
    class Noting(switchgear.Plugin):
        api = 1
        async def start(self): SEEN.append(("start", self.context.plugin))
        async def stop(self): SEEN.append(("stop", self.context.plugin))
"""


def noting(site: Site, distribution: str, *plugins: str, **bodies: str) -> None:
    """Install plugins that note their start and stop; a body is put into the class of that name."""
    source = NOTING + "".join(f"\n    class {name}(Noting):\n        api = 1\n" for name in plugins)
    for name, body in bodies.items():
        indented = "\n".join(f"        {line}" for line in body.splitlines())
        source += f"\n    class {name}(Noting):\n        api = 1\n{indented}\n"
    site.add(distribution, {name: name for name in (*plugins, *bodies)}, source)


def seen() -> list[tuple[str, str]]:
    import noted  # noqa: PLC0415 - exists while the test's site does

    return noted.SEEN


def value(kernel: Kernel, metric: str, plugin: str) -> float:
    text = kernel.metrics.expose().decode()
    found = re.search(rf'^switchgear_{metric}{{(?:offer="",)?plugin="{plugin}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def until(condition, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - polls what has no event
            await asyncio.sleep(0.01)


def test_order_is_by_name_except_where_a_plugin_asks_to_come_after(kernel, site: Site):
    noting(site, "noted", "c", "d", "e", a="after = ('d', 'not_enabled')", b="after = ('a',)")
    made = kernel("a", "b", "c", "d", "e")
    made.boot()
    assert ["c", "d", "a", "b", "e"] == [item.installed.name for item in made.plugins]


async def test_plugins_start_in_order_and_stop_in_reverse(kernel, site: Site):
    noting(site, "noted", "b", "c", a="after = ('c',)")
    made = kernel("a", "b", "c")
    made.boot()
    await made.start(Services())
    await made.stop()
    assert [("start", "b"), ("start", "c"), ("start", "a"), ("stop", "a"), ("stop", "c"), ("stop", "b")] == seen()


async def test_a_failing_start_stops_those_before_it_in_reverse(kernel, site: Site):
    noting(site, "noted", "a", "b", "d", c="async def start(self): raise OSError('port taken')")
    made = kernel("a", "b", "c", "d")
    made.boot()
    with pytest.raises(PluginError) as caught:
        await made.start(Services())
    (failure,) = caught.value.failures
    assert "plugin `c` of noted 1.0: `start` raised OSError: port taken (" in failure
    assert [("start", "a"), ("start", "b"), ("stop", "b"), ("stop", "a")] == seen()


STUBBORN = """
async def start(self):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(2)
"""


@pytest.mark.parametrize(
    "body",
    ["async def start(self): await asyncio.sleep(60)", STUBBORN],
    ids=["slow", "ignores cancellation"],
)
async def test_a_start_that_takes_too_long_is_refused_in_bounded_time(kernel, site: Site, body: str):
    noting(site, "noted", "a", b=body)
    made = kernel("a", "b", gateway="plugin_timeout = 0.1")
    made.boot()
    took = Stopwatch()
    with pytest.raises(PluginError) as caught:
        await made.start(Services())
    assert took.s < 1.9
    assert ["plugin `b` of noted 1.0: `start` did not finish within 0.1 s"] == [
        text.partition(" (")[0] for text in caught.value.failures
    ]
    assert ("stop", "a") in seen()


async def test_cancelling_the_start_stops_what_was_started(kernel, site: Site):
    noting(site, "noted", "a", b="async def start(self):\n    SEEN.append('waiting')\n    await asyncio.sleep(60)")
    made = kernel("a", "b")
    made.boot()
    starting = asyncio.create_task(made.start(Services()))
    await until(lambda: "waiting" in seen())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [("start", "a"), "waiting", ("stop", "a")] == seen()


async def test_failures_of_stop_are_counted_logged_and_stop_nothing_else(kernel, site: Site):
    noting(site, "noted", "a", b="async def stop(self): 1/0", c="async def stop(self): await asyncio.sleep(60)")
    made = kernel("a", "b", "c", gateway="plugin_timeout = 0.1")
    made.boot()
    await made.start(Services())
    with capture_logs() as logs:
        await made.stop()
    assert ["c", "b"] == [entry["plugin"] for entry in logs]
    assert (1.0, 1.0) == (value(made, "plugin_errors_total", "b"), value(made, "plugin_errors_total", "c"))
    assert ("stop", "a") in seen()


async def test_a_plugin_gets_only_the_services_it_requires(kernel, site: Site):
    offers = "def switchgear_counters(self): return [switchgear.Offer('x', lambda: stub(Counters))]"
    noting(
        site,
        "noted",
        asks=f"requires = ('counters',)\n{offers}\nasync def start(self): SEEN.append(self.context.counters)",
        does_not="async def start(self): self.context.counters",
    )
    counters = object()
    made = kernel("asks")
    made.boot()
    await made.start(Services(counters=counters))
    await made.stop()
    assert counters is seen()[0]
    made = kernel("does_not")
    made.boot()
    with pytest.raises(PluginError, match=r'does_not.*`requires = \("counters",\)`'):
        await made.start(Services(counters=counters))


def test_a_credential_backend_that_cannot_seal_is_no_sealer(kernel, site: Site):
    offers = (
        "def switchgear_credential_backends(self): return [switchgear.Offer('one', lambda: stub(CredentialBackend))]"
    )
    noting(site, "noted", needs=f"requires = ('sealer',)\n{offers}")
    with pytest.raises(PluginError, match=r"plugin `needs` of noted 1\.0: it requires `sealer`, and no enabled plugin"):
        kernel("needs").boot()


def test_a_plugin_may_require_a_kind_of_offer(kernel, site: Site):
    offers = (
        "defines = (switchgear.OfferKind('exporters', int),)\n"
        "def switchgear_offers(self): return [switchgear.Offer('one', lambda settings: 5, kind='exporters')]"
    )
    noting(site, "noted", needs="requires = ('exporters',)", has=offers)
    kernel("needs", "has").boot()
    with pytest.raises(
        PluginError, match=r"`needs` of noted 1\.0: it requires `exporters`, and no enabled plugin offers that"
    ):
        kernel("needs").boot()


async def test_http_clients_of_a_plugin_are_closed_with_it(kernel, site: Site):
    noting(site, "noted", a="async def start(self): SEEN.append(self.context.http(timeout=3))")
    made = kernel("a")
    made.boot()
    await made.start(Services(http=httpx.AsyncClient))
    (client,) = seen()
    assert (False, 3) == (client.is_closed, client.timeout.read)
    await made.stop()
    assert client.is_closed


async def test_a_plugin_has_a_directory_of_its_own_made_on_demand(kernel, site: Site, tmp_path):
    noting(site, "noted", "b", a="async def start(self): (self.context.data_dir / 'x').write_text('y')")
    made = kernel("a", "b")
    made.boot()
    await made.start(Services())
    await made.stop()
    assert ["a", "a/x"] == sorted(str(p.relative_to(tmp_path / "data")) for p in (tmp_path / "data").rglob("*"))


async def test_background_work_runs_again_after_a_failure_and_ends_with_the_plugin(kernel, site: Site):
    work = (
        "async def work(self):\n    SEEN.append('work')\n    if SEEN.count('work') == 1: raise ValueError('once')\n"
        "    try: await asyncio.sleep(60)\n    finally: SEEN.append('ended')\n"
        "async def start(self): self.context.spawn('job', self.work)"
    )
    noting(site, "noted", a=work)
    made = kernel("a")
    made.boot()
    with capture_logs() as logs:
        await made.start(Services())
        await until(lambda: seen().count("work") == 2)
    assert 1.0 == value(made, "plugin_errors_total", "a")
    assert [("a", "job")] == [(entry["plugin"], entry["what"]) for entry in logs if "plugin" in entry]
    await made.stop()
    assert "ended" == seen()[-1]


PERIODIC = """
def switchgear_tasks(self): return [switchgear.contracts.kernel.Task('beat', 0.01, self.beat)]
running = 0
async def beat(self):
    self.running += 1
    SEEN.append(self.running)
    await asyncio.sleep(0.01)
    self.running -= 1
    if len(SEEN) == 3: raise OSError('once')
"""


async def test_a_task_runs_again_and_again_never_twice_at_once_until_its_plugin_stops(kernel, site: Site):
    noting(site, "noted", a=PERIODIC)
    made = kernel("a")
    made.boot()
    await made.start(Services())
    assert [("start", "a")] == seen()
    with capture_logs() as logs:
        made.run_tasks()
        await until(lambda: seen().count(1) == 5)
    await made.stop()
    assert [("start", "a"), ("stop", "a")] == [item for item in seen() if item != 1]
    assert [("a", "beat")] == [(entry["plugin"], entry["what"]) for entry in logs]
    assert 1.0 == value(made, "plugin_errors_total", "a")
    before = len(seen())
    await asyncio.sleep(0.03)
    assert before == len(seen())


def test_a_task_without_an_interval_is_refused(kernel, site: Site):
    noting(
        site, "noted", a="def switchgear_tasks(self): return [switchgear.contracts.kernel.Task('beat', 0, self.stop)]"
    )
    with pytest.raises(PluginError, match=r"plugin `a` of noted 1\.0: `switchgear_tasks` raised ValueError: `every_s`"):
        kernel("a").boot()


LISTENING = """
names = frozenset({'wanted'})
def handle(self, event):
    SEEN.append(event.name + str(event.at_us))
    if event.at_us == 1: raise ValueError('bad event')
def switchgear_event_handlers(self): return [self]
async def start(self): self.context.emit(__import__('switchgear.contracts.event').contracts.event.Event('wanted', 0))
"""


async def test_events_reach_those_who_want_them_and_a_failing_handler_is_counted(kernel, site: Site):
    noting(site, "noted", a=LISTENING)
    made = kernel("a")
    made.boot()
    await made.start(Services())
    for name, at in [("other", 0), ("wanted", 1), ("wanted", 2)]:
        made.events.emit(Event(name, at))
    await made.stop()
    assert ["wanted0", "wanted1", "wanted2"] == [item for item in seen() if isinstance(item, str)]
    assert 1.0 == value(made, "plugin_errors_total", "a")


async def test_whoever_announces_learns_whether_all_took_note(kernel, site: Site):
    noting(site, "noted", a=LISTENING + "announces = {'mine.happened': 'now and then'}")
    made = kernel("a")
    made.boot()
    assert {"mine.happened", "targets.opened"} <= made.events.known.keys()
    await made.start(Services())
    heard = [await made.events.announce(Event(name, at)) for name, at in [("other", 0), ("wanted", 1), ("wanted", 2)]]
    assert [True, False, True] == heard
    assert ["wanted0", "wanted1", "wanted2"] == [item for item in seen() if isinstance(item, str)]
    await made.stop()


async def test_a_full_queue_drops_events_and_counts_them(kernel, site: Site):
    noting(site, "noted", a=LISTENING)
    made = kernel("a")
    made.boot()
    for at in range(1003):
        made.events.emit(Event("wanted", at + 5))
    assert 3.0 == value(made, "events_dropped_total", "a")


async def test_the_watchdog_names_the_plugin_that_blocks_the_loop(kernel, site: Site):
    noting(site, "noted", "b")
    noting(site, "blocking", a="async def start(self): time.sleep(1.0)")
    made = kernel("a", "b")
    made.boot()
    with capture_logs() as logs:
        await made.start(Services())
        made.run_tasks()
        time.sleep(1.0)  # noqa: ASYNC251 - blocking the loop is the point
        await until(lambda: sum("plugin" in entry for entry in logs) == 2)
    await made.stop()
    named = [entry for entry in logs if "plugin" in entry]
    assert ["a", "kernel"] == [entry["plugin"] for entry in named]
    assert "time.sleep(1.0)" in named[0]["stack"]
    assert 1.0 == value(made, "event_loop_stalls_total", "a")
    assert 1.0 == value(made, "event_loop_stalls_total", "kernel")
    await asyncio.to_thread(lambda: [thread.join(2) for thread in threading.enumerate() if thread.name == "watchdog"])
    assert [] == [thread for thread in threading.enumerate() if thread.name == "watchdog"]


async def test_a_kernel_without_plugins_starts_and_stops(kernel):
    made = kernel()
    made.boot()
    await made.start(Services())
    await made.stop()
    assert [] == made.registry.all(Hooks.switchgear_providers)
