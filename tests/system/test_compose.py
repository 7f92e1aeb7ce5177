"""contrib/compose says what it says to Docker: nothing here runs it, so what it says is held against the program."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchgear.config import load
from switchgear.settings import GatewaySettings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HERE = ROOT / "contrib" / "compose"
FILE = HERE / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROFILES = ("full", "dev", "postgres", "test")
_ECHO = """
kind: models
id: echo
provider_id: echo
provider_model: echo
---
kind: providers
id: echo
type: echo
"""
GATEWAYS = sorted(name for name, it in SERVICES.items() if it["image"] == "switchgear" and "command" not in it)


def of(profile: str) -> dict[str, dict[str, Any]]:
    return {name: it for name, it in SERVICES.items() if profile in it["profiles"]}


def environ(service: dict[str, Any]) -> dict[str, str]:
    """Return what a service gets, with every variable that it takes from outside set to something."""
    return {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1s3cret", str(text))
        for name, text in service.get("environment", {}).items()
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_has_all_that_it_depends_on(profile: str) -> None:
    services = of(profile)
    assert services
    for name, it in services.items():
        assert {*it.get("depends_on", {})} <= {*services}, name
        named = {volume.partition(":")[0] for volume in it.get("volumes", ())}
        assert {volume for volume in named if not volume.startswith(".")} <= {*COMPOSE["volumes"]}, name
        assert "healthcheck" in it, name


def test_no_two_services_of_a_profile_want_one_port() -> None:
    for profile in PROFILES:
        ports = [port.rsplit(":", 1)[0] for it in of(profile).values() for port in it.get("ports", ())]
        assert len({*ports}) == len(ports), profile
        assert all(port.startswith("127.0.0.1:") for port in ports), "reachable from this machine alone"


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_is_what_its_variables_make_of_the_defaults(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    given = environ(SERVICES[name])
    config = load(None, environ=given)
    profile = SERVICES[name]["profiles"]
    assert ("postgres" in config.enabled) == (profile != ["dev"])
    assert ("redis" in config.enabled) == (profile == ["full"])
    settings: GatewaySettings = config.gateway
    assert settings.admin_key, "beyond loopback there is none without"
    replicas = sum("REDIS_URL" in environ(it) for it in of(profile[0]).values())
    assert settings.replicas == (replicas or None)


def test_the_test_profile_is_what_the_tests_ask_for() -> None:
    assert {"postgres-test", "redis-test"} == {*of("test")}


def test_the_seed_of_the_dev_profile_is_taken(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("switchgear"))
    data = ("--data-dir", str(tmp_path / "data"))
    assert SERVICES["seed"]["command"][:3] == ["apply", "-f", "/seed"]
    first = [program, "apply", "-f", str(HERE / "seed"), *data]
    models = tmp_path / "echo.yaml"
    models.write_text(_ECHO)
    for argv in ([program, "apply", "-f", str(models), *data], first):
        run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert 0 == run.returncode, run.stderr
