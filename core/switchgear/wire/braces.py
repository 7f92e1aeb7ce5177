"""When the text of a JSON object that comes in pieces is whole, without decoding it."""

import re

_OUTSIDE = re.compile(r'[{}"]')
_INSIDE = re.compile(r'["\\]')


class Braces:
    """Watches a JSON object come in pieces; `closed` once it is whole."""

    __slots__ = ("_depth", "_escaped", "_in_string", "closed")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.closed = False

    def feed(self, piece: str) -> None:
        """Take the next piece."""
        at = 1 if self._escaped and piece else 0
        self._escaped = self._escaped and not piece
        while not self.closed:
            found = (_INSIDE if self._in_string else _OUTSIDE).search(piece, at)
            if found is None:
                return
            at = found.end()
            mark = found[0]
            if mark == "\\":
                self._escaped = at == len(piece)
                at += 1
            elif mark == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if mark == "{" else -1
                self.closed = self._depth <= 0
