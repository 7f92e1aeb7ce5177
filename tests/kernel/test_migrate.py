import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from switchgear.errors import StoreError
from switchgear.migrate import Migration, MigrationState, core_migrations, load, migrate, status
from switchgear_plugins.sqlite.database import load_queries
from switchgear_plugins.sqlite.migrations import SqliteMigrations

ROOT = Path(__file__).resolve().parents[2]
ONE = Migration("switchgear", 1, "one", "CREATE TABLE one (n INTEGER);\n")
TWO = Migration("switchgear", 2, "two", "-- more\nCREATE TABLE two (n INTEGER);\nINSERT INTO two VALUES (2);\n-- end\n")
BROKEN = Migration("switchgear", 3, "broken", "CREATE TABLE three (n INTEGER);\nCREATE TABLE one (n INTEGER);\n")
PLUGIN = Migration("example", 1, "own", "CREATE TABLE example_own (n INTEGER);\n")


def connect(path):
    return sqlite3.connect(path, isolation_level=None, timeout=10)


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "test.db")
    yield connection
    connection.close()


@pytest.fixture
def target(connection):
    return SqliteMigrations(connection, load_queries())


def tables(connection):
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_pending_migrations_are_applied_once_and_in_order(connection, target):
    assert migrate(target, [TWO, PLUGIN, ONE], at_us=5) == [ONE, TWO, PLUGIN]
    assert migrate(target, [ONE, TWO, PLUGIN], at_us=6) == []
    assert tables(connection) == {"schema_migrations", "one", "two", "example_own"}
    assert connection.execute("SELECT n FROM two").fetchall() == [(2,)]


def test_a_failure_in_one_leaves_nothing_of_any(connection, target):
    with pytest.raises(sqlite3.OperationalError):
        migrate(target, [ONE, TWO, BROKEN], at_us=5)
    assert tables(connection) == set()
    assert migrate(target, [ONE, TWO], at_us=6) == [ONE, TWO]


def test_a_migration_altered_after_it_was_applied_refuses(target):
    migrate(target, [ONE, TWO], at_us=5)
    altered = Migration("switchgear", 1, "one", "CREATE TABLE one (n TEXT);\n")
    with pytest.raises(StoreError, match="switchgear/0001_one was altered after it was applied"):
        migrate(target, [altered, TWO], at_us=6)


def test_a_schema_newer_than_the_code_refuses(target):
    migrate(target, [ONE, TWO], at_us=5)
    with pytest.raises(StoreError, match=r"newer than this code .*0002_two"):
        migrate(target, [ONE], at_us=6)


def test_a_migration_slipped_in_before_an_applied_one_refuses(target):
    migrate(target, [TWO], at_us=5)
    with pytest.raises(StoreError, match="0001_one stands before one that is applied"):
        migrate(target, [ONE, TWO], at_us=6)


def test_the_tables_of_a_plugin_that_is_not_enabled_are_left_alone(target):
    migrate(target, [ONE, PLUGIN], at_us=5)
    assert migrate(target, [ONE, TWO], at_us=6) == [TWO]
    assert migrate(target, [ONE, TWO, PLUGIN], at_us=7) == []


def test_status_lists_every_state(target):
    other = Migration("other", 1, "theirs", "CREATE TABLE other_theirs (n INTEGER);\n")
    migrate(target, [ONE, TWO, PLUGIN, other], at_us=5)
    altered = Migration("switchgear", 1, "one", "altered")
    plugin_next = Migration("example", 2, "next", "CREATE TABLE example_next (n INTEGER);\n")
    expected = [
        MigrationState("example", 1, "own", "applied", 5),
        MigrationState("example", 2, "next", "pending"),
        MigrationState("other", 1, "theirs", "idle", 5),
        MigrationState("switchgear", 1, "one", "altered", 5),
        MigrationState("switchgear", 2, "two", "unknown", 5),
    ]
    assert expected == status(target.applied(), [altered, PLUGIN, plugin_next])


def test_a_trigger_is_one_statement(connection, target):
    trigger = (
        "CREATE TABLE a (n);\nCREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n  DELETE FROM a;\n  DELETE FROM a;\nEND;\n"
    )
    migrate(target, [Migration("switchgear", 1, "trigger", trigger)], at_us=5)
    connection.execute("INSERT INTO a VALUES (1)")
    assert connection.execute("SELECT * FROM a").fetchall() == []


def test_of_many_processes_that_start_at_once_one_migrates(tmp_path):
    script = (
        "import asyncio, pathlib, sys\n"
        "from switchgear.ambient import Ambient\n"
        "from switchgear_plugins.sqlite.settings import SqliteSettings\n"
        "from switchgear_plugins.sqlite.store import SqliteStore\n"
        "async def main():\n"
        "    store = SqliteStore(SqliteSettings(), pathlib.Path(sys.argv[1]), Ambient())\n"
        "    sys.stdin.readline()\n"
        "    await store.open()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    for racer in racers:
        _, errors = racer.communicate(timeout=60)
        assert (racer.returncode, errors.decode()) == (0, "")
    connection = connect(tmp_path / "switchgear.db")
    applied = connection.execute("SELECT count(*), count(DISTINCT at_us) FROM schema_migrations").fetchone()
    connection.close()
    assert (len(core_migrations("sqlite")), 1) == applied


@pytest.mark.parametrize("name", ["1_short.sql", "0001-dash.sql", "0001_Upper.sql"])
def test_a_misnamed_file_is_refused(tmp_path, name):
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / name).write_text("SELECT 1;")
    with pytest.raises(StoreError, match="named like"):
        load(tmp_path, "sqlite", "example")


def test_a_number_used_twice_is_refused(tmp_path):
    (tmp_path / "sqlite").mkdir()
    for name in ("0001_a.sql", "0001_b.sql"):
        (tmp_path / "sqlite" / name).write_text("SELECT 1;")
    with pytest.raises(StoreError, match=r"0001 is taken by example/0001_a"):
        load(tmp_path, "sqlite", "example")


def test_a_plugin_without_sql_for_an_engine_has_no_migrations(tmp_path):
    assert load(tmp_path, "sqlite", "example") == []


def test_the_kernels_migrations_are_found_in_a_checkout():
    found = core_migrations("sqlite")
    names = [path.name for path in sorted((ROOT / "migrations" / "sqlite").glob("*.sql"))]
    assert names == [f"{one.number:04d}_{one.name}.sql" for one in found]
    assert {one.namespace for one in found} == {"switchgear"}


def test_an_engine_without_migrations_is_refused():
    with pytest.raises(StoreError, match="no migrations for none"):
        core_migrations("none")


def test_the_kernels_migrations_are_found_in_a_package(tmp_path, monkeypatch):
    (tmp_path / "migrations" / "sqlite").mkdir(parents=True)
    (tmp_path / "migrations" / "sqlite" / "0001_packaged.sql").write_text("SELECT 1;")
    monkeypatch.setattr("switchgear.shipped.resources.files", lambda _: tmp_path)
    assert [one.name for one in core_migrations("sqlite")] == ["packaged"]


@pytest.mark.slow
def test_the_kernels_migrations_are_found_in_a_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
        "import switchgear; from switchgear.migrate import core_migrations\n"
        "print(switchgear.__file__); print(len(core_migrations('sqlite')))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    expected = [str(tmp_path / "installed" / "switchgear" / "__init__.py"), str(len(core_migrations("sqlite")))]
    assert expected == run.stdout.split()


def test_a_schema_that_newer_code_only_added_to_is_one_to_work_with(connection, target):
    notes = Migration("switchgear", 2, "add_notes", "CREATE TABLE notes (n INTEGER);\n")
    migrate(target, [ONE, notes], at_us=5)
    assert migrate(target, [ONE], at_us=6) == []
    assert [line.state for line in status(target.applied(), [ONE])] == ["applied", "unknown"]
    assert migrate(
        target, [ONE, notes, Migration("switchgear", 3, "three", "CREATE TABLE three (n INTEGER);\n")], at_us=7
    )


_ADDS = re.compile(
    r"(CREATE (TABLE|INDEX|UNIQUE INDEX) (IF NOT EXISTS )?\w+"
    r"|ALTER TABLE \w+ ADD COLUMN (?!.*NOT NULL(?!.*DEFAULT))"
    r"|INSERT INTO \w+)",
    re.DOTALL,
)


def only_adds(sql: str) -> bool:
    text = "\n".join(line for line in sql.splitlines() if not line.strip().startswith("--"))
    return all(_ADDS.match(part.strip()) for part in text.split(";") if part.strip())


def test_migrations_that_are_named_so_only_add():
    """Code that does not know one must work on what it makes; what does more has another name."""
    named = [path for path in ROOT.glob("**/migrations/**/[0-9]*.sql") if path.name[5:].startswith("add_")]
    assert [] == [str(path) for path in named if not only_adds(path.read_text())]


@pytest.mark.parametrize(
    ("sql", "adds"),
    [
        ("-- x\nCREATE TABLE a (n INTEGER NOT NULL);\nCREATE INDEX a_n ON a (n);\n", True),
        ("ALTER TABLE a ADD COLUMN b TEXT;", True),
        ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';", True),
        ("ALTER TABLE a ADD COLUMN b TEXT NOT NULL;", False),
        ("ALTER TABLE a DROP COLUMN b;", False),
        ("CREATE TABLE a (n INTEGER);\nDROP TABLE b;", False),
    ],
)
def test_what_only_adds_is_told_from_what_does_not(sql, adds):
    assert adds == only_adds(sql)
