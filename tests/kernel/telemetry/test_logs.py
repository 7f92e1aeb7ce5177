import asyncio
import io
import json
import logging
import subprocess
import sys
import warnings
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from switchgear.contracts.credential import Secret
from switchgear.telemetry.logs import REQUEST_ID, Logs
from switchgear.telemetry.redact import redact
from switchgear.testing.ambient import FixedAmbient


class Login(msgspec.Struct):
    user: str
    password: str
    nested: Any = None


class Rude:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.fixture
def logs():
    made = Logs(renderer="json", stream=io.StringIO(), ambient=FixedAmbient())
    made.install()
    yield made
    made.release()


def fail(message):
    raise ValueError(message)


def lines(logs):
    return [json.loads(line) for line in logs._stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_what_was_bound(logs):
    logs.logger(plugin="demo").info("started", port=8080)
    expected = {
        "time": "2023-11-14T22:13:20.000000Z",
        "level": "info",
        "event": "started",
        "plugin": "demo",
        "port": 8080,
    }
    assert [expected] == lines(logs)
    assert list(expected)[:3] == list(lines(logs)[0])[:3]


async def test_each_task_logs_its_own_request_id(logs):
    async def request(id):
        REQUEST_ID.set(id)
        await asyncio.sleep(0)
        logs.logger().info("done", task=id)

    await asyncio.gather(request("a"), request("b"))
    logs.logger().info("outside")
    assert [("a", "a"), ("b", "b"), (None, None)] == [(x.get("task"), x.get("request_id")) for x in lines(logs)]


def test_the_level_changes_for_loggers_that_exist(logs):
    ours, stdlib = logs.logger(), logging.getLogger("third.party")
    ours.debug("hidden")
    stdlib.debug("hidden")
    logs.level = "debug"
    ours.debug("seen")
    stdlib.debug("seen")
    logs.level = "error"
    ours.bind(x=1).warning("hidden")
    stdlib.warning("hidden")
    ours.exception("seen")
    assert ["seen", "seen", "seen"] == [line["event"] for line in lines(logs)]
    assert not ours.is_enabled_for(logging.WARNING)


def test_uvicorn_the_standard_library_and_warnings_come_out_alike(logs):
    logging.getLogger("uvicorn.error").info("Application startup %s", "complete")
    logging.getLogger("uvicorn.access").warning("odd")
    logging.getLogger("lib").log(35, "between levels")
    warnings.warn("deprecated thing", stacklevel=1)
    structlog.get_logger().error("from a plugin")
    assert [(x["level"], x["event"]) for x in lines(logs) if x.get("logger") != "py.warnings"] == [
        ("info", "Application startup complete"),
        ("warning", "odd"),
        ("warning", "between levels"),
        ("error", "from a plugin"),
    ]
    assert ["deprecated thing" in x["event"] for x in lines(logs) if x.get("logger") == "py.warnings"] == [True]


def test_arguments_that_do_not_fit_lose_no_line(logs):
    # Straight to our handler: pytest's own raises on such a record.
    logs._handler.handle(logging.LogRecord("lib", logging.WARNING, "lib.py", 1, "%d things", ("several",), None))
    assert ["%d things (logged with arguments that do not fit)"] == [line["event"] for line in lines(logs)]


def test_a_traceback_is_kept_with_its_lines(logs):
    try:
        fail("broken")
    except ValueError:
        logs.logger().exception("failed")
        logging.getLogger("lib").exception("failed too")
    assert ["ValueError: broken"] * 2 == [line["exception"].splitlines()[-1] for line in lines(logs)]


def test_a_message_cannot_forge_a_line_or_paint_the_terminal(logs):
    logs.logger().info('a\n{"level":"error"}', user="x\x1b[31m\u202ey")
    assert 1 == len(lines(logs))
    assert "x[31my" == lines(logs)[0]["user"]


def test_a_broken_stream_is_counted_and_breaks_nobody():
    stream = io.StringIO()
    logs = Logs(renderer="json", stream=stream)
    stream.close()
    logs.logger().info("lost")
    assert 1 == logs.lost


def test_the_console_shows_the_event_and_no_secret():
    stream = io.StringIO()
    Logs(renderer="console", stream=stream).logger().info("hello", api_key="canary-console", model="m")
    assert "hello" in stream.getvalue()
    assert "canary" not in stream.getvalue()


def test_no_secret_gets_out_whichever_way_it_is_logged(logs):
    c = iter(f"canary{n:03d}aBcDeFgHiJ" for n in range(1000))
    log = logs.logger(authorization=next(c), plugin="demo")
    log.info("named", api_key=next(c), password=next(c), client_secret=next(c), access_token=next(c), token=next(c))
    log.info("headers", headers={"x-api-key": next(c), b"Authorization": next(c), "Cookie": next(c)})
    log.info("pairs", headers=[(b"authorization", next(c).encode()), ("x-api-key", next(c))])
    log.info("nested", body={"a": [{"b": {"secret": next(c)}}]}, deep=Login("u", next(c), {"token": next(c)}))
    log.info(
        "object", secret=Secret({"api_key": next(c)}), plain=Secret({"api_key": next(c)}), many=[Secret({"k": next(c)})]
    )
    log.info(f"inside {Secret({'api_key': next(c)})!r}")  # noqa: G004 - one of the ways people log
    log.info(
        "looks like a key",
        key="sg_live_" + next(c),
        text=f"got sk-{next(c)} and Bearer {next(c)}",
        b=b"sg_test_" + next(c).encode(),
    )
    log.info("positional %s", "sk-" + next(c))
    log.info(f"event holds sg_live_{next(c)}")  # noqa: G004 - likewise
    log.info(
        "assigned", text=f"password={next(c)} token: {next(c)} api_key='{next(c)}'", url=f"redis://u:{next(c)}@h/0"
    )
    log.bind(refresh_token=next(c)).warning("bound")
    log.info("split", text="sk-\x00" + next(c), name_with_key={"sk-" + next(c): 1})
    log.info("struct repr", made=[repr(Login("u", next(c)))])
    log.info("beyond the depth", x={"a": {"b": {"c": {"d": {"e": {"f": {"g": next(c)}}}}}}})
    try:
        fail(f"upstream said: invalid key sk-{next(c)}; Authorization: Bearer {next(c)}")
    except ValueError:
        log.exception("raised")
        logging.getLogger("lib").exception("raised with Bearer %s", next(c))
    logging.getLogger("uvicorn.error").error("uvicorn saw sg_live_%s", next(c))
    logging.getLogger("lib").warning({"password": next(c)})
    warnings.warn("using api_key=" + next(c), stacklevel=1)
    structlog.get_logger().info("global", token=next(c))
    assert int(next(c)[6:9]) > 35
    assert "canary" not in logs._stream.getvalue()
    assert 20 == len(lines(logs))


def test_what_people_need_to_read_stays(logs):
    logs.logger().info("used", max_tokens=5, key_id="key_1", input_tokens=7, ok=True, ratio=0.5, none=None, model="m")
    shown = lines(logs)[0]
    assert {name: shown[name] for name in ("max_tokens", "key_id", "input_tokens", "ok", "ratio", "none", "model")} == {
        "max_tokens": 5,
        "key_id": "key_1",
        "input_tokens": 7,
        "ok": True,
        "ratio": 0.5,
        "none": None,
        "model": "m",
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(Rude),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_every_value_can_be_logged(fields):
    stream = io.StringIO()
    fields = {
        name: value
        for name, value in fields.items()
        if name not in {"event", "exc_info", "stack_info", "level", "time"}
    }
    Logs(renderer="json", stream=stream).logger().info("any", **fields)
    assert 1 == stream.getvalue().count("\n")
    assert "any" == json.loads(stream.getvalue())["event"]


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=16, max_size=64))
def test_our_own_keys_are_masked_wherever_they_stand(body):
    key = "sg_live_" + body
    assert key not in json.dumps(redact(None, "info", {"event": f"<{key}>", "x": [key, {"y": (1, key)}], key: key}))


def test_importing_the_logs_pulls_in_no_rich_and_leaves_it_importable():
    script = (
        "import sys, switchgear.telemetry.logs; print('rich' in sys.modules, 'litestar' in sys.modules);"
        "import rich.console; print('rich' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert ["False", "False", "True"] == out
