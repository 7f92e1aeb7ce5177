"""Logs: one line an event on stderr, JSON unless it is a terminal, the same for us, our plugins and the standard library.

Secrets do not get out: `Secret` objects, values under telling names and strings that look like keys are masked by the last
processor before the renderer, so that no way of logging goes round it.
"""

import atexit
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from msgspec import json

from switchgear.ambient import Ambient
from switchgear.telemetry.outflow import Outflow
from switchgear.telemetry.redact import redact

if "rich" in sys.modules:
    import structlog
else:
    # structlog looks for rich when it is imported, to paint tracebacks we render ourselves: 35 ms of every start.
    sys.modules["rich"] = cast("Any", None)
    try:
        import structlog
    finally:
        del sys.modules["rich"]

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error", "critical"]

LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

REQUEST_ID: ContextVar[str | None] = ContextVar("switchgear_request_id", default=None)
"""Set by whoever begins a request; every line logged in its context then carries `request_id`."""

_FORWARDED = ("uvicorn", "uvicorn.error", "uvicorn.access", "py.warnings")
_CHATTY = ("httpx", "httpcore", "asyncio", "hpack")


class Logs:
    """The logging of one process: makes loggers, holds their level, catches the standard library's.

    `renderer` is `json`, `console` or `auto` (console if `stream` is a terminal). Lines are written at once, until `write_aside`.
    """

    def __init__(
        self,
        *,
        level: Level = "info",
        renderer: Literal["auto", "json", "console"] = "auto",
        stream: TextIO | None = None,
        ambient: Ambient | None = None,
    ) -> None:
        self._lost = 0
        self._outflow: Outflow | None = None
        self._ambient = ambient or Ambient()
        self._stream = stream or sys.stderr
        self._level: Level = level
        self._threshold = LEVELS[level]
        self._handler: _Forward | None = None
        console = renderer == "console" or (renderer == "auto" and self._stream.isatty())
        self.processors: list[Processor] = [
            structlog.processors.add_log_level,
            self._stamp,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=self._stream.isatty(), timestamp_key="time") if console else _as_json,
        ]
        self._wrapper = _gated_by(self)

    @property
    def level(self) -> Level:
        """The lowest level that is written."""
        return self._level

    @level.setter
    def level(self, level: Level) -> None:
        """Change it, for loggers that exist too."""
        self._threshold = LEVELS[level]
        self._level = level
        if self._handler is not None:
            logging.getLogger().setLevel(self._threshold)

    @property
    def threshold(self) -> int:
        """The level as the number the standard library gives it."""
        return self._threshold

    def logger(self, **bound: Any) -> "FilteringBoundLogger":
        """Make a logger whose lines carry `bound`."""
        logger = structlog.wrap_logger(_Sink(self), self.processors, wrapper_class=self._wrapper)
        return cast("FilteringBoundLogger", logger.bind(**bound))

    def install(self) -> None:
        """Route the standard library's logs, warnings, uvicorn's and `structlog.get_logger()` through here."""
        self._handler = _Forward(self)
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(self._threshold)
        for name in _FORWARDED:
            forwarded = logging.getLogger(name)
            forwarded.handlers.clear()
            forwarded.propagate = True
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.captureWarnings(True)
        structlog.configure(
            self.processors,
            wrapper_class=self._wrapper,
            logger_factory=lambda *_: _Sink(self),
            cache_logger_on_first_use=False,
        )

    def release(self) -> None:
        """Undo `install`, as far as the standard library knows how."""
        if self._handler is not None:
            root = logging.getLogger()
            root.removeHandler(self._handler)
            root.setLevel(logging.WARNING)
            logging.captureWarnings(False)
            structlog.reset_defaults()
            self._handler = None

    @property
    def lost(self) -> int:
        """How many lines could not be written because the stream is closed, broken or full."""
        return self._lost + (0 if self._outflow is None else self._outflow.lost)

    def write_aside(self, dropped: Callable[[], None] = lambda: None) -> None:
        """Write from a thread from now on, so that nobody who logs waits; `dropped` is called for each line without room."""

        def told(lines: int) -> str:
            event: EventDict = {"event": "log lines were dropped: nobody read them", "lines": lines}
            for processor in self.processors:
                event = cast("EventDict", processor(None, "warning", event))
            return str(event)

        self._outflow = Outflow(self._stream, told, dropped)
        atexit.register(self.flush)

    def flush(self, within_s: float = 2.0) -> None:
        """Write what waits, for at most so long; lines after it are written at once again, if somebody reads them."""
        if self._outflow is not None and self._outflow.close(within_s):
            self._lost += self._outflow.lost
            self._outflow = None
            atexit.unregister(self.flush)

    def write(self, line: str) -> None:
        """Write one rendered line, or have it written."""
        if self._outflow is not None:
            self._outflow.put(line)
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # the reader of the pipe left; whoever logs cannot mend it
            self._lost += 1

    def _stamp(self, _logger: "WrappedLogger", _method: str, event: "EventDict") -> "EventDict":
        moment = datetime.fromtimestamp(self._ambient.now_us() / 1_000_000, UTC)
        event["time"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        request_id = REQUEST_ID.get()
        if request_id is not None:
            event.setdefault("request_id", request_id)
        return event


def _gated_by(logs: Logs) -> Any:
    """Make the logger class that asks `logs` for its level at each call; structlog's own are fixed to one."""
    base: Any = structlog.make_filtering_bound_logger(logging.NOTSET)

    class GatedLogger(base):  # type: ignore[misc]
        __slots__ = ()

        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **fields: Any) -> Any:
            if LEVELS[method_name] >= logs.threshold:
                return super()._proxy_to_logger(method_name, event, *args, **fields)
            return None

        def is_enabled_for(self, level: int) -> bool:
            return level >= logs.threshold

        def get_effective_level(self) -> int:
            return logs.threshold

    return GatedLogger


class _Sink:
    """Where structlog's processor chain ends."""

    def __init__(self, logs: Logs) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = logs.write


class _Forward(logging.Handler):
    """Turns the standard library's records into events of ours."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs
        self._logger = logs.logger()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a third party's arguments do not fit its own format
            message = f"{record.msg} (logged with arguments that do not fit)"
        level = next((name for name, number in reversed(LEVELS.items()) if number <= record.levelno), "debug")
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        getattr(self._logger, level)(message, **fields)


def _as_json(_logger: "WrappedLogger", _method: str, event: "EventDict") -> str:
    # The members every line has come first, so that a person can read a column of them.
    ordered = {name: event.pop(name) for name in ("time", "level", "event") if name in event}
    ordered.update(event)
    return json.encode(ordered).decode()
