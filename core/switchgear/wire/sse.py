"""Server-sent events, read and written as section 9.2 of the WHATWG HTML standard defines them.

Reading is incremental and bounded; writing never lets a payload become more than one event.
"""

import re

from msgspec import Struct

from switchgear.errors import ResponseTooLarge

MOST = 32 * 1024 * 1024
"""Bytes of one event unless told otherwise: as many as a whole answer may have, since pictures come in one."""
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
# Everything that some client takes for the end of a line: Python's str.splitlines() knows more ends than the standard.
_ASCII_BREAKS = b"\n\r\x0b\x0c\x1c\x1d\x1e"
_NEL, _LINE_SEPARATOR, _PARAGRAPH_SEPARATOR = (char.encode() for char in "\x85\u2028\u2029")
_SUSPECTS = _ASCII_BREAKS + b"\xc2\xe2"  # and what the three begin with
_ESCAPES = tuple((char.encode(), b"\\u%04x" % ord(char)) for char in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


class ServerSentEvent(Struct, frozen=True, gc=False):
    """One event: its `data` lines joined by newlines, and its `event` name, empty if it has none."""

    data: bytes
    name: bytes = b""


class SSEParser:
    """Reads a stream of events from pieces cut anywhere; one object a stream.

    Accepts LF, CRLF and CR as line ends and a BOM at the beginning, passes over comments, `id`, `retry` and unknown fields.
    An event the stream ends in is never given out. `max_event` and `max_line` are bytes; passing either raises
    `ResponseTooLarge`, after which the parser is of no more use.
    """

    def __init__(self, max_event: int = MOST, max_line: int = MOST) -> None:
        self._max_event = max_event
        self._max_line = max_line
        self._line = bytearray()  # the line whose end has not come yet
        self._data: list[bytes] = []  # the event whose end has not come yet
        self._name = b""
        self._size = 0
        self._skip_lf = False  # the last piece ended in CR
        self._begun = False
        self._clean = False  # between two events: nothing of all this matters to the next piece
        self._most = min(max_event, max_line)

    @property
    def pending(self) -> bool:
        """Whether the stream, if it ended now, would end inside an event."""
        return bool(self._line or self._data or self._name)

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that this piece completes."""
        # Nearly always a piece is one or more whole events of one data line each.
        if self._clean and piece[:6] == b"data: ":
            length = len(piece)
            if length > self._most:
                pass
            elif piece[-4:] == b"\r\n\r\n":
                if piece.find(b"\r") == length - 4 and piece.find(b"\n") == length - 3:
                    return [piece[6:-4]]
            elif piece[-2:] == b"\n\n" and piece.find(b"\r") < 0:
                if piece.find(b"\n") == length - 2:
                    return [piece[6:-2]]
                whole = piece[6:-2].split(b"\n\ndata: ")
                if piece.count(b"\n") == 2 * len(whole):
                    return whole
        return [event.data for event in self.feed_events(piece)]

    def feed_events(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that this piece completes, with their names."""
        if self._skip_lf or piece.find(b"\r") >= 0:
            piece = self._with_newlines(piece)
        if piece.find(b"\n") < 0:
            self._line += piece
            self._clean = False
            if len(self._line) > self._max_line:
                raise _too_large("line", self._max_line)
            return []
        lines = piece.split(b"\n")
        if self._line:
            lines[0] = bytes(self._line) + lines[0]
        self._line = bytearray(lines.pop())
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[ServerSentEvent] = []
        for line in lines:
            if line:
                self._take(line)
            else:
                if self._data:
                    events.append(ServerSentEvent(b"\n".join(self._data), self._name))
                    self._data = []
                self._name = b""
                self._size = 0
        if len(self._line) > self._max_line:
            raise _too_large("line", self._max_line)
        self._clean = not (self._line or self._data or self._name or self._skip_lf)
        return events

    def _with_newlines(self, piece: bytes) -> bytes:
        """Write every line end as a newline, also when CR and LF came in two pieces."""
        if self._skip_lf and piece:
            self._skip_lf = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        if piece:
            self._skip_lf = piece[-1:] == b"\r"
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, line: bytes) -> None:
        size = len(line)
        if size > self._max_line:
            raise _too_large("line", self._max_line)
        if line[:6] == b"data: ":
            self._data.append(line[6:])
        else:
            field, _, value = line.partition(b":")
            if field == b"event":
                self._name = value[1:] if value[:1] == b" " else value
            elif field == b"data":
                self._data.append(value[1:] if value[:1] == b" " else value)
            else:
                return
        self._size += size + 1
        if self._size > self._max_event:
            raise _too_large("event", self._max_event)


def _too_large(what: str, limit: int) -> ResponseTooLarge:
    return ResponseTooLarge(f"one {what} of the event stream is larger than {limit} bytes")


def encode_event(payload: bytes, event: bytes | None = None) -> bytes:
    r"""Return a payload, UTF-8 text and mostly JSON, as one event, named `event` if given.

    A payload of several lines becomes several `data` lines, which the reader joins again. The other characters that
    some clients end a line at (U+0085, U+2028, U+2029, vertical tab and the like) are written as JSON escapes: in JSON
    they can only stand inside strings, where `\u2028` means the same. Raises ValueError for a name with a line end in it.
    """
    lines = b"data: %b\n" % payload if _is_plain(payload) else _data_lines(payload)
    if event is None:
        return lines + b"\n"
    if not _is_plain(event):
        raise ValueError("an event's name cannot hold the end of a line")
    return b"event: %b\n%b\n" % (event, lines)


def _is_plain(text: bytes) -> bool:
    """Say whether nobody finds the end of a line in this."""
    if len(text) == len(text.translate(None, _SUSPECTS)):
        return True
    return len(text) == len(text.translate(None, _ASCII_BREAKS)) and not (
        _NEL in text or _LINE_SEPARATOR in text or _PARAGRAPH_SEPARATOR in text
    )


def _data_lines(payload: bytes) -> bytes:
    for char, escape in _ESCAPES:
        payload = payload.replace(char, escape)
    return b"".join(b"data: %b\n" % line for line in _LINE_END.split(payload))
