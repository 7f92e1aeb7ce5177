import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kernel.resources.conftest import MakeEngine
from kernel.resources.toys import KINDS
from switchgear.contracts.principal import operator
from switchgear.errors import ConfigError, Conflict
from switchgear.names import ID_RULE
from switchgear.resources import ResourceEngine, Terms
from switchgear.resources.declarations import Plan, carry_out, export, plan
from switchgear_plugins.gitops.export import to_text
from switchgear_plugins.gitops.files import Allowed, read_files

SECRET = "sk-canary-from-the-environment"
CREDENTIALS_TOML = """
[[credentials]]
id = "main"
[credentials.source]
backend = "sealed"
values.api_key = { env = "TOY_KEY" }
values.org = { file = "org.txt" }
"""
MODELS_YAML = """
kind: models
id: gpt
credential_id: main
upstream: gpt-4o
tags: [2026-01-31]
---
aliases:
  best: {target: gpt}
"""
TICKETS_JSON = '{"tickets": [{"id": "ci", "name": "CI"}]}'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOY_KEY", SECRET)
    directory = tmp_path / "config"
    (directory / ".hidden").mkdir(parents=True)
    (directory / "creds.toml").write_text(CREDENTIALS_TOML)
    (directory / "org.txt").write_text("acme-organisation\n")
    (directory / "models.yaml").write_text(MODELS_YAML)
    (directory / "tickets.json").write_text(TICKETS_JSON)
    (directory / ".hidden" / "bad.json").write_text("{")
    (directory / "README.md").write_text("not ours")
    return directory


def kinds() -> Any:
    return {kind.name: kind for kind in KINDS}


async def planned(engine: ResourceEngine, *sources: Path, **options: Any) -> Plan:
    declared = read_files(sources, kinds(), allowed=Allowed(environ=os.environ))
    return await plan(engine, declared, by=operator("cli"), **options)


def actions(made: Plan) -> dict[str, str]:
    return {f"{step.kind}/{step.id}": step.action for step in made.steps}


async def test_files_are_planned_carried_out_and_then_unchanged(engine: ResourceEngine, config: Path) -> None:
    first = await planned(engine, config)
    expected = {"credentials/main": "create", "models/gpt": "create", "aliases/best": "create", "tickets/ci": "create"}
    assert expected == actions(first)
    assert SECRET not in repr(first.steps)
    assert engine.snapshot.callable("best") is None
    await carry_out(engine, first, by=operator("cli"))
    assert engine.snapshot.callable("best").credential.spec.source.values == {
        "api_key": SECRET,
        "org": "acme-organisation",
    }
    assert engine.snapshot.callable("best").spec.tags == ("2026-01-31",)
    assert first.once["tickets/ci"]["key"].startswith("tk_")
    assert (await engine.get("models", "gpt"))["owner"] == "file:config/models.yaml"

    again = await planned(engine, config)
    assert set(actions(again).values()) == {"unchanged"}
    revision = engine.feed.position
    await carry_out(engine, again, by=operator("cli"))
    assert engine.feed.position == revision


async def test_a_change_is_shown_field_by_field_with_secrets_masked(
    engine: ResourceEngine, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carry_out(engine, await planned(engine, config), by=operator("cli"))
    monkeypatch.setenv("TOY_KEY", "sk-canary-another-environment")
    (config / "models.yaml").write_text(MODELS_YAML.replace("gpt-4o", "gpt-5"))
    made = await planned(engine, config)
    changes = {(step.kind, it.pointer): (it.before, it.after) for step in made.steps for it in step.changes}
    assert changes == {
        ("credentials", "/source/values/api_key"): ("••••ment", "••••ment (changed)"),
        ("models", "/upstream"): ("gpt-4o", "gpt-5"),
    }


async def test_prune_deletes_what_left_the_source_and_nothing_else(engine: ResourceEngine, config: Path) -> None:
    await engine.create(
        "credentials", {"id": "by-hand", "source": {"backend": "vault", "path": "p"}}, Terms(operator("api"))
    )
    await carry_out(engine, await planned(engine, config), by=operator("cli"))
    (config / "tickets.json").unlink()
    (config / "models.yaml").write_text("kind: models\nid: gpt\ncredential_id: main\nupstream: gpt-4o\n")
    assert "delete" not in actions(await planned(engine, config)).values()
    made = await planned(engine, config, prune=True)
    gone = {name for name, action in actions(made).items() if action == "delete"}
    assert gone == {"tickets/ci", "aliases/best"}
    await carry_out(engine, made, by=operator("cli"))
    assert engine.snapshot.callable("best") is None
    assert await engine.get("credentials", "by-hand")


async def test_what_is_in_use_is_not_pruned(engine: ResourceEngine, config: Path) -> None:
    await carry_out(engine, await planned(engine, config), by=operator("cli"))
    await engine.create("aliases", {"id": "mine", "target": "gpt"}, Terms(operator("api")))
    (config / "models.yaml").unlink()
    with pytest.raises(ConfigError, match="models/gpt: is in use by aliases/mine"):
        await planned(engine, config, prune=True)


async def test_what_others_own_is_only_taken_over_on_demand(
    engine: ResourceEngine, config: Path, tmp_path: Path
) -> None:
    await engine.create(
        "credentials", {"id": "main", "source": {"backend": "vault", "path": "p"}}, Terms(operator("api"))
    )
    with pytest.raises(ConfigError, match=r"creds\.toml: credentials/main exists already and belongs to the API"):
        await planned(engine, config)
    await carry_out(engine, await planned(engine, config, adopt=True), by=operator("cli"))
    other = tmp_path / "other.toml"
    other.write_text('[models.gpt]\ncredential_id = "main"\nupstream = "x"\n')
    with pytest.raises(ConfigError, match=r"belongs to the file config/models\.yaml"):
        await planned(engine, other)
    with pytest.raises(Conflict, match=r"config/models\.yaml"):
        await engine.patch("models", "gpt", {"weight": 2}, Terms(operator("api")))


async def test_moving_a_resource_between_files_of_a_source_is_fine(engine: ResourceEngine, config: Path) -> None:
    await carry_out(engine, await planned(engine, config), by=operator("cli"))
    (config / "tickets.json").rename(config / "keys.json")
    made = await planned(engine, config, prune=True)
    assert actions(made) == {**dict.fromkeys(actions(made), "unchanged"), "tickets/ci": "update"}
    await carry_out(engine, made, by=operator("cli"))
    assert (await engine.get("tickets", "ci"))["owner"] == "file:config/keys.json"


async def test_a_plan_that_something_overtook_is_refused_whole(engine: ResourceEngine, config: Path) -> None:
    made = await planned(engine, config)
    await engine.create(
        "credentials", {"id": "main", "source": {"backend": "vault", "path": "p"}}, Terms(operator("api"))
    )
    with pytest.raises(Conflict):
        await carry_out(engine, made, by=operator("cli"))
    assert engine.snapshot.live("models", "gpt") is None


async def test_everything_wrong_with_the_fields_is_said_at_once(engine: ResourceEngine, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[models.a]\nupstream = 1\n[models."b/c"]\ncredential_id = "x"\nupstream = "y"\n')
    with pytest.raises(ConfigError) as caught:
        await planned(engine, file)
    assert caught.value.failures == (
        "bad.toml: models/a/credential_id: is required",
        "bad.toml: models/a/upstream: Expected `str`, got `int`",
        f"bad.toml: models/b/c/id: {ID_RULE}",
    )
    file.write_text('[models.a]\ncredential_id = "nope"\nupstream = "y"\n')
    with pytest.raises(ConfigError, match=r"bad.toml: models/a/credential_id: there is no credential `nope`"):
        await planned(engine, file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "x = 1\ny = = 2\n", "a.toml:2: "),
        ("a.json", '{\n"x": ,}', "a.json:2: "),
        ("a.json", '{"models": {}, "models": {}}', "written twice"),
        ("a.yaml", "models:\n  a: [\n", "a.yaml:"),
        ("a.yaml", "models: {}\nmodels: {}\n", "a.yaml:2: 'models' is written twice"),
        ("a.yaml", "modles: []\n", "there is no kind `modles`; did you mean `models`?"),
        ("a.yaml", "models: [1]\n", "a resource is a table"),
        ("a.yaml", "models: [{upstream: x}]\n", "every resource needs an `id`"),
        ("a.yaml", "just text\n", "there is no kind"),
        ("a.yaml", "models: {a: &a {x: *a}}\n", "nested deeper than"),
        ("a.yaml", "[" * 20_000, "nested deeper than"),
        ("a.toml", "x = " + "[" * 20_000, "nested deeper than"),
        ("a.yaml", f"models: {'9' * 5_000}\n", "a number or a date"),
        ("a.toml", f"models = {'9' * 5_000}\n", "a number or a date"),
        ("a.yaml", "models: !!timestamp 9999-99-99\n", "a number or a date"),
        (
            "a.yaml",
            "a: &a {k: v}\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in pairwise("abcdefghij")),
            "values, with its aliases written out",
        ),
        ("a.yaml", "models: 3\n", "a resource is a table"),
        ("a.yaml", "tickets: [{id: a}, {id: a}]\n", "tickets/a is also in a.yaml"),
        (
            "a.yaml",
            "kind: credentials\nid: a\nsource: {backend: sealed, values: {k: {env: NO_SUCH}}}\n",
            "NO_SUCH is not set",
        ),
        (
            "a.yaml",
            "kind: credentials\nid: a\nsource: {backend: sealed, values: {k: {file: nope}}}\n",
            "nope cannot be read",
        ),
        ("a.yaml", "!!python/object/apply:os.system [id]\n", "a.yaml:1: "),
        ("a.txt", "", "name it"),
    ],
)
def test_errors_name_the_file_and_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_files([tmp_path / name], kinds())
    assert said in str(caught.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_files([tmp_path / "nope"], kinds())


@pytest.mark.parametrize("format", ["toml", "json", "yaml"])
async def test_what_is_exported_can_be_applied(
    engine: ResourceEngine, make_engine: MakeEngine, tmp_path: Path, format: Any
) -> None:
    source = {"backend": "sealed", "values": {"k": SECRET}}
    await engine.create("credentials", {"id": "main", "source": source}, Terms(operator("api")))
    await engine.create(
        "credentials", {"id": "other", "source": {"backend": "vault", "path": "p"}}, Terms(operator("api"))
    )
    await engine.create(
        "models", {"id": "gpt", "credential_id": "main", "upstream": "x", "price": {"input": 3}}, Terms(operator("api"))
    )
    await engine.create("tickets", {"id": "t", "name": "n"}, Terms(operator("api")))
    made = await export(engine)
    text = to_text(made, format)
    assert SECRET not in text
    assert made.left_out == ["credentials/main/source/values/k"]
    file = tmp_path / f"export.{format}"
    file.write_text(text)
    again = await planned(engine, file, adopt=True)
    changed = [(step.kind, step.id, it.pointer) for step in again.steps for it in step.changes if it.pointer != "owner"]
    assert ([], {"update"}) == (changed, set(actions(again).values()))
    await carry_out(engine, again, by=operator("cli"))
    assert engine.snapshot.live("credentials", "main").spec.source.values == {"k": SECRET}


def test_the_environment_is_read_only_where_a_secret_stands(tmp_path: Path) -> None:
    assert "PATH" in os.environ
    file = tmp_path / "a.yaml"
    file.write_text("kind: models\nid: a\ncredential_id: x\nupstream: {env: PATH}\n")
    assert read_files([file], kinds())[0].body["upstream"] == {"env": "PATH"}


SECRET_IN_A_FILE = "kind: credentials\nid: a\nsource: {{backend: sealed, values: {{k: {{{where}: '{name}'}}}}}}\n"


def refusal(directory: Path, where: str, name: Path | str, **allowed: Any) -> str:
    """Return what is said of a secret that a file names, empty where it is read."""
    (directory / "a.yaml").write_text(SECRET_IN_A_FILE.format(where=where, name=name))
    try:
        read_files([directory], kinds(), allowed=Allowed(**allowed))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["SWITCHGEAR_MASTER_KEY", "ADMIN_KEY", "DATABASE_URL"])
def test_variables_that_are_not_allowed_are_not_read(tmp_path: Path, name: str) -> None:
    environ = {name: "canary-of-the-environment", "TOY_KEY": "t"}
    said = refusal(tmp_path, "env", name, environ=environ, not_env=("DATABASE_*",))
    assert f"the variable {name} may not be read by files" in said
    assert "canary" not in said
    assert not refusal(tmp_path, "env", "TOY_KEY", environ=environ, env=("TOY_*",))
    assert "may not be read" in refusal(tmp_path, "env", "TOY_KEY", environ=environ, env=("OTHER_*",))


def test_a_key_of_the_gateway_is_no_secret_of_a_resource_under_another_name_either(tmp_path: Path) -> None:
    said = refusal(tmp_path, "env", "MINE", environ={"MINE": "the-admin-key"}, not_values=frozenset({"the-admin-key"}))
    assert "holds a key of the gateway itself" in said
    assert "the-admin-key" not in said


def test_files_outside_of_what_is_applied_are_not_read(tmp_path: Path) -> None:
    inside, outside, data = (tmp_path / name for name in ("res", "run", "res/data"))
    for folder in (inside, outside, data):
        folder.mkdir()
    (outside / "key").write_text("canary-outside")
    (data / "master.key").write_text("canary-master")
    (inside / "link").symlink_to(outside / "key")
    for name in ("../run/key", outside / "key", "link"):
        said = refusal(inside, "file", name, not_below=(data,))
        assert "may not be read by files" in said
        assert "canary" not in said
    assert not refusal(inside, "file", "../run/key", folders=(outside,))
    assert "may not be read by files" in refusal(inside, "file", "data/master.key", not_below=(data,))


def test_devices_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    began = time.monotonic()
    for name in ("/dev/zero", "fifo", "."):
        folders = (Path("/dev"),)
        assert ": it is " in refusal(tmp_path, "file", name, folders=folders)
    (tmp_path / "large").write_bytes(b"x" * (1 << 20))
    assert "larger than" in refusal(tmp_path, "file", "large")
    (tmp_path / "a.yaml").unlink()
    with pytest.raises(ConfigError, match="no regular file"):
        read_files([tmp_path / "fifo"], kinds())
    assert time.monotonic() - began < 5


def test_links_out_of_the_folder_are_not_followed_and_nothing_of_them_is_quoted(tmp_path: Path) -> None:
    inside = tmp_path / "res"
    (inside / "..data").mkdir(parents=True)
    (inside / "..data" / "b.yaml").write_text(MODELS_YAML)
    (inside / "b.yaml").symlink_to("..data/b.yaml")
    assert ["gpt", "best"] == [it.id for it in read_files([inside], kinds())]
    (tmp_path / "master.key").write_text("canary-master-key")
    (inside / "a.yaml").symlink_to(tmp_path / "master.key")
    with pytest.raises(ConfigError, match="leads out of") as caught:
        read_files([inside], kinds())
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        read_files([inside / "a.yaml"], kinds())
    assert "canary" not in str(caught.value)


def test_merged_tables_do_not_grow_without_end(tmp_path: Path) -> None:
    levels = "".join(f"{b}: &{b} {{<<: [{', '.join(['*' + a] * 10)}]}}\n" for a, b in pairwise("abcdefghij"))
    (tmp_path / "a.yaml").write_text("a: &a {k: v}\n" + levels)
    with pytest.raises(
        ConfigError, match=r"too much is merged|there is no kind `j`"
    ):  # as the library's version counts
        read_files([tmp_path], kinds())


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "[tickets.t]\nname = 'n'\n"), ("a.json", '{"tickets": {"t": {"name": "n"}}}')]
)
def test_a_byte_order_mark_is_read_over(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert ["t"] == [it.id for it in read_files([tmp_path], kinds())]
