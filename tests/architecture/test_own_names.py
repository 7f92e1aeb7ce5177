"""What no plugin may take is what the gateway has."""

import re
from pathlib import Path

from support.gateway import running
from switchgear import own
from switchgear.hooks import Hooks

CORE = Path(__file__).parents[2] / "core" / "switchgear"
DECLARES = re.compile(r"\bmetrics\.(?:counter|gauge|histogram|observe_with)\(\s*\"(\w+)\"")


def test_metrics_of_the_kernel_are_its_own() -> None:
    declared = {name for path in CORE.rglob("*.py") for name in DECLARES.findall(path.read_text())}
    assert declared == own.METRICS


async def test_kinds_and_routes_of_the_kernel_are_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        registry = run.gateway.kernel.registry
        kinds = set(run.gateway.resources.kinds)
        paths = (await run.http.get("/openapi.json")).json()["paths"]
    of_plugins = {it.item.name for it in registry.all(Hooks.switchgear_resource_kinds)}
    assert own.KINDS == kinds - of_plugins
    theirs = {_shape(path) for it in registry.all(Hooks.switchgear_routes) for path in it.item.paths}
    every = {(method.upper(), _shape(path)) for path, methods in paths.items() for method in methods}
    of_kinds = re.compile(rf"/admin/v1/({'|'.join(kinds)})(/{{}}(/versions(/{{}})?|/restore)?)?")
    of_actions = {f"/admin/v1/api-keys/{{}}/{name}" for name in ("suspend", "activate", "revoke", "rotate")}
    rest = {(m, p) for m, p in every if p.startswith(own.ADMIN) and not of_kinds.fullmatch(p)}
    assert own.ROUTES == {(m, p) for m, p in rest if p not in theirs | of_actions}


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)
