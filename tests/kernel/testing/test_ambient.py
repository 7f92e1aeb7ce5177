import subprocess
import sys

import pytest

from switchgear.testing.ambient import START_US, FixedAmbient


def test_time_stands_still_until_advanced():
    ambient = FixedAmbient()
    began = ambient.monotonic()
    assert START_US == ambient.now_us() == ambient.now_us()
    ambient.advance(1.5)
    assert (START_US + 1_500_000, began + 1.5) == (ambient.now_us(), ambient.monotonic())


def test_the_wall_clock_alone_may_go_back():
    ambient = FixedAmbient()
    before = ambient.monotonic()
    ambient.wall_us -= 3_600_000_000
    assert (START_US - 3_600_000_000, before) == (ambient.now_us(), ambient.monotonic())
    with pytest.raises(ValueError, match="wall_us"):
        ambient.advance(-1)


def test_the_same_seed_replays_and_another_differs():
    def draw(seed):
        ambient = FixedAmbient(seed=seed)
        return ambient.random(), ambient.token(16), ambient.new_id()

    assert draw(1) == draw(1)
    assert draw(1)[:2] != draw(2)[:2]


def test_ids_count_up_and_sort_by_time():
    ambient = FixedAmbient()
    ids = []
    for _ in range(3):
        ids += [ambient.new_id(), ambient.new_id()]
        ambient.advance(0.001)
    assert sorted(ids) == ids
    assert 6 == len(set(ids))
    assert {32} == {len(id) for id in ids}


def test_the_pytest_plugin_pulls_in_no_heavy_module():
    script = (
        "import sys, pytest; before = set(sys.modules); import switchgear.testing.pytest_plugin; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"structlog", "litestar", "cryptography", "httpx", "prometheus_client", "uvicorn"} & set(out)


def test_the_fixtures_are_there_without_asking(plugin_context, ambient):
    assert ambient is plugin_context.ambient
    assert plugin_context.data_dir.is_dir()
