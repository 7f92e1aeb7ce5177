"""The life of keys against a small model of it: whatever happens in whatever order, a secret is good when it should be."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from plugins.api_keys.conftest import Gateway
from switchgear.contracts.principal import operator
from switchgear.errors import ApiError
from switchgear.resources.writer import Terms
from switchgear.testing.ambient import START_US, FixedAmbient
from switchgear_plugins.memory.store import MemoryStore

pytestmark = pytest.mark.slow

TEAMS = ("red", "blue")
MODELS = ("a", "b")
ME = Terms(operator("test"))


@dataclass
class Key:
    """What the model knows of a key. `good_until` is by secret, in seconds, None for as long as the key is good."""

    team: str | None
    models: tuple[str, ...]
    expires: float | None
    status: str = "active"
    good_until: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Team:
    active: bool = True
    models: tuple[str, ...] = ("*",)


class LifeOfKeys(RuleBasedStateMachine):
    keys: Bundle[str] = Bundle("keys")

    @initialize()
    def begin(self) -> None:
        self.run = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.ambient = FixedAmbient()
        self.now = 0.0
        self.known: dict[str, Key] = {}
        self.gone: list[str] = []
        self.teams = {name: Team() for name in TEAMS}
        store = MemoryStore()
        self.run.run(store.open())
        self.gateway = Gateway(store, self.ambient, self.directory)
        self.run.run(self.gateway.engine.start())
        for name in TEAMS:
            self.run.run(self.gateway.engine.create("teams", {"id": name}, ME))

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.close()
            shutil.rmtree(self.directory)

    @rule(
        target=keys,
        team=st.sampled_from([None, *TEAMS]),
        models=st.sampled_from([(), ("a",), ("a", "b"), ("*",)]),
        lasts=st.sampled_from([None, 5.0, 50.0]),
    )
    def create(self, team: str | None, models: tuple[str, ...], lasts: float | None) -> str:
        expires = None if lasts is None else self.now + lasts
        at = None if expires is None else datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(seconds=expires)
        body: dict[str, Any] = {"team_id": team, "permissions": {"models": list(models)}}
        made = self.run.run(self.gateway.create(**body, expires_at=None if at is None else at.isoformat()))
        self.known[made["id"]] = Key(team, models, expires, good_until={made["key"]: None})
        return str(made["id"])

    @rule(id=keys, overlap=st.sampled_from([0, 5, 50]))
    def rotate(self, id: str, overlap: int) -> None:
        key = self.known[id]
        if key.status == "revoked":
            self.refused(id, "rotate")
            return
        current = next(secret for secret, until in key.good_until.items() if until is None)
        new = self.run.run(self.gateway.act(id, "rotate", overlap_seconds=overlap))["key"]
        self.gone += [secret for secret in key.good_until if secret != current or not overlap]
        key.good_until = {new: None, **({current: self.now + overlap} if overlap else {})}

    @rule(id=keys, action=st.sampled_from(["suspend", "activate", "revoke"]))
    def change(self, id: str, action: str) -> None:
        key = self.known[id]
        if key.status == "revoked" and action != "revoke":
            self.refused(id, action)
            return
        self.run.run(self.gateway.act(id, action))
        key.status = {"suspend": "suspended", "activate": "active", "revoke": "revoked"}[action]

    @rule(id=keys, models=st.sampled_from([(), ("b",), ("*",)]))
    def permit(self, id: str, models: tuple[str, ...]) -> None:
        self.run.run(self.gateway.patch(id, permissions={"models": list(models)}))
        self.known[id].models = models

    @rule(id=keys, team=st.sampled_from([None, *TEAMS]))
    def move(self, id: str, team: str | None) -> None:
        self.run.run(self.gateway.patch(id, team_id=team))
        self.known[id].team = team

    @rule(id=consumes(keys))
    def delete(self, id: str) -> None:
        self.run.run(self.gateway.engine.delete("api-keys", id, ME))
        self.gone += self.known.pop(id).good_until

    @rule(
        name=st.sampled_from(TEAMS), active=st.booleans(), models=st.sampled_from([("a",), ("b",), ("*",), ("other",)])
    )
    def narrow(self, name: str, active: bool, models: tuple[str, ...]) -> None:
        spec = {"active": active, "models": list(models)}
        self.run.run(self.gateway.engine.replace("teams", name, spec, ME))
        self.teams[name] = Team(active, models)

    @precondition(lambda self: self.known)
    @rule(seconds=st.sampled_from([1.0, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.ambient.advance(seconds)
        self.now += seconds

    def refused(self, id: str, action: str) -> None:
        try:
            self.run.run(self.gateway.act(id, action))
        except ApiError:
            return
        raise AssertionError(f"{action} of a revoked key was not refused")

    @invariant()
    def every_secret_is_as_good_as_it_should_be(self) -> None:
        for id, key in getattr(self, "known", {}).items():
            for secret, until in key.good_until.items():
                who = self.run.run(self.gateway.who(secret))
                assert self.is_good(key, until) == (who is not None), (id, key, self.now)
                if who is not None:
                    assert id == who.id
                    wanted = [self.may(key, model) for model in MODELS]
                    assert wanted == [who.may("use", "models", model) for model in MODELS], (key, self.teams)
        for secret in getattr(self, "gone", []):
            assert self.run.run(self.gateway.who(secret)) is None

    def is_good(self, key: Key, until: float | None) -> bool:
        ends = [it for it in (until, key.expires) if it is not None]
        team_is_good = key.team is None or self.teams[key.team].active
        return key.status == "active" and team_is_good and all(self.now < it for it in ends)

    def may(self, key: Key, model: str) -> bool:
        bounds = [key.models, *([] if key.team is None else [self.teams[key.team].models])]
        return all("*" in models or model in models for models in bounds)


TestLifeOfKeys = LifeOfKeys.TestCase
